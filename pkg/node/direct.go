// SPDX-License-Identifier: Apache-2.0

package node

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/acnodal/epic/pkg/addresspool"
	"github.com/acnodal/epic/pkg/denied"
	"github.com/acnodal/epic/pkg/node/apply"
	"github.com/acnodal/epic/pkg/node/status"
)

// guard holds the addresses that no proxy may reach without a tunnel, of those that the
// API server rejects: reserved ones, and those of this node and of the public pools.
type guard struct{ list atomic.Pointer[denied.List] }

// set replaces the addresses.
func (g *guard) set(own []netip.Addr, all map[string]pools) {
	var list denied.List
	for _, a := range own {
		list.AddAddress(a, "an address of this node")
	}
	for _, ps := range all {
		for _, one := range []*pool{ps.Public, ps.Alternate} {
			if one != nil {
				denyPool(&list, one.Pool)
			}
		}
	}
	g.list.Store(&list)
}

// denyPool adds a prefix or a range of addresses. It ignores an unreadable one, from
// which no addresses are assigned either.
func denyPool(list *denied.List, text string) {
	const what = "a public address of this gateway"
	if p, err := addresspool.Parse(text); err == nil {
		list.AddRange(p.IPRange, what)
	}
}

// check implements apply.Denied.
func (g *guard) check(a netip.Addr) (string, bool) {
	if list := g.list.Load(); list != nil {
		return list.Check(a)
	}
	return (&denied.List{}).Check(a)
}

// reportDirects lists the endpoints without a tunnel, with the reasons why some are
// closed.
func (g *gateway) reportDirects() []status.Direct {
	var out []status.Direct
	g.applier.Each(func(s apply.State) {
		object := s.Intent.Key.String()
		for _, d := range s.Intent.Direct {
			one := status.Direct{Object: object, Endpoint: d.Address, Protocol: d.Protocol, State: status.Open}
			if what, no := g.guard.check(d.Address.Addr()); no {
				one.State = "closed: it is " + what
			}
			out = append(out, one)
		}
		for _, shut := range s.Intent.Shut {
			out = append(out, status.Direct{Object: object, Endpoint: shut.Address, Protocol: shut.Protocol, State: "closed: " + string(shut.Reason)})
		}
	})
	slices.SortFunc(out, status.CompareDirects)
	return out
}

// guardChanged updates the guard with this node's addresses and the pools.
func (g *gateway) guardChanged() {
	own := slices.Clone(g.Nodes)
	if all, err := g.Kernel.Addresses(); err == nil {
		for a := range all {
			own = append(own, a)
		}
	}
	g.guard.set(own, g.keeper.get().Pools)
}
