// SPDX-License-Identifier: Apache-2.0

// Package underlay maintains the programs on the interfaces through which tunnels reach
// their far ends, and determines the local address and the MTU of each tunnel. It watches
// the kernel: an interface that appears later, or changes its address or MTU, is detected
// immediately. It does not change any interface.
package underlay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/node/internal/pulse"
)

const (
	// Bytes that a tunnel adds to a packet, from the outer header to the GUE fields.
	overhead4, overhead6 = 36, 56
	// settle is how long changes are batched.
	settle = 50 * time.Millisecond
	// again is the interval of a full check, regardless of notifications.
	again = 5 * time.Second
	// minMTU is the minimum packet size that IPv4 hosts accept.
	minMTU = 576
)

// Link is an interface.
type Link struct {
	Index int
	Name  string
	MTU   int
}

// Kernel provides the state of the kernel.
type Kernel interface {
	// Links returns all interfaces except loopback.
	Links() ([]Link, error)
	// Addresses returns all addresses and their interfaces.
	Addresses() (map[netip.Addr]int, error)
	// DefaultRoutes returns the interfaces of the default routes.
	DefaultRoutes() ([]int, error)
	// Route returns the interface and the source address for packets to a host.
	Route(netip.Addr) (index int, source netip.Addr, err error)
	// Watch calls changed after changes of any of these, until the context ends.
	Watch(ctx context.Context, changed func()) error
}

// Options configures an Underlay.
type Options struct {
	Kernel Kernel
	Plane  dataplane.Underlay
	// Nodes are the node's addresses.
	Nodes []netip.Addr
	// Names are the interfaces to use. If empty, these are the interfaces with one of the
	// addresses or a default route.
	Names []string
	// Local maps the node's addresses to addresses of interfaces, if the node is known by
	// an address that it does not have itself.
	Local map[netip.Addr]netip.Addr
	// Changed is called when the result of Local has changed. May be nil.
	Changed func()
}

// Underlay manages the interfaces of a node.
type Underlay struct {
	o Options
	// asked holds the interfaces to which this program attached; only Refresh, which is
	// serialized, uses it.
	asked      map[int]bool
	refreshing sync.Mutex

	mu        sync.Mutex
	extra     []string
	links     map[int]Link
	addresses map[netip.Addr]int
	routes    map[netip.Addr]route
	attached  map[int]string
	problems  []string
	kick      chan struct{}
}

type route struct {
	index  int
	source netip.Addr
	err    string
}

// New returns an Underlay without state.
func New(o Options) *Underlay {
	if o.Changed == nil {
		o.Changed = func() {}
	}
	return &Underlay{o: o, asked: map[int]bool{}, routes: map[netip.Addr]route{}, kick: make(chan struct{}, 1)}
}

// Use adds interfaces to use if they exist, such as EPIC's gue-ingress-nics.
func (u *Underlay) Use(names []string) {
	u.mu.Lock()
	same := slices.Equal(u.extra, names)
	u.extra = slices.Clone(names)
	u.mu.Unlock()
	if !same {
		u.notify()
	}
}

func (u *Underlay) notify() {
	select {
	case u.kick <- struct{}{}:
	default:
	}
}

