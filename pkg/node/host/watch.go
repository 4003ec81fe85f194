// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/node/internal/pulse"
)

const (
	// settle is how long changes are batched.
	settle = 100 * time.Millisecond
	// defaultInterval is the interval of a full comparison, regardless of notifications:
	// the kernel sends none for rules, and loses messages if there are too many.
	defaultInterval = 3 * time.Second
	// resubscribe is the delay after a subscription has ended.
	resubscribe = time.Second
)

// Run restores removed objects until the context ends. It calls repaired, if set, with
// the number of restored objects, and with the error of a failed pass.
func (h *Host) Run(ctx context.Context, repaired func(int, error)) {
	events := make(chan struct{}, 1)
	go h.watch(ctx, events)
	tick := time.NewTicker(h.interval)
	defer tick.Stop()
	for pulse.Next(ctx, tick.C, events, settle) != pulse.Ended {
		n, err := h.Repair()
		if repaired != nil && (n > 0 || err != nil) {
			repaired(n, err)
		}
	}
}

// watch reports changes that may concern objects of this package.
func (h *Host) watch(ctx context.Context, events chan<- struct{}) {
	notify := func() {
		select {
		case events <- struct{}{}:
		default:
		}
	}
	for ctx.Err() == nil {
		if err := h.watchOnce(ctx, notify); err != nil {
			klog.FromContext(ctx).Error(err, "Cannot watch changes of the network, polling every few seconds", "interval", h.interval)
		}
		notify()
		select {
		case <-ctx.Done():
		case <-time.After(resubscribe):
		}
	}
}

func (h *Host) watchOnce(ctx context.Context, notify func()) error {
	done := make(chan struct{})
	defer close(done)
	links := make(chan netlink.LinkUpdate, 64)
	routes := make(chan netlink.RouteUpdate, 64)
	neighbors := make(chan netlink.NeighUpdate, 64)
	if err := netlink.LinkSubscribeWithOptions(links, done, netlink.LinkSubscribeOptions{Namespace: &h.ns}); err != nil {
		return err
	}
	if err := netlink.RouteSubscribeWithOptions(routes, done, netlink.RouteSubscribeOptions{Namespace: &h.ns}); err != nil {
		return err
	}
	if err := netlink.NeighSubscribeWithOptions(neighbors, done, netlink.NeighSubscribeOptions{Namespace: &h.ns}); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case u, open := <-links:
			if !open {
				return nil
			}
			if h.concernsLink(u) {
				notify()
			}
		case u, open := <-routes:
			if !open {
				return nil
			}
			if u.Type == unix.RTM_DELROUTE && u.Protocol == RouteProtocol {
				notify()
			}
		case u, open := <-neighbors:
			if !open {
				return nil
			}
			if u.Type == unix.RTM_DELNEIGH && u.State&netlink.NUD_PERMANENT != 0 {
				notify()
			}
		}
	}
}

// concernsLink reports whether a change of a link may concern objects of this package.
func (h *Host) concernsLink(u netlink.LinkUpdate) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	name, index := u.Attrs().Name, u.Attrs().Index
	for _, b := range h.desired.Bridges {
		if b.Name == name {
			return true
		}
	}
	for _, a := range h.desired.Addresses {
		for _, e := range a.Ends {
			if e.Index == index {
				return true
			}
		}
	}
	return false
}
