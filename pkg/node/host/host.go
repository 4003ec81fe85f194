// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Host is the networking of one node. Its methods may be called concurrently.
type Host struct {
	ns netns.NsHandle
	rt *netlink.Handle
	// strict lists routes: the kernel filters by table and origin, so a full table from
	// BGP costs nothing.
	strict *netlink.Handle
	raw    map[int]*nl.SocketHandle
	nft    *nftables.Conn

	interval time.Duration

	mu      sync.Mutex
	desired Desired
	// applied indicates that Apply was called: before that, nothing is known to be
	// superfluous.
	applied bool
	fw      firewallState
	// slots holds the slots of the proxies; nil before the first pass.
	slots map[slotKey]uint8
	// slotTables holds the tables of slots that had routes or rules in the last pass, by
	// family.
	slotTables map[slotTableKey]bool

	announcedMu      sync.Mutex
	announced        Announcements
	announcedChanged chan struct{}
}

// Options configures a Host.
type Options struct {
	// Namespace is the network namespace; netns.None() is that of the process.
	Namespace netns.NsHandle
	// Interval is the interval at which Run compares everything. Default: 3 seconds.
	Interval time.Duration
}

// New opens the kernel's interfaces. It changes nothing.
func New(o Options) (*Host, error) {
	h := &Host{ns: o.Namespace, interval: o.Interval, announcedChanged: make(chan struct{}, 1)}
	if h.interval <= 0 {
		h.interval = defaultInterval
	}
	var err error
	if h.rt, err = netlink.NewHandleAt(o.Namespace, unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	if h.strict, err = netlink.NewHandleAt(o.Namespace, unix.NETLINK_ROUTE); err != nil {
		h.Close()
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	if err := h.strict.SetStrictCheck(true); err != nil {
		h.Close()
		return nil, fmt.Errorf("set strict checking of rtnetlink dumps: %w", err)
	}
	socket, err := nl.GetNetlinkSocketAt(o.Namespace, netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	h.raw = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: socket}}
	if h.nft, err = openNFT(o.Namespace); err != nil {
		h.Close()
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	return h, nil
}

// Close closes the sockets. Everything that was created stays.
func (h *Host) Close() {
	h.rt.Close()
	if h.strict != nil {
		h.strict.Close()
	}
	for _, s := range h.raw {
		s.Close()
	}
}

// Apply updates the kernel to the desired state, stores that for Run, and returns the
// number of changes. Calling it again changes nothing. A part that fails does not prevent
// the others, except that nothing is admitted without the firewall.
func (h *Host) Apply(d Desired) (int, error) {
	normal, err := d.normalize()
	if err != nil {
		return 0, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.desired, h.applied = normal, true
	return h.reconcile()
}

// Repair updates the kernel to the last desired state.
func (h *Host) Repair() (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.applied {
		return 0, nil
	}
	return h.reconcile()
}

// Remove removes everything that this package ever created on this node.
func (h *Host) Remove() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.desired, h.applied = Desired{}, false
	_, err := h.reconcileRoutes(&observed{})
	_, e := h.removeBridges(nil)
	// Remove the firewall last: otherwise a proxy would be open to everyone.
	return errors.Join(err, e, h.removeFirewall())
}

func (h *Host) reconcile() (int, error) {
	total := 0
	var errs []error
	count := func(n int, err error) error {
		total += n
		if err != nil {
			errs = append(errs, err)
		}
		return err
	}
	if count(h.reconcileFirewall()) != nil {
		return total, errs[0]
	}
	o, n, err := h.reconcileBridges()
	_ = count(n, err)
	if o == nil {
		return total, errors.Join(errs...)
	}
	_ = count(h.reconcilePorts(o))
	_ = count(h.reconcileNeighbors(o))
	_ = count(h.reconcileRoutes(o))
	return total, errors.Join(errs...)
}

// observed is the state of the links in one pass.
type observed struct {
	// bridges holds the desired bridges that exist.
	bridges map[string]netlink.Link
	// links holds all links, by index.
	links map[int]netlink.Link
}

// ends returns the ends of an address that exist.
func (o *observed) ends(a Address) []End {
	if o.bridges[a.Bridge] == nil {
		return nil
	}
	var there []End
	for _, e := range a.Ends {
		if o.links[e.Index] != nil {
			there = append(there, e)
		}
	}
	return there
}
