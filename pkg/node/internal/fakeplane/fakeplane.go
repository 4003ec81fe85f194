// SPDX-License-Identifier: Apache-2.0

// Package fakeplane is an in-memory data plane for tests of code that programs one. It
// carries no packets.
package fakeplane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/acnodal/epic/pkg/dataplane"
)

// Plane holds everything that was put and not deleted.
type Plane struct {
	mu       sync.Mutex
	tunnels  map[uint32]dataplane.Tunnel
	cookies  map[uint32]dataplane.Cookies
	services map[string]dataplane.Service
	proxies  map[int]dataplane.Proxy
	openings map[dataplane.Opening]bool
	directs  map[dataplane.Direct]bool
	attached map[int]string
	// repairs counts the calls of Repair.
	repairs int
	// fail reports whether a call fails; it may be nil.
	fail func(call string) error
	log  []string
}

// New returns an empty Plane.
func New() *Plane {
	return &Plane{
		tunnels: map[uint32]dataplane.Tunnel{}, cookies: map[uint32]dataplane.Cookies{}, services: map[string]dataplane.Service{},
		proxies: map[int]dataplane.Proxy{}, openings: map[dataplane.Opening]bool{}, directs: map[dataplane.Direct]bool{},
		attached: map[int]string{},
	}
}

// FailWith sets a function that decides which calls fail.
func (p *Plane) FailWith(fail func(call string) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = fail
}

// Log returns the calls since the last Log.
func (p *Plane) Log() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	log := p.log
	p.log = nil
	return log
}

// Repairs returns the number of calls of Repair.
func (p *Plane) Repairs() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.repairs
}

func (p *Plane) call(name string, format string, args ...any) error {
	p.log = append(p.log, name+" "+fmt.Sprintf(format, args...))
	if p.fail != nil {
		return p.fail(name)
	}
	return nil
}

// Tunnels returns its tunnels.
func (p *Plane) Tunnels() dataplane.Tunnels { return tunnels{p} }

// Services returns its services.
func (p *Plane) Services() dataplane.Services { return services{p} }

// Openings returns its openings.
func (p *Plane) Openings() dataplane.Openings { return openings{p} }

// Directs returns its direct endpoints.
func (p *Plane) Directs() dataplane.Directs { return directs{p} }

// Proxies returns its proxies.
func (p *Plane) Proxies() dataplane.Proxies { return proxies{p} }

// Underlay returns its underlay.
func (p *Plane) Underlay() dataplane.Underlay { return underlay{p} }

// Observer returns an observer that never sees a packet.
func (p *Plane) Observer() dataplane.Observer { return observer{} }

// Repair implements dataplane.Repairer.
func (p *Plane) Repair() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.repairs++
	return 0, nil
}

type tunnels struct{ p *Plane }

// Put implements dataplane.Tunnels.
func (t tunnels) Put(all ...dataplane.Tunnel) error {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	for _, n := range all {
		if err := t.p.call("tunnels.put", "%d remote %t", n.ID, n.Remote.IsValid()); err != nil {
			return err
		}
		if !n.Remote.IsValid() {
			n.Remote = t.p.tunnels[n.ID].Remote
		}
		t.p.tunnels[n.ID] = n
	}
	return nil
}

// Delete implements dataplane.Tunnels.
func (t tunnels) Delete(ids ...uint32) error {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	for _, id := range ids {
		if err := t.p.call("tunnels.delete", "%d", id); err != nil {
			return err
		}
		delete(t.p.tunnels, id)
		delete(t.p.cookies, id)
	}
	return nil
}

// SetRemote implements dataplane.Tunnels.
func (t tunnels) SetRemote(id uint32, remote netip.AddrPort) error {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	n, ok := t.p.tunnels[id]
	if !ok {
		return dataplane.ErrNoTunnel
	}
	if err := t.p.call("tunnels.setremote", "%d %s", id, remote); err != nil {
		return err
	}
	n.Remote = remote
	t.p.tunnels[id] = n
	return nil
}

