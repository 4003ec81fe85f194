// SPDX-License-Identifier: Apache-2.0

package bgpcommunity

import "testing"

func TestParse(t *testing.T) {
	for text, want := range map[string]Community{
		"64512:100":               {Value: 64512<<16 | 100},
		"0:0":                     {},
		"65535:65535":             {Value: 0xffffffff},
		"no-export":               {Value: 0xffffff01},
		"no-advertise":            {Value: 0xffffff02},
		"graceful-shutdown":       {Value: 0xffff0000},
		"64512:1:100":             {Large: true, Parts: [3]uint32{64512, 1, 100}},
		"4294967295:0:4294967295": {Large: true, Parts: [3]uint32{4294967295, 0, 4294967295}},
	} {
		got, err := Parse(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: %+v, %q, %v", text, got, got.String(), err)
		}
	}
	for _, text := range []string{
		"", ":", "1", "1:", "65536:1", "1:65536", "-1:1", "+1:1", "01:1", "1:2:3:4", "4294967296:1:1", "1:1:x", " 1:1", "1:1 ", "No-Export", "１:1",
	} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"64512:100", "64512:1:100", "no-export", "1:2:3:4"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(c.String()); err != nil || again != c {
			t.Errorf("%q is %s, which is %v, %v", text, c, again, err)
		}
	})
}
