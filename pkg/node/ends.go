// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"net/netip"
	"sync"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/gue"
	"github.com/acnodal/epic/pkg/node/apply"
)

// control is this node's end of the control protocol.
type control interface {
	apply.Ends
	Serve(ctx context.Context, s *gue.Socket) error
	Each(see func(tunnel uint32, s gue.PeerState))
	Count(gue.Result) uint64
}

// gatewayEnds responds to PINGs.
type gatewayEnds struct {
	*gue.Responder

	mu sync.Mutex
	// remotes and sequences are left over from an earlier program, until their tunnels
	// are set.
	remotes   map[uint32]netip.AddrPort
	sequences map[uint32]uint64
	cookies   *formerCookies
}

// Set implements apply.Ends.
func (e *gatewayEnds) Set(t dataplane.Tunnel, keys []gue.Key) error {
	e.mu.Lock()
	remote, sequence := e.remotes[t.ID], e.sequences[t.ID]
	delete(e.remotes, t.ID)
	delete(e.sequences, t.ID)
	e.mu.Unlock()
	return e.Responder.Set(gue.ResponderTunnel{ID: t.ID, Local: t.Local, Keys: keys, Remote: remote, Sequence: sequence, Cookies: e.cookies.take(t.ID)})
}

// Remove implements apply.Ends. It also removes what an earlier program left for the
// tunnel.
func (e *gatewayEnds) Remove(tunnel uint32) {
	e.mu.Lock()
	delete(e.remotes, tunnel)
	delete(e.sequences, tunnel)
	e.mu.Unlock()
	e.cookies.take(tunnel)
	e.Responder.Remove(tunnel)
}

// Count implements control.
func (e *gatewayEnds) Count(r gue.Result) uint64 { return e.Counts.Of(r) }

// clientEnds sends PINGs.
type clientEnds struct {
	*gue.Initiator
	// ports excludes packets from the host's NAT; nil if that is not needed.
	ports   PortKeeper
	cookies *formerCookies
}

// Set implements apply.Ends.
func (e clientEnds) Set(t dataplane.Tunnel, keys []gue.Key) error {
	if e.ports != nil {
		if err := e.ports.Keep(t.Local.Addr()); err != nil {
			return err
		}
	}
	return e.Initiator.Set(gue.InitiatorTunnel{ID: t.ID, Local: t.Local, Remote: t.Remote, Keys: keys, Cookies: e.cookies.take(t.ID)})
}

// Remove implements apply.Ends.
func (e clientEnds) Remove(tunnel uint32) {
	e.cookies.take(tunnel)
	e.Initiator.Remove(tunnel)
}

// Count implements control.
func (e clientEnds) Count(r gue.Result) uint64 { return e.Counts.Of(r) }

// formerCookies holds how tunnels used cookies before this program started, until they
// are set.
type formerCookies struct {
	mu  sync.Mutex
	all map[uint32]gue.CookieUse
}

// cookiesBefore returns the state in the data plane and, for tunnels that it lacks, as
// after a reboot, that on disk.
func cookiesBefore(plane dataplane.Tunnels, saved map[uint32]cookieUse) *formerCookies {
	f := &formerCookies{all: map[uint32]gue.CookieUse{}}
	for id, use := range saved {
		f.all[id] = gue.CookieUse(use)
	}
	for id, use := range plane.Cookies() {
		if use == (dataplane.CookieUse{}) {
			delete(f.all, id)
		} else {
			f.all[id] = use
		}
	}
	return f
}

// take returns and removes the state of a tunnel.
func (f *formerCookies) take(tunnel uint32) gue.CookieUse {
	f.mu.Lock()
	defer f.mu.Unlock()
	use := f.all[tunnel]
	delete(f.all, tunnel)
	return use
}

// gather returns what must survive a reboot: how tunnels use cookies.
func (f *formerCookies) gather(ends control) map[uint32]cookieUse {
	out := map[uint32]cookieUse{}
	f.mu.Lock()
	for id, use := range f.all {
		out[id] = cookieUse(use)
	}
	f.mu.Unlock()
	ends.Each(func(id uint32, s gue.PeerState) {
		if s.Cookies != (gue.CookieUse{}) {
			out[id] = cookieUse(s.Cookies)
		}
	})
	return out
}

// mark stores a tunnel's cookies in the data plane, and soon on disk.
func (a *agent) mark(tunnel uint32, c gue.Cookies) error {
	if err := a.Plane.Tunnels().SetCookies(tunnel, c); err != nil {
		return err
	}
	a.saver.touch()
	return nil
}
