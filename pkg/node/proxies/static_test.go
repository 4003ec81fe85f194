// SPDX-License-Identifier: Apache-2.0

package proxies_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/acnodal/epic/pkg/node/internal/testns"
	"github.com/acnodal/epic/pkg/node/proxies"
	"github.com/acnodal/epic/pkg/node/proxies/proxiestest"
)

const goodDescription = `proxies:
- kind: LoadBalancer
  namespace: epic-a
  owner: lb
  interface: proxy0
  mac: 02:00:00:00:00:01
  addresses: [203.0.113.5, "2001:db8::5"]
`

func TestParseDescription(t *testing.T) {
	for _, tt := range []struct{ name, from, to, want string }{
		{"good", "", "", ""},
		{"unknown field", "owner: lb", "owner: lb\n  color: red", "color"},
		{"field twice", "owner: lb", "owner: lb\n  owner: lb", "owner"},
		{"kind", "LoadBalancer", "Service", "proxies[0].kind"},
		{"namespace", "epic-a", `""`, "proxies[0].namespace"},
		{"owner", "owner: lb", `owner: ""`, "proxies[0].owner"},
		{"no interface", "proxy0", `""`, "proxies[0].interface"},
		{"long interface", "proxy0", "a-name-that-is-too-long", "proxies[0].interface"},
		{"mac", "02:00:00:00:00:01", "zz", "proxies[0].mac"},
		{"group mac", "02:00:00:00:00:01", "03:00:00:00:00:01", "proxies[0].mac"},
		{"no address", `[203.0.113.5, "2001:db8::5"]`, "[]", "proxies[0].addresses"},
		{"prefix", "203.0.113.5", "203.0.113.5/24", "proxies[0].addresses[0]"},
		{"two of a family", "203.0.113.5", "203.0.113.5, 203.0.113.6", "proxies[0].addresses[1]"},
		{"loopback", "203.0.113.5", "127.0.0.1", "proxies[0].addresses[0]"},
		{"not YAML", "proxies:", "proxies: [", "yaml"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := proxies.ParseDescription([]byte(strings.Replace(goodDescription, tt.from, tt.to, 1)))
			if tt.want == "" {
				if err != nil || len(got) != 1 || got[0].Pod != "lb" || len(got[0].Addresses) != 2 {
					t.Errorf("got %+v, %v", got, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
	second := strings.TrimPrefix(goodDescription, "proxies:\n")
	_, err := proxies.ParseDescription([]byte(goodDescription + second))
	if err == nil || !strings.Contains(err.Error(), "proxies[1].pod") || !strings.Contains(err.Error(), "proxies[1].interface") {
		t.Errorf("two equal proxies: %v", err)
	}
}

func FuzzParseDescription(f *testing.F) {
	f.Add([]byte(goodDescription))
	f.Add([]byte(`{"proxies":[{"kind":"GWProxy"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := proxies.ParseDescription(data)
		if err != nil {
			return
		}
		for _, i := range list {
			if i.Name == "" || i.Owner == "" || len(i.PeerMAC) != 6 || len(i.Addresses) == 0 || len(i.Addresses) > 2 {
				t.Errorf("accepted %+v", i)
			}
		}
	})
}

func TestStatic(t *testing.T) {
	ns := testns.New(t)
	path := filepath.Join(t.TempDir(), "proxies.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := proxies.OpenStatic(path, ns.Handle); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("without the file: %v", err)
	}
	write(goodDescription)
	s, err := proxies.OpenStatic(path, ns.Handle)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	lists := proxiestest.Follow(t, s)
	proxiestest.Until(t, "no interface yet", lists, func(l []proxies.Interface) bool { return len(l) == 0 })
	link := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "proxy0"}}
	if err := ns.Net.LinkAdd(link); err != nil {
		t.Fatal(err)
	}
	proxiestest.Until(t, "the interface came", lists, func(l []proxies.Interface) bool {
		return len(l) == 1 && l[0].Index == link.Attrs().Index && l[0].Owner == "lb"
	})
	write("nonsense: true\n")
	time.Sleep(50 * time.Millisecond)
	if len(s.List()) != 1 {
		t.Error("a wrong file took the proxies away")
	}
	write(strings.Replace(goodDescription, "owner: lb", "owner: other", 1))
	proxiestest.Until(t, "the file changed", lists, func(l []proxies.Interface) bool { return len(l) == 1 && l[0].Owner == "other" })
	if err := ns.Net.LinkDel(link); err != nil {
		t.Fatal(err)
	}
	proxiestest.Until(t, "the interface went", lists, func(l []proxies.Interface) bool { return len(l) == 0 })
}
