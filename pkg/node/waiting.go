// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/node/holdback"
	"github.com/acnodal/epic/pkg/node/intent"
	"github.com/acnodal/epic/pkg/node/proxies"
)

// waiter decides which objects' addresses wait for tunnels before this node announces
// them.
type waiter struct {
	// verified reports whether packets pass a tunnel.
	verified func(tunnel uint32) bool
	// elsewhere reports whether another gateway node has a proxy of an object.
	elsewhere func(intent.Key) bool
	// inherited holds the interfaces of proxies that an earlier program of this node had.
	// It may have announced their addresses, and announced addresses are never withdrawn
	// to wait.
	inherited map[int]bool
	tracker   *holdback.Tracker
	// awaited holds the tunnels of waiting objects; nil before the first decision.
	awaited atomic.Pointer[map[uint32]struct{}]
}

func newWaiter(had []dataplane.Proxy, verified func(uint32) bool, elsewhere func(intent.Key) bool) *waiter {
	w := &waiter{verified: verified, elsewhere: elsewhere, inherited: map[int]bool{}, tracker: holdback.New()}
	for _, p := range had {
		w.inherited[p.Interface] = true
	}
	return w
}

// awaits reports whether an object waits for a tunnel. It may be called concurrently.
func (w *waiter) awaits(tunnel uint32) bool {
	all := w.awaited.Load()
	if all == nil {
		return false
	}
	_, waits := (*all)[tunnel]
	return waits
}

// decide returns the objects that wait, and when the next decision is due; the zero time
// if none is.
func (w *waiter) decide(ctx context.Context, now time.Time, running []proxies.Interface, find func(intent.Key) *intent.Intent) (map[types.UID]bool, time.Time) {
	w.tracker.Begin()
	ready := map[intent.Key]bool{}
	var all []*intent.Intent
	for _, r := range running {
		key := intent.KeyOf(r)
		i := find(key)
		if i == nil {
			continue
		}
		if w.inherited[r.Index] {
			w.tracker.Announced(i.UID)
		}
		if _, seen := ready[key]; !seen {
			all = append(all, i)
		}
		ready[key] = ready[key] || !r.Standby
	}
	var undecided []*intent.Intent
	for _, i := range all {
		if !w.tracker.Open(i.UID) {
			undecided = append(undecided, i)
		}
	}
	// Set this before reading the tunnels, so none that is verified in between is missed.
	w.await(undecided, func(i *intent.Intent) bool { return ready[i.Key] })
	waits := map[types.UID]bool{}
	for _, i := range undecided {
		need := holdback.Need{Ready: ready[i.Key], Elsewhere: w.elsewhere(i.Key), Carries: carries(i, w.verified)}
		held, waited := w.tracker.Waits(i.UID, need, now)
		if held {
			waits[i.UID] = true
		}
		if waited > 0 {
			klog.FromContext(ctx).Info("Announcing an object's addresses although none of its tunnels carries packets yet", "object", i.Key.String(), "waited", waited.Round(time.Millisecond))
		}
	}
	w.await(undecided, func(i *intent.Intent) bool { return waits[i.UID] })
	return waits, w.tracker.End()
}

// await replaces the awaited tunnels by those of the selected objects.
func (w *waiter) await(all []*intent.Intent, which func(*intent.Intent) bool) {
	var tunnels map[uint32]struct{}
	for _, i := range all {
		if !which(i) {
			continue
		}
		if tunnels == nil {
			tunnels = map[uint32]struct{}{}
		}
		for _, t := range i.Tunnels {
			tunnels[t.ID] = struct{}{}
		}
	}
	w.awaited.Store(&tunnels)
}

// carries returns how many of an object's endpoints can be reached from this node.
func carries(i *intent.Intent, verified func(tunnel uint32) bool) holdback.Carries {
	leads := map[netip.Addr]bool{}
	for n := range i.Endpoints {
		leads[i.Endpoints[n].Node] = true
	}
	some, all := len(i.Direct) > 0, !i.Untunneled
	for _, t := range i.Tunnels {
		if !leads[t.TenantNode] {
			continue
		}
		if verified(t.ID) {
			some = true
		} else {
			all = false
		}
	}
	switch {
	case all:
		return holdback.All
	case some:
		return holdback.Some
	}
	return holdback.None
}
