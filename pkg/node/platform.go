// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/generated/informers/externalversions"
	"github.com/acnodal/epic/pkg/node/announce"
	"github.com/acnodal/epic/pkg/node/apply"
	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/pkg/node/intent"
	"github.com/acnodal/epic/pkg/node/internal/pulse"
	"github.com/acnodal/epic/pkg/node/proxies"
)

// platform is the part of the platform team's configuration that concerns a gateway node.
type platform struct {
	// NICs is EPIC's gue-ingress-nics.
	NICs []string `json:"nics,omitempty"`
	// Port is EPIC's tunnel port.
	Port int32 `json:"port,omitempty"`
	// Pools are the public and alternate pools, by prefix.
	Pools map[string]pools `json:"pools,omitempty"`
	// Announce is how public addresses are announced.
	Announce announce.Config `json:"announce,omitzero"`
}

type pools struct {
	Public    *pool `json:"public,omitempty"`
	Alternate *pool `json:"alternate,omitempty"`
}

type pool struct {
	// Pool is a prefix or a range of addresses.
	Pool        string `json:"pool,omitempty"`
	Subnet      string `json:"subnet"`
	Aggregation string `json:"aggregation"`
	Bridge      string `json:"bridge"`
}

// platformFollower watches the EPIC object and the prefixes.
type platformFollower struct {
	factory  externalversions.SharedInformerFactory
	epics    cache.SharedIndexInformer
	prefixes cache.SharedIndexInformer
	changed  func(platform)
}

func followPlatform(client versioned.Interface, changed func(platform)) *platformFollower {
	factory := externalversions.NewSharedInformerFactoryWithOptions(client, 0, externalversions.WithNamespace(epic.ConfigNamespace))
	return &platformFollower{
		factory: factory, changed: changed,
		epics: factory.Epic().V1().EPICs().Informer(), prefixes: factory.Epic().V1().ServicePrefixes().Informer(),
	}
}

// run watches until the context ends.
func (f *platformFollower) run(ctx context.Context) {
	kick := make(chan struct{}, 1)
	see := func(any) {
		select {
		case kick <- struct{}{}:
		default:
		}
	}
	for _, informer := range []cache.SharedIndexInformer{f.epics, f.prefixes} {
		// An informer that was not started accepts handlers.
		_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: see, DeleteFunc: see, UpdateFunc: func(_, o any) { see(o) }})
	}
	f.factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), f.epics.HasSynced, f.prefixes.HasSynced) {
		return
	}
	for {
		f.changed(f.read())
		select {
		case <-ctx.Done():
			return
		case <-kick:
		}
	}
}

func (f *platformFollower) read() platform {
	var p platform
	for _, obj := range f.epics.GetStore().List() {
		if o, ok := obj.(*epicv1.EPIC); ok && o.Name == epic.ConfigName {
			p.NICs, p.Port = o.Spec.Base.GUEIngressNICs, o.Spec.Base.GUEEndpoint.EPICPort.Port
			p.Announce = announce.Config{BGP: o.Spec.Base.BGP, Layer2: o.Spec.Base.Layer2}
		}
	}
	p.Pools = map[string]pools{}
	for _, obj := range f.prefixes.GetStore().List() {
		if o, ok := obj.(*epicv1.ServicePrefix); ok {
			p.Pools[o.Name] = pools{poolOf(o.Spec.PublicPool), poolOf(o.Spec.AltPool)}
		}
	}
	return p
}

func poolOf(p *epicv1.AddressPool) *pool {
	if p == nil {
		return nil
	}
	return &pool{Pool: p.Pool, Subnet: p.Subnet, Aggregation: p.Aggregation, Bridge: p.MultusBridge}
}

// desiredHost computes the desired state of the host's network: the bridges of all pools,
// and the addresses and published ports of the proxies that run here. waits holds the
// objects whose addresses are not announced yet.
func desiredHost(p platform, mtu int, running []proxies.Interface, find func(intent.Key) *intent.Intent, waits map[types.UID]bool, denied apply.Denied) (host.Desired, []string) {
	var d host.Desired
	var problems []string
	bridges := map[string]bool{}
	for _, ps := range p.Pools {
		for _, one := range []*pool{ps.Public, ps.Alternate} {
			if one != nil && one.Bridge != "" && !bridges[one.Bridge] {
				bridges[one.Bridge] = true
				d.Bridges = append(d.Bridges, host.Bridge{Name: one.Bridge, MTU: mtu})
			}
		}
	}
	opened := map[intent.Key]bool{}
	for _, r := range running {
		i := find(intent.KeyOf(r))
		if i == nil {
			continue
		}
		for _, a := range r.Addresses {
			address, err := hostAddress(p.Pools[i.Prefix], i, a, r)
			if err != nil {
				problems = append(problems, fmt.Sprintf("%s: %v", i.Key, err))
				continue
			}
			address.Waits = waits[i.UID]
			d.Addresses = append(d.Addresses, address)
			d.Directs = append(d.Directs, hostDirects(i, a, denied)...)
			if opened[i.Key] {
				continue
			}
			for _, port := range i.Ports {
				d.Openings = append(d.Openings, host.Opening{Address: a, Protocol: port.Protocol, Port: port.Port})
			}
		}
		opened[i.Key] = true
	}
	slices.SortFunc(d.Bridges, func(x, y host.Bridge) int { return cmp.Compare(x.Name, y.Name) })
	return d, problems
}

