// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"context"
	"maps"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/operator/workload"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// proxy is the state of one proxy between changes.
type proxy struct {
	// mu is held while endpoints are rendered and set, so the newest are always set last.
	mu     sync.Mutex
	result *translate.Result
	// translated is the translation from which result was made. They are equal unless the
	// proxy has a template.
	translated *translate.Result
	// lb is the load balancer that was translated: endpoints belong to its ports, and not
	// to those of a newer version that has yet to be translated.
	lb       *epicv1.LoadBalancer
	services services
	// rendered holds the endpoints of backends, by name.
	rendered map[string]rendered
	// pods are the pods with their own endpoints, as last set.
	pods    map[string]netip.Addr
	outcome *Outcome
	// template is the envoy-template from which the result was rendered, or nil if there
	// is none.
	template *owned
	// checked indicates that Envoy accepts the result, except the withheld resources.
	checked  bool
	withheld map[resource.Key]string
	// troubles holds the problems of endpoints, by the backend's name.
	troubles map[string][]translate.Problem
}

// source is an object to translate.
type source struct {
	id     proxyidentity.Proxy
	uid    types.UID
	lb     *epicv1.LoadBalancer
	gw     *epicv1.GWProxy
	status *epicv1.ProxyStatus
}

// address returns the public address.
func (s *source) address() string {
	if s.lb != nil {
		return s.lb.Spec.PublicAddress
	}
	return s.gw.Spec.PublicAddress
}

func (f *Feed) source(id proxyidentity.Proxy) *source {
	if id.Kind == string(workload.LoadBalancer) {
		if lb := f.o.Store.LoadBalancer(id.Namespace, id.Name); lb != nil {
			return &source{id: id, uid: lb.UID, lb: lb, status: &lb.Status}
		}
		return nil
	}
	if gw := f.o.Store.GWProxy(id.Namespace, id.Name); gw != nil {
		return &source{id: id, uid: gw.UID, gw: gw, status: &gw.Status}
	}
	return nil
}

// translate creates the whole configuration of a proxy.
func (f *Feed) translate(ctx context.Context, id proxyidentity.Proxy) {
	s := f.source(id)
	if s == nil {
		f.mu.Lock()
		delete(f.proxies, id)
		f.mu.Unlock()
		f.o.Server.Remove(id)
		return
	}
	p := f.state(id, true)
	result, services := f.result(s, p)
	translated := result
	f.again(id, result)
	used := f.templateOf(s)
	if used != nil {
		rendered, problems := f.fromTemplate(ctx, s, used, result)
		if rendered != nil {
			if problems = f.checkTemplate(ctx, used, rendered); len(problems) > 0 {
				rendered = nil
			}
		}
		if rendered == nil {
			if rendered = f.restored(ctx, s, p, used, result); rendered == nil {
				f.keep(s, p, result, problems)
				return
			}
			rendered.Problems = append(explained(problems, "; until then, new Envoys get the configuration of running ones"), result.Problems...)
		}
		result = rendered
		f.again(id, result)
	}
	var withheld map[resource.Key]string
	checked := false
	if used == nil {
		withheld, checked = f.check(ctx, s, p, result)
	}
	outcome := outcomeOf(s, result, f.ports(s))
	outcome.Withheld = withheld

	p.mu.Lock()
	defer p.mu.Unlock()
	p.template, p.checked, p.withheld = used, checked, withheld
	p.result, p.translated, p.lb, p.services, p.outcome, p.troubles = result, translated, s.lb, services, outcome, map[string][]translate.Problem{}
	p.pods = podsOf(s.status)
	before := p.rendered
	p.rendered = make(map[string]rendered, len(result.Backends))
	unchanged := f.unchanged(s, p)
	config := xds.Config{Resources: maps.Clone(result.Resources), Endpoints: map[string][]*resource.Resource{}, Withheld: map[resource.Key]bool{}}
	for key := range withheld {
		config.Withheld[key] = true
	}
	for i := range result.Backends {
		b := &result.Backends[i]
		rendered, ok := before[b.Name]
		if !ok || !unchanged(b, &rendered) {
			rendered = f.assign(s, b, p) //nolint:contextcheck // a template limits its own time
		}
		p.keepRendered(b.Name, rendered)
		config.Resources[rendered.shared.Key()] = rendered.shared
		for pod, r := range rendered.own {
			config.Endpoints[pod] = append(config.Endpoints[pod], r)
		}
	}
	p.outcome = p.outcome.with(p.troubles)
	// Endpoints are rendered and set under the lock, so none can be newer than these.
	f.o.Server.Set(id, config, f.o.Server.Mark(id))
	f.o.Changed(id)
}

