// SPDX-License-Identifier: Apache-2.0

package epic

import (
	"net/netip"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

func TestNameLabel(t *testing.T) {
	for name, want := range map[string]string{
		"web":                                  "web",
		"6f3c9a52-6a9e-4d4c-8d0e-0c6f4a4f3b11": "6f3c9a52-6a9e-4d4c-8d0e-0c6f4a4f3b11",
		strings.Repeat("a", 63):                strings.Repeat("a", 63),
	} {
		if got := NameLabel(name); got != want {
			t.Errorf("%s becomes %s", name, got)
		}
	}
	labels := map[string]string{}
	for _, name := range []string{"a.b", "a-b", "shop.example.com", "shop-example.com", "shop.example-com", strings.Repeat("a", 64), strings.Repeat("a", 253), strings.Repeat("a.", 40) + "a"} {
		label := NameLabel(name)
		if problems := validation.IsDNS1123Label(label); len(problems) > 0 {
			t.Errorf("%s becomes %s: %v", name, label, problems)
		}
		if other := labels[label]; other != "" {
			t.Errorf("%s and %s both become %s", name, other, label)
		}
		labels[label] = name
	}
	if got := NameLabel("shop.example.com"); !strings.HasPrefix(got, "shop-example-com-") {
		t.Errorf("a name with dots becomes %s", got)
	}
}

func TestLabelValue(t *testing.T) {
	for _, name := range []string{"web", "shop.example.com", strings.Repeat("a", 63)} {
		if got := LabelValue(name); got != name {
			t.Errorf("%s becomes %s", name, got)
		}
	}
	long := strings.Repeat("a", 64)
	if got := LabelValue(long); got != NameLabel(long) || len(validation.IsValidLabelValue(got)) > 0 {
		t.Errorf("%s becomes %s", long, got)
	}
}

// The result is a DNS label, and that of a label is the label itself.
func FuzzNameLabel(f *testing.F) {
	for _, name := range []string{"", "a", ".", "A.b", "a_b", "-", strings.Repeat("é", 40)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		label := NameLabel(name)
		if problems := validation.IsDNS1123Label(label); len(problems) > 0 {
			t.Errorf("%q becomes %q: %v", name, label, problems)
		}
		if NameLabel(label) != label {
			t.Errorf("%q becomes %q, and that %q", name, label, NameLabel(label))
		}
	})
}

func FuzzGatewayNodeName(f *testing.F) {
	f.Add([]byte{192, 0, 2, 1}, "192.0.2.1")
	f.Add(netip.MustParseAddr("2001:db8::").AsSlice(), "2001-db8--")
	f.Add(netip.MustParseAddr("::2").AsSlice(), "--2")
	f.Add(netip.MustParseAddr("64:ff9b::192.0.2.1").AsSlice(), "fe80--1%eth0")
	f.Fuzz(func(t *testing.T, address []byte, name string) {
		// A name that stands for an address is the only one that does.
		if a, err := GatewayNodeAddress(name); err == nil && GatewayNodeName(a) != name {
			t.Errorf("%s is read as %s, whose name is %s", name, a, GatewayNodeName(a))
		}
		a, ok := netip.AddrFromSlice(address)
		if !ok || a.Is4In6() || a.IsUnspecified() || a.IsMulticast() {
			return
		}
		written := GatewayNodeName(a)
		if problems := validation.IsDNS1123Subdomain(written); len(problems) > 0 {
			t.Errorf("%s is not a name: %v", written, problems)
		}
		if back, err := GatewayNodeAddress(written); err != nil || back != a {
			t.Errorf("%s, from %s, is read as %s, %v", written, a, back, err)
		}
	})
}
