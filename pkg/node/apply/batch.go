// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"net/netip"
	"slices"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/node/intent"
)

// change is the old and the new state of one object.
type change struct {
	o         *object
	was, plan Plan
	keys      intent.Keys
	// short reports whether something is left out because the account has used its share.
	short bool
}

// batch is a set of changes to the kernel.
type batch struct {
	goneServices []dataplane.Service
	goneTunnels  []uint32
	// closed holds new tunnels, which are closed, and those that the far end will open;
	// open holds those that change and whose far end is known.
	closed, open []dataplane.Tunnel
	services     []dataplane.Service
	// movedServices holds the services of endpoints to which other tunnels lead now. They
	// are removed after the new ones are added, so no packet is lost in between.
	movedServices []dataplane.Service

	goneOpenings, openings []dataplane.Opening
	goneDirects, directs   []dataplane.Direct
}

// prepare plans objects and compares the plans with the applied state.
func (a *Applier) prepare(keys []intent.Key) ([]change, batch) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var changes []change
	newTunnels, newServices, newOpenings := map[uint32]bool{}, map[serviceKey]bool{}, map[dataplane.Opening]bool{}
	newDirects := map[dataplane.Direct]bool{}
	running := map[string]Counts{}
	for _, key := range keys {
		o := a.objects[key]
		if o == nil {
			continue
		}
		c := change{o: o, was: o.applied.plan(), keys: o.keys}
		if o.want != nil {
			c.plan = a.plan(o.want)
		}
		a.usage.limit(running, &c)
		for _, t := range c.plan.Tunnels {
			newTunnels[t.ID] = true
		}
		for i := range c.plan.Services {
			key := keyOf(&c.plan.Services[i])
			newServices[key], newServices[key.anyTunnel()] = true, true
		}
		for _, opening := range c.plan.Openings {
			newOpenings[opening] = true
		}
		for _, direct := range c.plan.Directs {
			newDirects[direct] = true
		}
		changes = append(changes, c)
	}
	var b batch
	for _, c := range changes {
		b.add(c, newTunnels, newServices, a.owners)
		b.goneOpenings, b.openings = compare(b.goneOpenings, b.openings, c.was.Openings, c.plan.Openings, newOpenings, c.o.err != nil)
		b.goneDirects, b.directs = compare(b.goneDirects, b.directs, c.was.Directs, c.plan.Directs, newDirects, c.o.err != nil)
	}
	return changes, b
}

func (b *batch) add(c change, newTunnels map[uint32]bool, newServices map[serviceKey]bool, owners map[uint32]*object) {
	old := map[uint32]dataplane.Tunnel{}
	for _, t := range c.was.Tunnels {
		old[t.ID] = t
		if !newTunnels[t.ID] && owners[t.ID] == c.o {
			b.goneTunnels = append(b.goneTunnels, t.ID)
		}
	}
	for _, t := range c.plan.Tunnels {
		was, known := old[t.ID]
		// A failed change may be half applied, so it is repeated.
		if known && was == t && c.o.err == nil {
			continue
		}
		if !known || !t.Remote.IsValid() {
			shut := t
			shut.Remote = netip.AddrPort{}
			b.closed = append(b.closed, shut)
		}
		if t.Remote.IsValid() {
			b.open = append(b.open, t)
		}
	}
	had := map[serviceKey]*dataplane.Service{}
	for i := range c.was.Services {
		s := &c.was.Services[i]
		had[keyOf(s)] = s
		switch key := keyOf(s); {
		case newServices[key]:
		case s.Interface != 0 && newServices[key.anyTunnel()]:
			b.movedServices = append(b.movedServices, *s)
		default:
			b.goneServices = append(b.goneServices, *s)
		}
	}
	for i := range c.plan.Services {
		s := &c.plan.Services[i]
		if was := had[keyOf(s)]; was == nil || c.o.err != nil || !sameService(was, s) {
			b.services = append(b.services, *s)
		}
	}
}

// compare appends to gone what one object had and none of the changed ones has, and to
// missing what it has and did not have, or everything after an error.
func compare[T comparable](gone, missing, had, has []T, wanted map[T]bool, failed bool) ([]T, []T) {
	applied := make(map[T]bool, len(had))
	for _, one := range had {
		applied[one] = true
		if !wanted[one] {
			gone = append(gone, one)
		}
	}
	for _, one := range has {
		if failed || !applied[one] {
			missing = append(missing, one)
		}
	}
	return gone, missing
}

// serviceKey identifies a service.
type serviceKey struct {
	tunnel    uint32
	index     int
	endpoint  netip.AddrPort
	transport uint8
}

// anyTunnel returns the common key of services that reach an endpoint by several tunnels.
// No service has it, because no tunnel ID is zero.
func (k serviceKey) anyTunnel() serviceKey {
	k.tunnel = 0
	return k
}

func keyOf(s *dataplane.Service) serviceKey {
	return serviceKey{tunnel: s.Tunnel, index: s.Interface, endpoint: s.Endpoint, transport: s.Protocol}
}

func sameService(a, b *dataplane.Service) bool {
	return a.Leaving == b.Leaving && slices.Equal(a.Sources, b.Sources)
}
