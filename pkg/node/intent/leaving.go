// SPDX-License-Identifier: Apache-2.0

package intent

import (
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/pkg/endpoints"
)

// maxLeaving is the maximum number of leaving endpoints of an object. Beyond that, those
// that left first are closed, so a tenant that adds and removes endpoints all the time
// does not fill the node's maps.
const maxLeaving = 1024

// Leaving is an endpoint that the object no longer has. Its open connections continue for
// a while, so requests in progress can complete; it gets no new connection.
type Leaving struct {
	endpoints.Endpoint
	// Until is when it is closed.
	Until time.Time `json:"until"`
}

func (l *Leaving) equal(m *Leaving) bool { return l.Endpoint == m.Endpoint && l.Until.Equal(m.Until) }

// leave returns the endpoints that leave an object, given its earlier intent. Only TCP
// has connections whose packets show that they are open.
//
// An address is never leaving and in use at the same time: a current endpoint with the
// same address, port and protocol takes precedence, and a direct endpoint takes
// precedence for all ports of its address, because an address with a tunnel is only
// reached by that.
func (i *Intent) leave(before *Intent, now time.Time) []Leaving {
	if len(before.Leaving) == 0 && len(before.Endpoints) == 0 {
		return nil
	}
	until := now.Add(endpoints.LeaveAfter).UTC().Round(time.Millisecond)
	all := slices.Clone(before.Leaving)
	for n := range before.Endpoints {
		if e := before.Endpoints[n]; e.Protocol == unix.IPPROTO_TCP {
			all = append(all, Leaving{e, until})
		}
	}
	stays := i.stays()
	nodes := map[netip.Addr]bool{}
	for n := range i.Tunnels {
		nodes[i.Tunnels[n].TenantNode] = true
	}
	all = slices.DeleteFunc(all, func(l Leaving) bool {
		_, live := stays[Direct{l.Address, l.Protocol}]
		_, direct := stays[Direct{Address: netip.AddrPortFrom(l.Address.Addr(), 0)}]
		return live || direct || !nodes[l.Node] || !l.Until.After(now)
	})
	// They are in the order in which they left. The compared endpoints are not stored
	// with them: usually, none has left.
	if len(all) == 0 {
		return nil
	}
	return slices.Clone(all[max(0, len(all)-maxLeaving):])
}

// stays returns the endpoints of an intent, and the addresses of direct ones with port 0.
func (i *Intent) stays() map[Direct]struct{} {
	out := make(map[Direct]struct{}, len(i.Endpoints)+len(i.Direct))
	for n := range i.Endpoints {
		out[Direct{i.Endpoints[n].Address, i.Endpoints[n].Protocol}] = struct{}{}
	}
	for _, d := range i.Direct {
		out[Direct{Address: netip.AddrPortFrom(d.Address.Addr(), 0)}] = struct{}{}
	}
	for _, s := range i.Shut {
		out[s.Direct] = struct{}{}
	}
	return out
}

// Expire returns the intent without the expired leaving endpoints, and the expiration of
// the next one; the zero time if there is none.
func (i *Intent) Expire(now time.Time) (*Intent, time.Time) {
	var next time.Time
	over := 0
	for n := range i.Leaving {
		switch until := i.Leaving[n].Until; {
		case !until.After(now):
			over++
		case next.IsZero() || until.Before(next):
			next = until
		}
	}
	if over == 0 {
		return i, next
	}
	after := *i
	after.Leaving = slices.Clip(slices.DeleteFunc(slices.Clone(i.Leaving), func(l Leaving) bool { return !l.Until.After(now) }))
	return &after, next
}

// WithoutLeaving returns the intent without leaving endpoints.
func (i *Intent) WithoutLeaving() *Intent {
	if len(i.Leaving) == 0 {
		return i
	}
	after := *i
	after.Leaving = nil
	return &after
}
