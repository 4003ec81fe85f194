// SPDX-License-Identifier: Apache-2.0

package layer2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"k8s.io/klog/v2"
)

const (
	// tick is the interval at which a server performs due work.
	tick = 50 * time.Millisecond
	// probesPerSecond limits the probes of a server: with many addresses, it probes less
	// often for each.
	probesPerSecond = 400
)

// Settings configures a server.
type Settings struct {
	// Enabled is set if the server answers at all.
	Enabled bool
	// Interfaces are the interfaces on which it answers, if they exist; if none is named,
	// that of the default route.
	Interfaces []string
	// Addresses are the addresses with a ready proxy on this node.
	Addresses []netip.Addr
}

// State is the state of an address on an interface.
type State struct {
	Address   netip.Addr
	Interface string
	Role      Role
	// Holder is the node that has the address; zero if none was heard.
	Holder MAC
}

// Server answers for addresses.
type Server struct {
	changed func()

	mu        sync.Mutex
	links     map[string]*link
	takeovers uint64
}

// NewServer returns a server without addresses. changed is called when this node has
// taken over or released an address.
func NewServer(changed func()) *Server {
	return &Server{changed: changed, links: map[string]*link{}}
}

// Apply applies settings. Failed parts are retried by the next call.
func (s *Server) Apply(want Settings) error {
	names := map[string]bool{}
	var errs []error
	if want.Enabled {
		list := want.Interfaces
		if len(list) == 0 {
			var err error
			if list, err = defaultInterfaces(); err != nil {
				errs = append(errs, err)
			}
		}
		for _, name := range list {
			names[name] = true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, l := range s.links {
		if !names[name] || !l.same() {
			l.close()
			delete(s.links, name)
		}
	}
	for name := range names {
		if s.links[name] == nil {
			l, err := openLink(name)
			if isMissing(err) && len(want.Interfaces) > 0 {
				continue // another node has it
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("answer on the interface %s: %w", name, err))
				continue
			}
			s.links[name] = l
		}
		errs = append(errs, s.links[name].apply(want.Addresses, time.Now()))
	}
	if want.Enabled && len(s.links) == 0 && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("this node has none of the interfaces %v of spec.base.layer2", want.Interfaces))
	}
	return errors.Join(errs...)
}

func isMissing(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "route"
}

// apply updates the elections of an interface to those of the given addresses, and of
// addresses that it is leaving.
func (l *link) apply(addresses []netip.Addr, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	ready := make(map[netip.Addr]bool, len(addresses))
	for _, a := range addresses {
		ready[a] = true
		if l.elections[a] == nil {
			if err := l.join(a, true); err != nil {
				errs = append(errs, fmt.Errorf("listen for requests for %s on %s: %w", a, l.name, err))
				continue
			}
			l.elections[a] = NewElection(a, l.mac, now)
		}
	}
	pace := time.Duration(len(l.elections)) * time.Second / probesPerSecond
	for a, e := range l.elections {
		e.Ready(ready[a], now)
		e.SetPace(pace)
	}
	return errors.Join(errs...)
}

// defaultInterfaces returns the interfaces of the default routes.
func defaultInterfaces() ([]string, error) {
	var out []string
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := netlink.RouteListFiltered(family, &netlink.Route{Dst: nil}, netlink.RT_FILTER_DST)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, fmt.Errorf("find the default route: %w", err)
		}
		for _, r := range routes {
			link, err := netlink.LinkByIndex(r.LinkIndex)
			if err != nil {
				continue
			}
			if name := link.Attrs().Name; !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	if len(out) == 0 {
		return nil, errors.New("this node has no default route that determines the interface: set spec.base.layer2.interfaces")
	}
	return out, nil
}

// Run participates in elections until the context ends. After that, nothing is answered,
// and another node takes over soon.
func (s *Server) Run(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			s.mu.Lock()
			defer s.mu.Unlock()
			for name, l := range s.links {
				l.close()
				delete(s.links, name)
			}
			return
		case <-ticker.C:
		}
		s.mu.Lock()
		news := false
		for _, l := range s.links {
			took, changed := l.tick(ctx, time.Now())
			s.takeovers += took
			news = news || changed
		}
		s.mu.Unlock()
		if news {
			s.changed()
		}
	}
}

// tick performs due work on an interface. It returns the number of addresses that this
// node took over, and whether anything has changed.
func (l *link) tick(ctx context.Context, now time.Time) (took uint64, news bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for a, e := range l.elections {
		before := e.Role()
		for _, action := range e.Tick(now) {
			if action == Probe {
				l.send(probeFrame(l.mac, a))
				continue
			}
			for _, frame := range announceFrames(l.mac, a) {
				l.send(frame)
			}
		}
		if before == Candidate && e.Role() == Owner {
			took, news = took+1, true
			klog.FromContext(ctx).V(1).Info("This node answers for an address", "address", a.String(), "interface", l.name)
		}
		if e.Over() {
			news = true
			if err := l.join(a, false); err != nil {
				klog.FromContext(ctx).V(2).Info("Cannot leave a group", "address", a.String(), "err", err)
			}
			delete(l.elections, a)
		}
	}
	return took, news
}

// Takeovers returns how often this node took over an address.
func (s *Server) Takeovers() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.takeovers
}

// States returns the state of each address.
func (s *Server) States() []State {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []State
	for name, l := range s.links {
		l.mu.Lock()
		for a, e := range l.elections {
			out = append(out, State{Address: a, Interface: name, Role: e.Role(), Holder: e.Holder()})
		}
		l.mu.Unlock()
	}
	slices.SortFunc(out, func(x, y State) int {
		return cmp.Or(x.Address.Compare(y.Address), cmp.Compare(x.Interface, y.Interface))
	})
	return out
}
