// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"fmt"
	"testing"

	"github.com/acnodal/epic/pkg/operator/workload"
)

// Where a proxy listens that has no network namespace of its own.
func TestHostAndLoopback(t *testing.T) {
	for name, test := range map[string]struct {
		address, alt   string
		host, loopback string
	}{
		"IPv4":           {"192.0.2.1", "", "[192.0.2.1]", "[127.0.2.1]"},
		"both families":  {"2001:db8::1:203", "192.0.2.1", "[2001:db8::1:203 192.0.2.1]", "[127.1.2.3]"},
		"one family":     {"192.0.2.1", "192.0.2.2", "[192.0.2.1]", "[127.0.2.1]"},
		"IPv4 in IPv6":   {"::ffff:192.0.2.1", "", "[192.0.2.1]", "[127.0.2.1]"},
		"no address":     {"", "", "", ""},
		"not an address": {"here", "", "", ""},
	} {
		p := &workload.Proxy{Kind: workload.GWProxy, Namespace: "epic-acme", Name: "gw", Address: test.address, AltAddress: test.alt}
		for what, n := range map[string]struct {
			network Network
			want    string
		}{"host": {Host{}, test.host}, "loopback": {Loopback{}, test.loopback}} {
			link, err := n.network.Attach("id", "gw-0", p)
			if n.want == "" {
				if err == nil {
					t.Errorf("%s: %s: no error", name, what)
				}
				continue
			}
			// It is this host's own namespace and has no interface, so nothing is undone.
			if got := fmt.Sprint(link.Addresses); err != nil || got != n.want || link.Netns != "" || link.Interface != "" {
				t.Errorf("%s: %s: %+v, %v, want %s", name, what, link, err, n.want)
			}
			if err := n.network.Detach("id", link); err != nil {
				t.Errorf("%s: %s: %v", name, what, err)
			}
		}
	}
	for published, want := range map[uint16]uint16{80: 10080, 1023: 11023, 1024: 1024, 8888: 8888} {
		if got := LoopbackPort(published); got != want {
			t.Errorf("port %d: %d, want %d", published, got, want)
		}
	}
}
