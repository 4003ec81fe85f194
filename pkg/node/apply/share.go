// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/acnodal/epic/pkg/dataplane"
)

// Counts holds the number of entries of each kind of some objects on this node.
type Counts struct {
	Tunnels, Services, Openings, Directs int
}

// Shares returns the maximum that one account may have of a gateway's data plane, so no
// account can fill the maps and block others. percent is its share of each map. A service
// and an opening take up to two entries.
func Shares(options dataplane.Options, percent int) Counts {
	part := func(of uint32, each int) int { return max(int(of)*percent/100/each, 1) }
	return Counts{
		Tunnels:  part(options.MaxTunnels, 1),
		Services: part(options.MaxServices, 2),
		Openings: part(dataplane.MaxOpenings, 2),
		Directs:  part(dataplane.MaxDirects, 1),
	}
}

func countsOf(p *Plan) Counts {
	return Counts{Tunnels: len(p.Tunnels), Services: len(p.Services), Openings: len(p.Openings), Directs: len(p.Directs)}
}

func (c Counts) plus(d Counts) Counts {
	return Counts{c.Tunnels + d.Tunnels, c.Services + d.Services, c.Openings + d.Openings, c.Directs + d.Directs}
}

func (c Counts) minus(d Counts) Counts {
	return Counts{c.Tunnels - d.Tunnels, c.Services - d.Services, c.Openings - d.Openings, c.Directs - d.Directs}
}

// below reports whether any number is lower than the corresponding one in d.
func (c Counts) below(d Counts) bool {
	return c.Tunnels < d.Tunnels || c.Services < d.Services || c.Openings < d.Openings || c.Directs < d.Directs
}

// within removes what exceeds the shares from an object's plan, given the usage of the
// account's other objects. It reports whether it removed anything. Existing entries are
// kept first, and entries that only keep connections open are removed first.
func (c Counts) within(others Counts, was, plan *Plan) bool {
	var short []string
	leftOut := func(left, share int, what string) {
		if left > 0 {
			short = append(short, fmt.Sprintf("%d of its %s are left out, because an account may have at most %d on this node", left, what, share))
		}
	}
	var left int
	plan.Tunnels, left = cut(plan.Tunnels, was.Tunnels, c.Tunnels-others.Tunnels, func(t *dataplane.Tunnel) uint32 { return t.ID }, never)
	leftOut(left, c.Tunnels, "tunnels")
	if left > 0 {
		there := map[uint32]bool{}
		for _, t := range plan.Tunnels {
			there[t.ID] = true
		}
		plan.Services = slices.DeleteFunc(plan.Services, func(s dataplane.Service) bool { return !there[s.Tunnel] })
	}
	plan.Services, left = cut(plan.Services, was.Services, c.Services-others.Services, keyOf, func(s *dataplane.Service) bool { return s.Leaving })
	leftOut(left, c.Services, "endpoints by proxies")
	plan.Openings, left = cut(plan.Openings, was.Openings, c.Openings-others.Openings, itself, never)
	leftOut(left, c.Openings, "published ports by proxies")
	plan.Directs, left = cut(plan.Directs, was.Directs, c.Directs-others.Directs, itself, never)
	leftOut(left, c.Directs, "endpoints without a tunnel by proxies")
	for _, text := range short {
		plan.Problems = append(plan.Problems, text+": remove some, run fewer proxies, or ask the platform team to raise the share")
	}
	return len(short) > 0
}

func itself[T any](t *T) T { return *t }
func never[T any](*T) bool { return false }

// cut keeps as many entries as fit: first existing ones, then new ones, then optional
// ones. It returns the number of removed entries.
func cut[T any, K comparable](want, had []T, room int, key func(*T) K, mayGo func(*T) bool) (kept []T, left int) {
	room = max(room, 0)
	if len(want) <= room {
		return want, 0
	}
	there := make(map[K]bool, len(had))
	for i := range had {
		there[key(&had[i])] = true
	}
	rank := func(t *T) int {
		switch {
		case mayGo(t):
			return 2
		case there[key(t)]:
			return 0
		}
		return 1
	}
	sorted := slices.Clone(want)
	slices.SortStableFunc(sorted, func(a, b T) int { return cmp.Compare(rank(&a), rank(&b)) })
	return sorted[:room:room], len(want) - room
}

// usage tracks the usage of each account's objects, if there are shares.
type usage struct {
	shares Counts
	// by holds the usage by account, and short the objects of which something was left
	// out.
	by    map[string]Counts
	short map[string]map[*object]struct{}
}

// Share limits each account to its share. Call it before Run.
func (a *Applier) Share(shares Counts) {
	a.usage = &usage{shares: shares, by: map[string]Counts{}, short: map[string]map[*object]struct{}{}}
}

// limit removes what exceeds the shares from the plans.
func (u *usage) limit(running map[string]Counts, c *change) {
	if u == nil {
		return
	}
	account := c.o.key.Namespace
	others, ok := running[account]
	if !ok {
		others = u.by[account]
	}
	others = others.minus(countsOf(&c.was))
	c.short = u.shares.within(others, &c.was, &c.plan)
	running[account] = others.plus(countsOf(&c.plan))
}

// settle records the usage of objects, and returns those that lack something which may
// fit now.
func (u *usage) settle(changes []change) []*object {
	if u == nil {
		return nil
	}
	before := map[string]Counts{}
	for i := range changes {
		c := &changes[i]
		account := c.o.key.Namespace
		if _, ok := before[account]; !ok {
			before[account] = u.by[account]
		}
		u.by[account] = u.by[account].minus(countsOf(&c.was)).plus(countsOf(&c.plan))
		switch {
		case c.short && u.short[account] == nil:
			u.short[account] = map[*object]struct{}{c.o: {}}
		case c.short:
			u.short[account][c.o] = struct{}{}
		default:
			delete(u.short[account], c.o)
		}
	}
	var again []*object
	for account, was := range before {
		if u.by[account].below(was) {
			for o := range u.short[account] {
				again = append(again, o)
			}
		}
		if u.by[account] == (Counts{}) && len(u.short[account]) == 0 {
			delete(u.by, account)
			delete(u.short, account)
		}
	}
	return again
}
