// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/node/intent"
	"github.com/acnodal/epic/pkg/node/internal/fakeplane"
	"github.com/acnodal/epic/pkg/node/proxies"
)

// of is an object of an account with endpoints and published ports.
func of(account, name string, tunnel uint32, pods, ports int) *intent.Intent {
	i := intended(name, tunnel)
	i.Key.Namespace = account
	for n := range pods {
		more := intended(name, tunnel, fmt.Sprintf("10.0.%d.%d:80", n/250, n%250+1))
		more.Endpoints[0].Protocol = 17 // which is closed at once when it is removed
		i.Endpoints = append(i.Endpoints, more.Endpoints...)
	}
	for n := range ports {
		i.Ports = append(i.Ports, intent.Port{Port: uint16(n + 1), Protocol: 6})
	}
	return i
}

// has counts the services and openings of a plane by interface, and its tunnels.
func has(t *testing.T, plane *fakeplane.Plane) (services, openings map[int]int, tunnels int) {
	t.Helper()
	services, openings = map[int]int{}, map[int]int{}
	s, err := plane.Services().List()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range s {
		services[one.Interface]++
	}
	o, err := plane.Openings().List()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range o {
		openings[one.Interface]++
	}
	all, err := plane.Tunnels().List()
	if err != nil {
		t.Fatal(err)
	}
	return services, openings, len(all)
}

func problemsOf(a *Applier, i *intent.Intent) string {
	s, _ := a.Get(i.Key)
	return strings.Join(s.Plan.Problems, "\n")
}

// An account that has more than its share keeps what it had, is told what is left out, and
// gets that as soon as it removes something. No other account notices.
func TestShares(t *testing.T) {
	interfaces := map[string]int{"big": 1, "more": 2, "small": 3}
	plane := fakeplane.New()
	a := New(plane, &ends{open: map[uint32]uint8{}}, ForGateway(anywhere, func(k intent.Key) []proxies.Interface {
		return []proxies.Interface{{Index: interfaces[k.Name]}}
	}, nobody))
	a.Share(Counts{Tunnels: 2, Services: 50, Openings: 10, Directs: 5})
	run(t, a)
	big, more, small := of("epic-hostile", "big", 1, 40, 8), of("epic-hostile", "more", 2, 30, 4), of("epic-good", "small", 3, 50, 10)
	a.Set(big)
	wait(t, a)
	a.Set(more)
	a.Set(small)
	wait(t, a)
	check := func(when string, wantServices, wantOpenings map[int]int, wantTunnels int) {
		t.Helper()
		wait(t, a)
		services, openings, tunnels := has(t, plane)
		for ifindex := range 4 {
			if services[ifindex] != wantServices[ifindex] || openings[ifindex] != wantOpenings[ifindex] {
				t.Errorf("%s: interface %d has %d services and %d openings, want %d and %d", when, ifindex, services[ifindex], openings[ifindex], wantServices[ifindex], wantOpenings[ifindex])
			}
		}
		if tunnels != wantTunnels {
			t.Errorf("%s: %d tunnels, want %d", when, tunnels, wantTunnels)
		}
	}
	check("at the share", map[int]int{1: 40, 2: 10, 3: 50}, map[int]int{1: 8, 2: 2, 3: 10}, 3)
	for _, text := range []string{"20 of its endpoints", "2 of its published ports", "may have at most 50"} {
		if !strings.Contains(problemsOf(a, more), text) {
			t.Errorf("the problems of the object that exceeds the share are %q, want %q", problemsOf(a, more), text)
		}
	}
	if text := problemsOf(a, small) + problemsOf(a, big); text != "" {
		t.Errorf("the problems of others are %q", text)
	}
	a.Set(of("epic-hostile", "third", 4, 1, 0))
	check("with a tunnel too many", map[int]int{1: 40, 2: 10, 3: 50}, map[int]int{1: 8, 2: 2, 3: 10}, 3)
	a.Replan()
	check("planned again", map[int]int{1: 40, 2: 10, 3: 50}, map[int]int{1: 8, 2: 2, 3: 10}, 3)
	a.Set(of("epic-hostile", "big", 1, 15, 3))
	wait(t, a)
	check("with a smaller object", map[int]int{1: 15, 2: 30, 3: 50}, map[int]int{1: 3, 2: 4, 3: 10}, 3)
	if text := problemsOf(a, more); text != "" {
		t.Errorf("then the problems are %q", text)
	}
	a.Delete(big.Key)
	wait(t, a)
	check("without it", map[int]int{0: 1, 2: 30, 3: 50}, map[int]int{2: 4, 3: 10}, 3)
	for _, key := range []intent.Key{more.Key, small.Key, of("epic-hostile", "third", 4, 0, 0).Key} {
		a.Delete(key)
	}
	check("without any", nil, nil, 0)
	if len(a.usage.by) != 0 || len(a.usage.short) != 0 {
		t.Errorf("noted are %v and %v", a.usage.by, a.usage.short)
	}
}

