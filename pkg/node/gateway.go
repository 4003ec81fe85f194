// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"k8s.io/klog/v2"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/gue"
	"github.com/acnodal/epic/pkg/node/announce"
	"github.com/acnodal/epic/pkg/node/apply"
	"github.com/acnodal/epic/pkg/node/follow"
	"github.com/acnodal/epic/pkg/node/intent"
	"github.com/acnodal/epic/pkg/node/keys"
	"github.com/acnodal/epic/pkg/node/liveness"
	"github.com/acnodal/epic/pkg/node/proxies"
	"github.com/acnodal/epic/pkg/node/publish"
	"github.com/acnodal/epic/pkg/node/silence"
	"github.com/acnodal/epic/pkg/node/status"
	"github.com/acnodal/epic/pkg/node/underlay"
)

// gateway is the node program on a gateway node.
type gateway struct {
	*agent
	source     proxies.Source
	host       HostNetwork
	announcer  *announce.Announcer
	keeper     *hostKeeper
	interfaces *publish.Interfaces
	heartbeat  *publish.Heartbeat
	live       *liveness.Tracker
	silent     *silence.Ends
	platform   *platformFollower
	responder  *gatewayEnds
	guard      guard
	complete   chan struct{}
	once       sync.Once
	// inherited indicates that an earlier program has left proxies, and the host's
	// network still forwards their visitors' packets.
	inherited bool
	// platformKnown is closed when the configuration of the platform team has been read
	// from the API.
	platformKnown chan struct{}
	oncePlatform  sync.Once

	mu      sync.Mutex
	running map[intent.Key][]proxies.Interface
	applied map[int]dataplane.Proxy
	failed  error
}

// RunGateway runs the node program on a gateway node until the context ends.
func RunGateway(ctx context.Context, c GatewayConfig) error {
	g, err := newGateway(ctx, c)
	if err != nil {
		return err
	}
	forever := func(name string, run func(context.Context)) Part {
		return Part{name, func(ctx context.Context) error { run(ctx); return nil }}
	}
	// Until the proxies on this node are known, none of them must lose anything.
	whenComplete := func(run func(context.Context)) func(context.Context) {
		return func(ctx context.Context) {
			select {
			case <-g.complete:
				run(ctx)
			case <-ctx.Done():
			}
		}
	}
	return g.run(ctx, append([]Part{
		{"proxies of this node", func(ctx context.Context) error {
			return g.source.Run(ctx, func() { g.proxiesChanged(ctx) })
		}},
		forever("host", whenComplete(g.keepHost)),
		forever("host", func(ctx context.Context) { g.host.Run(ctx, g.hostRepaired(ctx)) }),
		forever("platform", g.platform.run),
		forever("heartbeat", g.heartbeat.Run),
		forever("silent far ends", func(ctx context.Context) { g.silent.Run(ctx, c.Plane.Tunnels(), g.responder, g.socket.Send) }),
		forever("announcements", g.announce),
		forever("proxies", g.retryProxies),
		forever("interfaces", whenComplete(g.interfaces.Run)),
	}, c.Parts...)...)
}

