// SPDX-License-Identifier: Apache-2.0

package fieldset

import "testing"

func TestAddress(t *testing.T) {
	for in, want := range map[string]string{
		"192.168.1.16":        "192.168.1.16",
		"::ffff:192.168.1.16": "192.168.1.16",
		"FD00:1:0:0::0016":    "fd00:1::16",
		"fd00:1::16":          "fd00:1::16",
		"":                    "",
		"node-1":              "node-1",
	} {
		if got := Address(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