// SetCookies implements dataplane.Tunnels. It is not logged.
func (t tunnels) SetCookies(id uint32, cookies dataplane.Cookies) error {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	if _, ok := t.p.tunnels[id]; !ok {
		return dataplane.ErrNoTunnel
	}
	t.p.cookies[id] = cookies
	return nil
}

// Cookies implements dataplane.Tunnels.
func (t tunnels) Cookies() map[uint32]dataplane.CookieUse {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	out := map[uint32]dataplane.CookieUse{}
	for id := range t.p.tunnels {
		c := t.p.cookies[id]
		out[id] = dataplane.CookieUse{Sent: c.Sent, Required: c.Required}
	}
	return out
}

// List implements dataplane.Tunnels.
func (t tunnels) List() ([]dataplane.Tunnel, error) {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	return slices.SortedFunc(maps.Values(t.p.tunnels), func(a, b dataplane.Tunnel) int { return cmp.Compare(a.ID, b.ID) }), nil
}

// Counters implements dataplane.Tunnels.
func (t tunnels) Counters(ids ...uint32) (map[uint32]dataplane.Counters, error) {
	out := map[uint32]dataplane.Counters{}
	all, err := t.List()
	for _, n := range all {
		if len(ids) == 0 || slices.Contains(ids, n.ID) {
			out[n.ID] = dataplane.Counters{}
		}
	}
	return out, err
}

// EachCounters implements dataplane.Tunnels.
func (t tunnels) EachCounters(see func(id uint32, c dataplane.Counters)) error {
	all, err := t.Counters()
	for id, c := range all {
		see(id, c)
	}
	return err
}

type services struct{ p *Plane }

func key(s dataplane.Service) string {
	if s.Interface != 0 {
		return fmt.Sprintf("if%d t%d %s/%d", s.Interface, s.Tunnel, s.Endpoint, s.Protocol)
	}
	return fmt.Sprintf("t%d %s/%d", s.Tunnel, s.Endpoint, s.Protocol)
}

// Put implements dataplane.Services.
func (s services) Put(all ...dataplane.Service) error {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	for _, n := range all {
		what := key(n)
		if n.Leaving {
			what += " leaving"
		}
		if err := s.p.call("services.put", "%s", what); err != nil {
			return err
		}
		if _, ok := s.p.tunnels[n.Tunnel]; !ok {
			return errors.New("a service of a tunnel that is not there")
		}
		s.p.services[key(n)] = n
	}
	return nil
}

// Delete implements dataplane.Services.
func (s services) Delete(all ...dataplane.Service) error {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	for _, n := range all {
		if err := s.p.call("services.delete", "%s", key(n)); err != nil {
			return err
		}
		delete(s.p.services, key(n))
	}
	return nil
}

// List implements dataplane.Services.
func (s services) List() ([]dataplane.Service, error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	var out []dataplane.Service
	for _, k := range slices.Sorted(maps.Keys(s.p.services)) {
		out = append(out, s.p.services[k])
	}
	return out, nil
}

type openings struct{ p *Plane }

// Put implements dataplane.Openings.
func (o openings) Put(all ...dataplane.Opening) error {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	for _, n := range all {
		if err := o.p.call("openings.put", "if%d %d/%d", n.Interface, n.Port, n.Protocol); err != nil {
			return err
		}
		o.p.openings[n] = true
	}
	return nil
}

// Delete implements dataplane.Openings.
func (o openings) Delete(all ...dataplane.Opening) error {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	for _, n := range all {
		if err := o.p.call("openings.delete", "if%d %d/%d", n.Interface, n.Port, n.Protocol); err != nil {
			return err
		}
		delete(o.p.openings, n)
	}
	return nil
}