func newGateway(ctx context.Context, c GatewayConfig) (*gateway, error) {
	if len(c.Nodes) != 1 {
		return nil, fmt.Errorf("a gateway node has one address, not %d", len(c.Nodes))
	}
	a := &agent{Config: c.Config, role: roleGateway, started: time.Now(), known: make(chan struct{}), settled: make(chan struct{})}
	g := &gateway{agent: a, source: c.Proxies, host: c.Host, announcer: c.Announcer, live: liveness.New(), silent: silence.New(), complete: make(chan struct{}), platformKnown: make(chan struct{}), running: map[intent.Key][]proxies.Interface{}, applied: map[int]dataplane.Proxy{}}
	a.complete, a.extra, a.listProxies = g.complete, g.problems, g.list
	a.judge = g.live.State

	left, err := c.Plane.Tunnels().List()
	if err != nil {
		return nil, fmt.Errorf("list existing tunnels: %w", err)
	}
	had, err := c.Plane.Proxies().List()
	if err != nil {
		return nil, fmt.Errorf("list existing proxies: %w", err)
	}
	g.inherited = len(had) > 0
	g.responder = &gatewayEnds{remotes: map[uint32]netip.AddrPort{}}
	for _, t := range left {
		if t.Remote.IsValid() {
			g.responder.remotes[t.ID] = t.Remote
		}
	}
	g.responder.Responder = gue.NewResponder(gue.ResponderOptions{
		Move: func(tunnel uint32, remote netip.AddrPort) error {
			if err := c.Plane.Tunnels().SetRemote(tunnel, remote); err != nil {
				return err
			}
			g.keeper.verified(tunnel)
			return nil
		},
		Suspect: func(tunnel uint32) { a.fetcher.Suspect(tunnel) },
		Cookies: c.Cookies, Mark: a.mark,
	})
	a.control = g.responder
	a.underlay = underlay.New(underlay.Options{
		Kernel: c.Kernel, Plane: c.Plane.Underlay(), Nodes: c.Nodes, Names: c.Interfaces, Local: c.Local,
		Changed: func() { g.guardChanged(); a.applier.Replan(); g.keeper.touch() },
	})
	a.applier = apply.New(c.Plane, a.control, apply.ForGateway(a.underlay.Local, g.proxiesOf, g.guard.check))
	if c.Shares != (apply.Counts{}) {
		a.applier.Share(c.Shares)
	}
	g.keeper = &hostKeeper{network: c.Host, applier: a.applier, running: c.Proxies.List, mtu: a.underlay.MTU, denied: g.guard.check, kick: make(chan struct{}, 1)}
	g.keeper.waiter = newWaiter(had, g.verified, g.elsewhere)
	a.fetcher = keys.New(c.Client, keyTarget{a})
	a.saver = newSaver(c.StateDir, g.gather)
	if a.follower, err = follow.New(follow.Options{
		Client: c.Client, Nodes: c.Nodes, Sink: gatewaySink{sink{a}, g},
		Object: func(key intent.Key, _ *epicv1.ProxyStatus, _ string) { g.interfaces.Check(key) },
	}); err != nil {
		return nil, err
	}
	g.interfaces = publish.NewInterfaces(c.Client, c.Nodes[0], c.Port, g.proxiesOf, a.follower.Status)
	g.heartbeat = publish.NewHeartbeat(c.Client, c.Nodes[0], reporter{g})
	g.platform = followPlatform(c.Client, g.platformChanged)
	if err := a.load(ctx); err != nil {
		return nil, err
	}
	g.responder.cookies = cookiesBefore(c.Plane.Tunnels(), a.loaded.savedCookies())
	a.reportMore = func(r *status.Report) {
		r.Directs, r.Announcements = g.reportDirects(), g.announcements(ctx)
		r.Problems = append(r.Problems, r.Announcements.Problems...)
	}
	if a.loaded != nil {
		g.responder.sequences = a.loaded.Sequences
		g.keeper.set(a.loaded.Platform)
		a.underlay.Use(a.loaded.Platform.NICs)
		if g.announcer != nil {
			g.announcer.Set(a.loaded.Platform.Announce)
			g.announcer.SetLabels(a.loaded.Labels)
		}
	}
	g.guardChanged()
	return g, nil
}

// keepHost repairs the host's network continuously.
func (g *gateway) keepHost(ctx context.Context) {
	if g.awaitHost(ctx) {
		g.keeper.run(ctx)
	}
}

// awaitHost waits until the host's network may be changed, and returns false if the
// context ends first. What an earlier program left still works, and must not be removed
// only because it is not known yet: that program may have been killed before it wrote the
// last changes to disk. So it stays unchanged until everything is known.
func (g *gateway) awaitHost(ctx context.Context) bool {
	if !g.inherited {
		return true
	}
	select {
	case <-g.known:
	case <-ctx.Done():
		return false
	}
	select {
	case <-g.platformKnown:
	case <-time.After(time.Until(g.started.Add(withoutAPI))):
		// The API does not respond. Use the state on disk.
	case <-ctx.Done():
		return false
	}
	return true
}

// verified reports whether the far end of a tunnel has proven its address, so packets
// pass.
func (g *gateway) verified(tunnel uint32) bool {
	state, _ := g.responder.State(tunnel)
	return state.Remote.IsValid()
}

// elsewhere reports whether the API shows a proxy of an object on another gateway node.
func (g *gateway) elsewhere(key intent.Key) bool {
	now, _, known := g.follower.Status(key)
	if !known {
		return false
	}
	for _, i := range now.ProxyIfInfo {
		if a, err := netip.ParseAddr(i.EPICNodeAddress); err == nil && a.Unmap() != g.Nodes[0] {
			return true
		}
	}
	return false
}

// gatewaySink passes on intents and updates the host's network.
type gatewaySink struct {
	follow.Sink
	g *gateway
}

// Set implements follow.Sink.
func (s gatewaySink) Set(i *intent.Intent) { s.Sink.Set(i); s.g.keeper.touch() }

// Delete implements follow.Sink.
func (s gatewaySink) Delete(key intent.Key) { s.Sink.Delete(key); s.g.keeper.touch() }

func (g *gateway) gather() state {
	s := state{Role: g.role, Nodes: g.Nodes, Objects: gatherObjects(g.applier), Platform: g.keeper.get(), Sequences: map[uint32]uint64{}, Cookies: g.responder.cookies.gather(g.responder)}
	g.responder.Each(func(id uint32, p gue.PeerState) {
		if p.Sequence != 0 {
			s.Sequences[id] = p.Sequence
		}
	})
	if g.announcer != nil {
		s.Labels = g.announcer.Labels()
	}
	return s
}

