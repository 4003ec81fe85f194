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

// gatewayEnds answers PINGs.
type gatewayEnds struct {
	*gue.Responder

	mu sync.Mutex
	// remotes and sequences are what an earlier program left, until their tunnels
	// come.
	remotes   map[uint32]netip.AddrPort
	sequences map[uint32]uint64
}

// Set implements apply.Ends.
func (e *gatewayEnds) Set(t dataplane.Tunnel, keys []gue.Key) error {
	e.mu.Lock()
	remote, sequence := e.remotes[t.ID], e.sequences[t.ID]
	delete(e.remotes, t.ID)
	delete(e.sequences, t.ID)
	e.mu.Unlock()
	return e.Responder.Set(gue.ResponderTunnel{ID: t.ID, Local: t.Local, Keys: keys, Remote: remote, Sequence: sequence})
}

// Remove implements apply.Ends. What an earlier program left goes with the tunnel.
func (e *gatewayEnds) Remove(tunnel uint32) {
	e.mu.Lock()
	delete(e.remotes, tunnel)
	delete(e.sequences, tunnel)
	e.mu.Unlock()
	e.Responder.Remove(tunnel)
}

// Count implements control.
func (e *gatewayEnds) Count(r gue.Result) uint64 { return e.Counts.Of(r) }

// clientEnds sends PINGs.
type clientEnds struct {
	*gue.Initiator
	// ports keeps the host's NAT away; nil if there is none to keep away.
	ports PortKeeper
}

// Set implements apply.Ends.
func (e clientEnds) Set(t dataplane.Tunnel, keys []gue.Key) error {
	if e.ports != nil {
		if err := e.ports.Keep(t.Local.Addr()); err != nil {
			return err
		}
	}
	return e.Initiator.Set(gue.InitiatorTunnel{ID: t.ID, Local: t.Local, Remote: t.Remote, Keys: keys})
}

// Count implements control.
func (e clientEnds) Count(r gue.Result) uint64 { return e.Counts.Of(r) }
