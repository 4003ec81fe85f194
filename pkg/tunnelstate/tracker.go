// SPDX-License-Identifier: Apache-2.0

package tunnelstate

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/tunnelstate/idset"
)

// State is the state of a tunnel.
type State uint8

// Values of State.
const (
	// Unknown is the state of a tunnel without a report of its gateway node.
	Unknown State = iota
	// Down is the state of a tunnel whose far end does not respond, or has never
	// responded.
	Down
	// Up is the state of a tunnel whose far end responds.
	Up
)

// String returns the state as one word.
func (s State) String() string {
	switch s {
	case Down:
		return "down"
	case Up:
		return "up"
	}
	return "unknown"
}

// Change indicates that the state of tunnels of one gateway node may have changed.
type Change struct {
	// Node is the address of the gateway node.
	Node netip.Addr
	// Tunnels contains the tunnels. A compromised node may report on every possible ID,
	// so test whether it contains a tunnel, and do not iterate over its IDs.
	Tunnels idset.Set
}

// Options configures a Tracker.
type Options struct {
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// SilentAfter is how long after its last heartbeat a node's reports are valid;
	// epic.NodeSilentAfter if 0.
	SilentAfter time.Duration
}

// Tracker stores the reports of all gateway nodes. Its methods may be called
// concurrently.
type Tracker struct {
	now         func() time.Time
	silentAfter time.Duration
	wake        chan struct{}

	// changing is held while a change is made and notified, so notifications have the
	// order of the changes.
	changing  sync.Mutex
	listeners []func(Change)

	mu    sync.RWMutex
	nodes map[netip.Addr]*report
}

// report is the last report of one node.
type report struct {
	up, down  idset.Set
	heartbeat time.Time
	// until is when the report expires, by the clock of this program.
	until  time.Time
	lapsed bool
}

// sets returns the valid part of a report, which may be nil.
func (r *report) sets() (up, down idset.Set) {
	if r == nil || r.lapsed {
		return idset.Set{}, idset.Set{}
	}
	return r.up, r.down
}

// New returns a Tracker without reports.
func New(o Options) *Tracker {
	t := &Tracker{now: o.Now, silentAfter: o.SilentAfter, wake: make(chan struct{}, 1), nodes: map[netip.Addr]*report{}}
	if t.now == nil {
		t.now = time.Now
	}
	if t.silentAfter <= 0 {
		t.silentAfter = epic.NodeSilentAfter
	}
	return t
}

// OnChange sets a function that is called after each change. It must not block, and must
// not call Set, Delete or OnChange. Call OnChange before the tracker gets its first node.
func (t *Tracker) OnChange(told func(Change)) {
	t.changing.Lock()
	defer t.changing.Unlock()
	t.listeners = append(t.listeners, told)
}

// Set stores the report of a node.
func (t *Tracker) Set(node *epicv1.GatewayNode) {
	// The server ensures that only this node writes the object with this name.
	address, err := epic.GatewayNodeAddress(node.Name)
	if err != nil || node.Namespace != epic.ConfigNamespace {
		return
	}
	next := &report{heartbeat: node.Status.HeartbeatTime.Time}
	if states := node.Status.TunnelStates; states != nil {
		// The server only stores valid sets; an invalid one counts as empty.
		next.up, _ = idset.Decode(states.Up)
		next.down, _ = idset.Decode(states.Down)
	}
	t.change(address, func(old *report) *report {
		now := t.now()
		switch {
		case old == nil:
			// Clocks may differ. The next heartbeat corrects this.
			next.until = next.heartbeat.Add(t.silentAfter)
			if latest := now.Add(t.silentAfter); next.until.After(latest) {
				next.until = latest
			}
		case old.heartbeat.Equal(next.heartbeat):
			next.until = old.until
		default:
			next.until = now.Add(t.silentAfter)
		}
		next.lapsed = !now.Before(next.until)
		return next
	})
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// Delete removes a node whose object was deleted.
func (t *Tracker) Delete(node *epicv1.GatewayNode) {
	if address, err := epic.GatewayNodeAddress(node.Name); err == nil && node.Namespace == epic.ConfigNamespace {
		t.change(address, func(*report) *report { return nil })
	}
}

// change replaces the report of a node and notifies of the difference.
func (t *Tracker) change(node netip.Addr, replace func(old *report) *report) {
	t.changing.Lock()
	defer t.changing.Unlock()
	old := t.nodes[node] // only written with changing held
	next := replace(old)
	t.mu.Lock()
	if next == nil {
		delete(t.nodes, node)
	} else {
		t.nodes[node] = next
	}
	t.mu.Unlock()
	upBefore, downBefore := old.sets()
	up, down := next.sets()
	changed := up.Differ(upBefore).Union(down.Differ(downBefore))
	if changed.Empty() {
		return
	}
	for _, told := range t.listeners {
		told(Change{Node: node, Tunnels: changed})
	}
}

// Run expires the reports of nodes whose heartbeats stop, until ctx ends.
func (t *Tracker) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-t.wake:
		}
		timer.Reset(t.expire())
	}
}

// expire expires outdated reports, and returns the minimum time for which the others are
// valid.
func (t *Tracker) expire() time.Duration {
	now, next := t.now(), time.Hour
	var due []netip.Addr
	t.mu.RLock()
	for address, r := range t.nodes {
		switch left := r.until.Sub(now); {
		case r.lapsed:
		case left <= 0:
			due = append(due, address)
		default:
			next = min(next, left)
		}
	}
	t.mu.RUnlock()
	slices.SortFunc(due, netip.Addr.Compare)
	for _, address := range due {
		t.change(address, func(old *report) *report {
			if old == nil || t.now().Before(old.until) {
				return old
			}
			lapsed := *old
			lapsed.lapsed = true
			return &lapsed
		})
	}
	return next
}

// State returns the state of the tunnel with an ID that ends on the gateway node
// with an address.
func (t *Tracker) State(tunnel int32, gatewayNode netip.Addr) State {
	if tunnel <= 0 {
		return Unknown
	}
	t.mu.RLock()
	up, down := t.nodes[gatewayNode].sets()
	t.mu.RUnlock()
	switch {
	case down.Has(uint32(tunnel)):
		return Down
	case up.Has(uint32(tunnel)):
		return Up
	}
	return Unknown
}

// Of returns the states of the tunnels that lead to a client node, by the addresses of
// the gateway nodes at their near ends. It omits tunnels without an ID.
func (t *Tracker) Of(status *epicv1.ProxyStatus, clientNode string) map[netip.Addr]State {
	states := map[netip.Addr]State{}
	for address, tunnel := range status.GUETunnelEndpoints[clientNode].EPICEndpoints {
		if node, err := netip.ParseAddr(address); err == nil && tunnel.TunnelID > 0 {
			states[node] = t.State(tunnel.TunnelID, node)
		}
	}
	return states
}

// Handler returns a handler for an informer on GatewayNode objects that keeps the
// tracker up to date.
func (t *Tracker) Handler() cache.ResourceEventHandler {
	set := func(obj any) {
		if node, ok := obj.(*epicv1.GatewayNode); ok {
			t.Set(node)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, obj any) { set(obj) },
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if node, ok := obj.(*epicv1.GatewayNode); ok {
				t.Delete(node)
			}
		},
	}
}