func (g *gateway) platformChanged(p platform) {
	g.underlay.Use(p.NICs)
	g.keeper.set(p)
	if g.announcer != nil {
		g.announcer.Set(p.Announce)
	}
	g.guardChanged()
	g.applier.Replan()
	g.saver.touch()
	g.oncePlatform.Do(func() { close(g.platformKnown) })
}

// proxiesChanged programs the proxies' interfaces before anything refers to them.
func (g *gateway) proxiesChanged(ctx context.Context) {
	byObject := map[intent.Key][]proxies.Interface{}
	for _, i := range g.source.List() {
		key := intent.KeyOf(i)
		byObject[key] = append(byObject[key], i)
	}
	g.mu.Lock()
	var changed []intent.Key
	for key, now := range byObject {
		if !slices.EqualFunc(g.running[key], now, sameInterface) {
			changed = append(changed, key)
		}
	}
	for key := range g.running {
		if _, ok := byObject[key]; !ok {
			changed = append(changed, key)
		}
	}
	g.running = byObject
	g.mu.Unlock()
	g.programProxies(ctx)
	if len(changed) > 0 {
		g.applier.Replan(changed...)
		for _, key := range changed {
			g.interfaces.Check(key)
		}
	}
	g.keeper.touch()
	g.once.Do(func() { close(g.complete) })
}

func sameInterface(a, b proxies.Interface) bool {
	return a.Index == b.Index && a.Name == b.Name && a.Pod == b.Pod && slices.Equal(a.PeerMAC, b.PeerMAC) && slices.Equal(a.Addresses, b.Addresses)
}

// programProxies updates the data plane's proxies to those that run.
func (g *gateway) programProxies(ctx context.Context) {
	g.mu.Lock()
	defer g.mu.Unlock()
	want := map[int]dataplane.Proxy{}
	for _, all := range g.running {
		for _, i := range all {
			want[i.Index] = dataplane.Proxy{Interface: i.Index, PeerMAC: slices.Clone(i.PeerMAC), Addresses: i.Addresses}
		}
	}
	var gone []int
	for index := range g.applied {
		if _, ok := want[index]; !ok {
			gone = append(gone, index)
		}
	}
	var put []dataplane.Proxy
	for index, p := range want {
		if has, ok := g.applied[index]; !ok || !slices.Equal(has.PeerMAC, p.PeerMAC) || !slices.Equal(has.Addresses, p.Addresses) {
			put = append(put, p)
		}
	}
	var err error
	if len(gone) > 0 {
		err = g.Plane.Proxies().Delete(gone...)
	}
	if err == nil && len(put) > 0 {
		err = g.Plane.Proxies().Put(put...)
	}
	if err != nil {
		if g.failed == nil {
			klog.FromContext(ctx).Error(err, "Interfaces of proxies can't be programmed, trying again")
		}
		g.failed = err
		return
	}
	g.failed, g.applied = nil, want
}

// retryProxies retries failed updates.
func (g *gateway) retryProxies(ctx context.Context) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		g.mu.Lock()
		again := g.failed != nil
		g.mu.Unlock()
		if again {
			g.programProxies(ctx)
		}
	}
}

// proxiesOf returns the proxies of an object that run here.
func (g *gateway) proxiesOf(key intent.Key) []proxies.Interface {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running[key]
}

func (g *gateway) list() []status.Proxy {
	out := []status.Proxy{}
	for _, i := range g.source.List() {
		out = append(out, status.Proxy{
			Object: intent.KeyOf(i).String(),
			Pod:    i.Pod, Interface: i.Name, Index: i.Index, Addresses: i.Addresses,
		})
	}
	return out
}

func (g *gateway) problems() []string {
	out := append(g.keeper.list(), g.host.Problems()...)
	g.mu.Lock()
	if g.failed != nil {
		out = append(out, fmt.Sprintf("interfaces of proxies can't be programmed: %v", g.failed))
	}
	g.mu.Unlock()
	for _, err := range []error{g.interfaces.Err(), g.heartbeat.Err()} {
		if err != nil {
			out = append(out, err.Error())
		}
	}
	if port := g.keeper.get().Port; port != 0 && port != int32(g.Port) {
		out = append(out, fmt.Sprintf("EPIC's tunnel port is %d, but this program was started with %d: restart it with that port", port, g.Port))
	}
	return out
}

// summary returns problems as a message that fits into a condition.
func summary(problems []string) string {
	text := problems[0]
	if len(text) > 1000 {
		text = text[:1000]
	}
	if n := len(problems) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d more: see epic-node status on the node)", n)
	}
	return text
}

func (g *gateway) hostRepaired(ctx context.Context) func(int, error) {
	return func(n int, err error) {
		g.repairs.Add(uint64(n))
		if err != nil {
			klog.FromContext(ctx).V(1).Info("The host's network can't be repaired, trying again", "err", err)
			return
		}
		klog.FromContext(ctx).Info("Repaired the host's network", "things", n)
	}
}