// Run keeps the programs attached until the context ends. They stay attached after that.
func (u *Underlay) Run(ctx context.Context) {
	go func() {
		for ctx.Err() == nil {
			if err := u.o.Kernel.Watch(ctx, u.notify); err != nil && ctx.Err() == nil {
				klog.FromContext(ctx).Error(err, "Cannot watch changes of interfaces, polling every few seconds", "interval", again)
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}()
	tick := time.NewTicker(again)
	defer tick.Stop()
	for pulse.Next(ctx, tick.C, u.kick, settle) != pulse.Ended {
		if err := u.Refresh(); err != nil {
			klog.FromContext(ctx).V(1).Info("The underlay is not complete", "err", err)
		}
	}
}

// Refresh reads the kernel's state, attaches and detaches programs, and returns an error
// for what is missing.
func (u *Underlay) Refresh() error {
	u.refreshing.Lock()
	defer u.refreshing.Unlock()
	changed, err := u.look()
	if err == nil {
		err = u.attach()
	}
	if changed {
		u.o.Changed()
	}
	return err
}

// look reads the current state, and reports whether it changed.
func (u *Underlay) look() (bool, error) {
	all, err := u.o.Kernel.Links()
	if err != nil {
		return false, fmt.Errorf("list interfaces: %w", err)
	}
	addresses, err := u.o.Kernel.Addresses()
	if err != nil {
		return false, fmt.Errorf("list addresses: %w", err)
	}
	links := map[int]Link{}
	for _, l := range all {
		links[l.Index] = l
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	routes := map[netip.Addr]route{}
	changed := u.links == nil
	for to, was := range u.routes {
		routes[to] = u.route(to)
		changed = changed || routes[to] != was || links[was.index].MTU != u.links[was.index].MTU
	}
	for _, node := range u.o.Nodes {
		local := u.localOf(node)
		changed = changed || u.links[u.addresses[local]] != links[addresses[local]]
	}
	u.links, u.addresses, u.routes = links, addresses, routes
	return changed, nil
}

func (u *Underlay) route(to netip.Addr) route {
	index, source, err := u.o.Kernel.Route(to)
	if err != nil {
		return route{err: err.Error()}
	}
	return route{index: index, source: source}
}

func (u *Underlay) localOf(node netip.Addr) netip.Addr {
	if local, ok := u.o.Local[node]; ok {
		return local
	}
	return node
}

// wanted returns the interfaces that should have programs, and named ones that do not
// exist.
func (u *Underlay) wanted() (map[int]bool, []string, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	want := map[int]bool{}
	byName := map[string]int{}
	for _, l := range u.links {
		byName[l.Name] = l.Index
	}
	var missing []string
	for _, name := range u.o.Names {
		if index, ok := byName[name]; ok {
			want[index] = true
		} else {
			missing = append(missing, fmt.Sprintf("the interface %s does not exist: programs are attached when it appears", name))
		}
	}
	if len(u.o.Names) > 0 {
		return want, missing, nil
	}
	for _, name := range u.extra {
		if index, ok := byName[name]; ok {
			want[index] = true
		}
	}
	for _, node := range u.o.Nodes {
		local := u.localOf(node)
		if index, ok := u.addresses[local]; ok {
			if _, ok := u.links[index]; ok {
				want[index] = true
			}
		} else {
			missing = append(missing, fmt.Sprintf("no interface has the address %s: assign it to one, or set the address that is used instead", local))
		}
	}
	for _, r := range u.routes {
		if _, ok := u.links[r.index]; ok {
			want[r.index] = true
		}
	}
	defaults, err := u.o.Kernel.DefaultRoutes()
	for _, index := range defaults {
		if _, ok := u.links[index]; ok {
			want[index] = true
		}
	}
	return want, missing, err
}

func (u *Underlay) attach() error {
	want, problems, err := u.wanted()
	if err != nil {
		return fmt.Errorf("list default routes: %w", err)
	}
	has, err := u.o.Plane.Attached()
	if err != nil {
		return fmt.Errorf("list attached programs: %w", err)
	}
	for index := range want {
		// Programs attached by an earlier program must be attached again, or they count
		// as leftovers.
		if _, ok := has[index]; ok && u.asked[index] {
			continue
		}
		if err := u.o.Plane.Attach(index); err != nil {
			problems = append(problems, fmt.Sprintf("attach to interface %s: %v", u.name(index), err))
			continue
		}
		u.asked[index] = true
	}
	for index := range has {
		if want[index] {
			continue
		}
		delete(u.asked, index)
		if err := u.o.Plane.Detach(index); err != nil {
			problems = append(problems, fmt.Sprintf("detach from interface %s: %v", u.name(index), err))
		}
	}
	has, err = u.o.Plane.Attached()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.attached, u.problems = has, problems
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "; "))
	}
	return err
}

func (u *Underlay) name(index int) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if l, ok := u.links[index]; ok {
		return l.Name
	}
	return fmt.Sprintf("%d (gone)", index)
}

// Local returns the source address and the maximum size of inner packets with which a
// tunnel of the node at one of its addresses reaches another host. other may be the
// node's own address if the other one is unknown.
func (u *Underlay) Local(node, other netip.Addr) (netip.Addr, uint16, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	local := u.localOf(node)
	index, here := u.addresses[local]
	if node != other {
		r, known := u.routes[other]
		if !known {
			r = u.route(other)
			u.routes[other] = r
			// Its interface may need programs.
			u.notify()
		}
		switch {
		case r.err != "":
			return netip.Addr{}, 0, fmt.Errorf("no route to %s: %s", other, r.err)
		case local.Is4() != other.Is4() || !here || index != r.index:
			// Packets leave by another interface than that of the node's address.
			local, index, here = r.source, r.index, r.source.IsValid()
		}
	}
	if !here {
		return netip.Addr{}, 0, fmt.Errorf("no interface has the address %s", local)
	}
	overhead := overhead4
	if local.Is6() {
		overhead = overhead6
	}
	l, ok := u.links[index]
	mtu := l.MTU
	if !ok {
		// The loopback interface, for example with a host route to itself.
		mtu = 65535
	}
	if mtu < minMTU {
		return netip.Addr{}, 0, fmt.Errorf("the MTU %d of interface %s is too small: set at least %d", mtu, l.Name, minMTU)
	}
	return local, uint16(min(mtu, 65535) - overhead), nil
}

// Interface is an interface with programs.
type Interface struct {
	Index int    `json:"index"`
	Name  string `json:"name"`
	MTU   int    `json:"mtu"`
	// Mode is how programs are attached.
	Mode string `json:"mode"`
}

// Interfaces returns the interfaces with programs, by index.
func (u *Underlay) Interfaces() []Interface {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []Interface
	for index, mode := range u.attached {
		out = append(out, Interface{Index: index, Name: u.links[index].Name, MTU: u.links[index].MTU, Mode: mode})
	}
	slices.SortFunc(out, func(a, b Interface) int { return a.Index - b.Index })
	return out
}

// Problems describes what is missing.
func (u *Underlay) Problems() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.problems)
}

// MTU returns the smallest MTU of the interfaces with programs, or 1500 if there is none.
func (u *Underlay) MTU() int {
	mtu := 0
	for _, i := range u.Interfaces() {
		if i.MTU > 0 && (mtu == 0 || i.MTU < mtu) {
			mtu = i.MTU
		}
	}
	if mtu == 0 {
		return 1500
	}
	return mtu
}