// Whatever objects come and go, and whatever fails, what is noted of an account is what its
// objects have, and within its share.
func TestSharesHold(t *testing.T) {
	plane := fakeplane.New()
	a := New(plane, &ends{open: map[uint32]uint8{}}, ForGateway(anywhere, func(k intent.Key) []proxies.Interface {
		return []proxies.Interface{{Index: int(k.Name[0])}}
	}, nobody))
	shares := Counts{Tunnels: 3, Services: 30, Openings: 12, Directs: 4}
	a.Share(shares)
	run(t, a)
	random := rand.New(rand.NewPCG(7, 7))
	for range 300 {
		n := random.IntN(8)
		account, name := fmt.Sprintf("epic-%d", n%2), string(rune('a'+n))
		i := of(account, name, uint32(n+1), random.IntN(20), random.IntN(8))
		for range random.IntN(4) {
			i.Direct = append(i.Direct, intent.Direct{Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(random.IntN(9))}), 80), Protocol: 6})
		}
		if random.IntN(4) == 0 {
			a.Delete(i.Key)
		} else {
			a.Set(i)
		}
		if random.IntN(3) == 0 {
			wait(t, a)
		}
	}
	wait(t, a)
	total := map[string]Counts{}
	a.Each(func(s State) {
		if s.Err != nil {
			t.Errorf("%v: %v", s.Intent.Key, s.Err)
		}
		total[s.Intent.Key.Namespace] = total[s.Intent.Key.Namespace].plus(countsOf(&s.Plan))
	})
	for account, counts := range total {
		if shares.below(counts) || a.usage.by[account] != counts {
			t.Errorf("%s has %+v of %+v, and %+v are noted", account, counts, shares, a.usage.by[account])
		}
	}
	services, openings, tunnels := has(t, plane)
	if len(services) == 0 || len(openings) == 0 || tunnels == 0 {
		t.Error("nothing is left to compare")
	}
}

// Existing services come before new ones, and those that only keep connections go first.
func TestCut(t *testing.T) {
	services := func(of string) (list []dataplane.Service) {
		for _, c := range of {
			list = append(list, dataplane.Service{Interface: int(strings.ToLower(string(c))[0]), Leaving: c >= 'a'})
		}
		return list
	}
	for _, tt := range []struct {
		had, want string
		room      int
		kept      string
	}{
		{"", "ABC", 3, "ABC"},
		{"", "ABC", 2, "AB"},
		{"C", "ABC", 2, "CA"},
		{"CA", "aBCD", 2, "CB"},
		{"a", "aB", 1, "B"},
		{"ABC", "abc", 2, "ab"},
		{"", "ABC", 0, ""},
		{"", "ABC", -5, ""},
		{"ABC", "", 2, ""},
	} {
		kept, left := cut(services(tt.want), services(tt.had), tt.room, keyOf, func(s *dataplane.Service) bool { return s.Leaving })
		got := slices.EqualFunc(kept, services(tt.kept), func(a, b dataplane.Service) bool { return a.Interface == b.Interface && a.Leaving == b.Leaving })
		if !got || left != len(tt.want)-len(tt.kept) {
			t.Errorf("of %q, with %q there and room for %d: kept %v, %d left out", tt.want, tt.had, tt.room, kept, left)
		}
	}
}

// An account gets its part of each map.
func TestShareOfOptions(t *testing.T) {
	options := dataplane.Options{MaxTunnels: 1000, MaxServices: 2000}
	if got, want := Shares(options, 25), (Counts{Tunnels: 250, Services: 250, Openings: 16384, Directs: 32768}); got != want {
		t.Errorf("a quarter is %+v, want %+v", got, want)
	}
	if got := Shares(dataplane.Options{}, 1); got.Tunnels < 1 || got.Services < 1 {
		t.Errorf("a small share is %+v", got)
	}
}