// hostDirects returns the direct endpoints of one address of a proxy.
func hostDirects(i *intent.Intent, a netip.Addr, denied apply.Denied) []host.Direct {
	var out []host.Direct
	for _, direct := range i.Direct {
		if _, no := denied(direct.Address.Addr()); !no && direct.Address.Addr().Is4() == a.Is4() {
			out = append(out, host.Direct{Proxy: a, Endpoint: direct.Address, Protocol: direct.Protocol})
		}
	}
	return out
}

func hostAddress(ps pools, i *intent.Intent, a netip.Addr, r proxies.Interface) (host.Address, error) {
	from := ps.Public
	switch a {
	case i.Public:
	case i.Alternate:
		from = ps.Alternate
	default:
		return host.Address{}, fmt.Errorf("the proxy %s has the address %s, but the object has another: restart its pod", r.Pod, a)
	}
	if from == nil {
		return host.Address{}, fmt.Errorf("the ServicePrefix %q has no pool for %s", i.Prefix, a)
	}
	// An invalid subnet only matters for an aggregation that needs it.
	subnet, _ := netip.ParsePrefix(from.Subnet)
	announce, err := host.Announced(a, subnet, from.Aggregation)
	if err != nil {
		return host.Address{}, fmt.Errorf("ServicePrefix %s: %w", i.Prefix, err)
	}
	return host.Address{Address: a, Announce: announce, Bridge: from.Bridge, Ends: []host.End{{Index: r.Index, MAC: r.PeerMAC, Standby: r.Standby, Served: r.Served}}}, nil
}

// hostKeeper applies the desired state of the host's network.
type hostKeeper struct {
	network HostNetwork
	applier *apply.Applier
	running func() []proxies.Interface
	mtu     func() int
	denied  apply.Denied
	waiter  *waiter
	kick    chan struct{}

	// applying is held while the state is applied. It guards next, the timer that applies
	// it again when a wait ends.
	applying sync.Mutex
	next     *time.Timer

	mu       sync.Mutex
	platform platform
	// known is set when the platform configuration is known, from the API or from disk.
	known    bool
	problems []string
	// waiting holds the addresses that are not announced yet.
	waiting []netip.Addr
}

func (k *hostKeeper) touch() {
	select {
	case k.kick <- struct{}{}:
	default:
	}
}

func (k *hostKeeper) set(p platform) {
	k.mu.Lock()
	k.platform, k.known = p, true
	k.mu.Unlock()
	k.touch()
}

func (k *hostKeeper) get() platform {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.platform
}

func (k *hostKeeper) run(ctx context.Context) {
	retry := time.NewTicker(5 * time.Second)
	defer retry.Stop()
	for {
		switch pulse.Next(ctx, retry.C, k.kick, 5*time.Millisecond) {
		case pulse.Ended:
			return
		case pulse.Tick:
			if len(k.list()) == 0 {
				continue
			}
		case pulse.Kick:
		}
		k.apply(ctx)
	}
}

// verified records that packets now pass a tunnel.
func (k *hostKeeper) verified(tunnel uint32) {
	if k.waiter.awaits(tunnel) {
		k.touch()
	}
}

func (k *hostKeeper) apply(ctx context.Context) {
	k.applying.Lock()
	defer k.applying.Unlock()
	k.mu.Lock()
	p, known := k.platform, k.known
	k.mu.Unlock()
	if !known {
		// Nothing is known to be superfluous.
		return
	}
	running, intents := k.running(), map[intent.Key]*intent.Intent{}
	for _, r := range running {
		key := intent.KeyOf(r)
		if _, found := intents[key]; !found {
			s, _ := k.applier.Get(key)
			intents[key] = s.Intent
		}
	}
	find := func(key intent.Key) *intent.Intent { return intents[key] }
	now := time.Now()
	waits, next := k.waiter.decide(ctx, now, running, find)
	k.applyAt(now, next)
	desired, problems := desiredHost(p, k.mtu(), running, find, waits, k.denied)
	if _, err := k.network.Apply(desired); err != nil {
		problems = append(problems, fmt.Sprintf("the host's network: %v", err))
	}
	var waiting []netip.Addr
	for i := range desired.Addresses {
		if a := &desired.Addresses[i]; a.Waits {
			waiting = append(waiting, a.Address)
		}
	}
	slices.SortFunc(waiting, netip.Addr.Compare)
	waiting = slices.Compact(waiting)
	k.mu.Lock()
	k.problems, k.waiting = problems, waiting
	k.mu.Unlock()
}

// applyAt schedules the next application of the state, unless the time is zero.
func (k *hostKeeper) applyAt(now, next time.Time) {
	if k.next != nil {
		k.next.Stop()
	}
	if !next.IsZero() {
		k.next = time.AfterFunc(next.Sub(now), k.touch)
	}
}

// listWaiting returns the addresses that are not announced yet.
func (k *hostKeeper) listWaiting() []netip.Addr {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.waiting
}

func (k *hostKeeper) list() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.problems)
}
