// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestAddress(t *testing.T) {
	path := field.NewPath("a")
	for _, s := range []string{"192.0.2.1", "10.0.0.1", "2001:db8::1", "fd00::", "127.0.0.1"} {
		if a, errs := address(path, s); len(errs) > 0 || a.String() != s {
			t.Errorf("%s: %v", s, errs)
		}
	}
	for s, message := range map[string]string{
		"":                       "must be an IP address",
		"example.com":            "must be an IP address",
		"192.0.2.1/24":           "must be an IP address",
		"192.0.2.01":             "without leading zeros",
		" 192.0.2.1":             "must be an IP address",
		"192.0.2.1\n":            "must be an IP address",
		"::ffff:192.0.2.1":       "write 192.0.2.1",
		"2001:DB8::1":            "write 2001:db8::1",
		"2001:db8:0:0:0:0:0:1":   "write 2001:db8::1",
		"fe80::1%eth0":           "write fe80::1",
		"0.0.0.0":                "one host",
		"::":                     "one host",
		"224.0.0.1":              "multicast",
		"ff02::1":                "multicast",
		strings.Repeat("1", 1e6): "must be an IP address",
	} {
		_, errs := address(path, s)
		expect(t, errs, "a", message)
	}
}

func TestEndpointAddress(t *testing.T) {
	for _, s := range []string{"127.0.0.1", "::1", "169.254.169.254", "fe80::1"} {
		_, errs := endpointAddress(field.NewPath("a"), s)
		expect(t, errs, "a", "loopback or link-local")
	}
}

func TestPrefix(t *testing.T) {
	path := field.NewPath("a")
	for s, message := range map[string]string{
		"":                     "must be a CIDR",
		"192.0.2.0":            "must be a CIDR",
		"192.0.2.0/33":         "must be a CIDR",
		"192.0.2.1/24":         "write 192.0.2.0/24",
		"2001:DB8::/64":        "write 2001:db8::/64",
		"::ffff:192.0.2.0/120": "as IPv4",
	} {
		_, errs := prefix(path, s)
		expect(t, errs, "a", message)
	}
	if p, errs := prefix(path, "2001:db8::/64"); len(errs) > 0 || p.Bits() != 64 {
		t.Errorf("a /64: %v", errs)
	}
}

func TestInterfaceName(t *testing.T) {
	path := field.NewPath("a")
	for _, s := range []string{"eth0", "veth67060f1f", "enp1s0", "multus0", "br-lan.100", "abcdefghijklmno"} {
		expect(t, interfaceName(path, s), "", "")
	}
	for _, s := range []string{"", ".", "..", "a/b", "a b", "a:1", "a\tb", "a\x00", "ünd", "abcdefghijklmnop"} {
		expect(t, interfaceName(path, s), "a", "name of a network interface")
	}
}

func TestText(t *testing.T) {
	path := field.NewPath("a")
	expect(t, text(path, "a name, öäü 日本", 100), "", "")
	expect(t, text(path, "a\nb", 100), "a", "control characters")
	expect(t, text(path, "\x1b[2J", 100), "a", "control characters")
	expect(t, text(path, "\xff", 100), "a", "control characters")
	expect(t, text(path, long(101), 100), "a", "shorten it to 100")
	expect(t, image(path, "quay.io/a/b:latest"), "", "")
	expect(t, image(path, "a b"), "a", "spaces")
	expect(t, image(path, "a\u00a0b"), "a", "spaces")
}

func TestBounded(t *testing.T) {
	type inner struct {
		Name string `json:"name"`
	}
	type outer struct {
		inner `json:",inline"`
		List  []*inner          `json:"list"`
		Map   map[string]string `json:"map"`
	}
	path := field.NewPath("o")
	expect(t, bounded(path, &outer{List: []*inner{{Name: "a"}, nil}, Map: map[string]string{"a": "b"}}), "", "")
	expect(t, bounded(path, &outer{List: []*inner{{Name: "a\n"}}}), "o.list[0].name", "control")
	expect(t, bounded(path, &outer{Map: map[string]string{"a": long(maxText + 1)}}), "o.map[a]", "shorten")
	expect(t, bounded(path, &outer{Map: map[string]string{"a\x00": "b"}}), "o.map", "control")
	expect(t, bounded(path, &outer{List: make([]*inner, maxEntries+1)}), "o.list", "more than 128")
}