// List implements dataplane.Openings.
func (o openings) List() ([]dataplane.Opening, error) {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	out := slices.Collect(maps.Keys(o.p.openings))
	slices.SortFunc(out, func(a, b dataplane.Opening) int {
		return cmp.Or(cmp.Compare(a.Interface, b.Interface), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
	})
	return out, nil
}

type directs struct{ p *Plane }

// Put implements dataplane.Directs.
func (d directs) Put(all ...dataplane.Direct) error {
	d.p.mu.Lock()
	defer d.p.mu.Unlock()
	for _, n := range all {
		if err := d.p.call("directs.put", "if%d %s/%d", n.Interface, n.Endpoint, n.Protocol); err != nil {
			return err
		}
		d.p.directs[n] = true
	}
	return nil
}

// Delete implements dataplane.Directs.
func (d directs) Delete(all ...dataplane.Direct) error {
	d.p.mu.Lock()
	defer d.p.mu.Unlock()
	for _, n := range all {
		if err := d.p.call("directs.delete", "if%d %s/%d", n.Interface, n.Endpoint, n.Protocol); err != nil {
			return err
		}
		delete(d.p.directs, n)
	}
	return nil
}

// List implements dataplane.Directs.
func (d directs) List() ([]dataplane.Direct, error) {
	d.p.mu.Lock()
	defer d.p.mu.Unlock()
	return slices.SortedFunc(maps.Keys(d.p.directs), func(a, b dataplane.Direct) int {
		return cmp.Or(cmp.Compare(a.Interface, b.Interface), a.Endpoint.Compare(b.Endpoint), cmp.Compare(a.Protocol, b.Protocol))
	}), nil
}

type proxies struct{ p *Plane }

// Put implements dataplane.Proxies.
func (x proxies) Put(all ...dataplane.Proxy) error {
	x.p.mu.Lock()
	defer x.p.mu.Unlock()
	for _, n := range all {
		if err := x.p.call("proxies.put", "%d", n.Interface); err != nil {
			return err
		}
		x.p.proxies[n.Interface] = n
	}
	return nil
}

// Delete implements dataplane.Proxies.
func (x proxies) Delete(interfaces ...int) error {
	x.p.mu.Lock()
	defer x.p.mu.Unlock()
	for _, n := range interfaces {
		if err := x.p.call("proxies.delete", "%d", n); err != nil {
			return err
		}
		delete(x.p.proxies, n)
	}
	return nil
}

// List implements dataplane.Proxies.
func (x proxies) List() ([]dataplane.Proxy, error) {
	x.p.mu.Lock()
	defer x.p.mu.Unlock()
	return slices.SortedFunc(maps.Values(x.p.proxies), func(a, b dataplane.Proxy) int { return cmp.Compare(a.Interface, b.Interface) }), nil
}

type underlay struct{ p *Plane }

// Attach implements dataplane.Underlay.
func (u underlay) Attach(index int) error {
	u.p.mu.Lock()
	defer u.p.mu.Unlock()
	if err := u.p.call("underlay.attach", "%d", index); err != nil {
		return err
	}
	u.p.attached[index] = "tcx"
	return nil
}

// Detach implements dataplane.Underlay.
func (u underlay) Detach(index int) error {
	u.p.mu.Lock()
	defer u.p.mu.Unlock()
	if err := u.p.call("underlay.detach", "%d", index); err != nil {
		return err
	}
	delete(u.p.attached, index)
	return nil
}

// Attached implements dataplane.Underlay.
func (u underlay) Attached() (map[int]string, error) {
	u.p.mu.Lock()
	defer u.p.mu.Unlock()
	return maps.Clone(u.p.attached), nil
}

type observer struct{}

// Drops implements dataplane.Observer.
func (observer) Drops() (map[dataplane.DropReason]uint64, error) {
	return map[dataplane.DropReason]uint64{"no-tunnel": 0}, nil
}

// FlowCounts implements dataplane.Observer.
func (observer) FlowCounts() ([]dataplane.AddressCounts, error) { return nil, nil }

// FragmentCounts implements dataplane.Observer.
func (observer) FragmentCounts() ([]dataplane.AddressCounts, error) { return nil, nil }

// Trace implements dataplane.Observer.
func (observer) Trace(ctx context.Context, tunnel uint32, show func(dataplane.TraceEvent)) error {
	show(dataplane.TraceEvent{Tunnel: tunnel, Text: "nothing passes here"})
	<-ctx.Done()
	return nil
}