// ports returns a function that maps a published port of a proxy to the one on which
// Envoys listen.
func (f *Feed) ports(s *source) func(published uint16) uint16 {
	_, port := f.o.Place(s.address()).Listen()
	return port
}

// again schedules another translation of a proxy for the time at which its problems
// change without a change of an object: a certificate expires or becomes valid.
func (f *Feed) again(id proxyidentity.Proxy, result *translate.Result) {
	if !result.Until.IsZero() {
		f.whole.AddAfter(id, time.Until(result.Until))
	}
}

func (f *Feed) result(s *source, p *proxy) (*translate.Result, services) {
	if s.lb != nil {
		options := f.o.Place(s.lb.Spec.PublicAddress)
		return translate.LoadBalancer(translate.LoadBalancerInput{LoadBalancer: s.lb, Group: f.o.Store.GroupOf(s.lb), Options: options}), nil
	}
	p.mu.Lock()
	earlier, known := p.translated, p.services
	p.mu.Unlock()
	return f.gateway(s, f.o.Place(s.gw.Spec.PublicAddress), earlier, known)
}

// render renders endpoints of a proxy only.
func (f *Feed) render(_ context.Context, c change) {
	s, p := f.source(c.Proxy), f.state(c.Proxy, false)
	if s == nil || p == nil {
		return // the translation is still to come, or the object was deleted
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.result == nil {
		return
	}
	if pods := podsOf(s.status); !maps.Equal(pods, p.pods) {
		// Only a whole configuration can remove endpoints of pods that are gone.
		f.Translate(c.Proxy)
		p.pods = pods
	}
	if c.service != "" && !f.service(s, c.service, nil).Equal(p.services[c.service].Service) {
		f.Translate(c.Proxy)
	}
	for i := range p.result.Backends {
		b := &p.result.Backends[i]
		if c.service != "" && !b.Leads(c.service) {
			continue
		}
		rendered := f.assign(s, b, p) //nolint:contextcheck // a template limits its own time
		p.keepRendered(b.Name, rendered)
		f.o.Server.SetEndpoints(c.Proxy, "", rendered.shared)
		for pod, r := range rendered.own {
			f.o.Server.SetEndpoints(c.Proxy, pod, r)
		}
	}
	if next := p.outcome.with(p.troubles); !next.equal(p.outcome) {
		p.outcome = next
		f.o.Changed(c.Proxy)
	}
}

// reach returns how a pod on a gateway node reaches client nodes.
func (f *Feed) reach(status *epicv1.ProxyStatus, gatewayNode netip.Addr) func(netip.Addr) translate.Reach {
	return func(clientNode netip.Addr) translate.Reach {
		tunnel, ok := status.GUETunnelEndpoints[clientNode.String()].EPICEndpoints[gatewayNode.String()]
		if !ok || tunnel.TunnelID == 0 {
			return translate.ReachDown
		}
		return f.o.Tunnel(tunnel.TunnelID, gatewayNode)
	}
}

// podsOf returns the pods whose gateway node is known.
func podsOf(status *epicv1.ProxyStatus) map[string]netip.Addr {
	pods := map[string]netip.Addr{}
	for pod, info := range status.ProxyIfInfo {
		if node, err := netip.ParseAddr(info.EPICNodeAddress); err == nil {
			pods[pod] = node.Unmap()
		}
	}
	return pods
}

// gateway translates a gateway proxy.
func (f *Feed) gateway(s *source, options translate.Options, earlier *translate.Result, known services) (*translate.Result, services) {
	in := translate.GatewayInput{
		Proxy: s.gw, Group: f.o.Store.GroupOf(s.gw), Routes: f.o.Store.RoutesOf(s.id.Namespace, s.id.Name),
		Services: map[string]*translate.Service{}, Secrets: map[string]*corev1.Secret{}, Options: options, Now: time.Now(), Earlier: earlier,
	}
	now := services{}
	for _, name := range translate.SecretsOf(s.gw, in.Routes) {
		if secret := f.o.Secret(s.id.Namespace, name); secret != nil {
			in.Secrets[name] = secret
		}
	}
	for _, route := range in.Routes {
		for _, uid := range endpoints.ServicesOf(route) {
			if _, ok := now[uid]; !ok {
				now[uid] = f.service(s, uid, known)
				in.Services[uid] = now[uid].Service
			}
		}
	}
	return translate.Gateway(in), now
}
