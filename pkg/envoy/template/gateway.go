// SPDX-License-Identifier: Apache-2.0

package template

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
)

// gateway converts a gateway proxy for templates.
type gateway struct {
	in   *Input
	view *view
	// routes are the routes of the proxy, oldest first, and parents the results of the
	// translation of their references to it.
	routes  []*epicv1.GWRoute
	parents map[attachment][]translate.ParentStatus
	// names holds the clusters of Services' ports.
	names map[servicePort]string
}

// attachment is a route of a GWRoute.
type attachment struct{ name, kind string }

type servicePort struct {
	service string
	port    int32
}

// gatewayView returns the parameters of a gateway proxy's templates: a listener for each
// port, and a cluster for each backend. A cluster has the name of the Service, followed
// by the port if routes lead to several of its ports.
func gatewayView(in *Input) *view {
	g := &gateway{
		in: in, view: &view{}, routes: translate.OwnRoutes(in.Proxy, in.Routes),
		parents: map[attachment][]translate.ParentStatus{}, names: map[servicePort]string{},
	}
	for i := range in.Plain.Routes {
		s := &in.Plain.Routes[i]
		g.parents[attachment{s.Route.Name, s.Kind}] = s.Parents
	}
	g.nameClusters()
	if in.Proxy.Spec.Gateway != nil {
		g.readListeners(in.Proxy.Spec.Gateway.Listeners)
	}
	return g.view
}

func refOf(b *gatewayv1.BackendObjectReference) servicePort {
	p := servicePort{service: string(b.Name)}
	if b.Port != nil {
		p.port = *b.Port
	}
	return p
}

// nameClusters assigns a cluster name to each backend.
func (g *gateway) nameClusters() {
	ports := map[string][]int32{}
	add := func(ref *gatewayv1.BackendObjectReference) {
		if p := refOf(ref); !slices.Contains(ports[p.service], p.port) {
			ports[p.service] = append(ports[p.service], p.port)
		}
	}
	for _, r := range g.routes {
		if r.Spec.HTTP != nil {
			for i := range r.Spec.HTTP.Rules {
				for j := range r.Spec.HTTP.Rules[i].BackendRefs {
					add(&r.Spec.HTTP.Rules[i].BackendRefs[j].BackendObjectReference)
				}
			}
		}
		if r.Spec.TCP != nil {
			for i := range r.Spec.TCP.Rules {
				for j := range r.Spec.TCP.Rules[i].BackendRefs {
					add(&r.Spec.TCP.Rules[i].BackendRefs[j].BackendObjectReference)
				}
			}
		}
	}
	services := make([]string, 0, len(ports))
	for service := range ports {
		services = append(services, service)
	}
	slices.Sort(services)
	proxy := g.in.Proxy
	for _, service := range services {
		slices.Sort(ports[service])
		for _, port := range ports[service] {
			name := clusterName(service)
			if len(ports[service]) > 1 {
				name = fmt.Sprintf("%s-%d", name, port)
			}
			g.names[servicePort{service, port}] = name
			g.view.clusters = append(g.view.clusters, clusterView{
				parameters: ClusterParameters{
					ClusterName: name, ServiceNamespace: proxy.Namespace, ServiceName: proxy.Name, PureLBServiceName: proxy.Spec.DisplayName,
				},
				backend: translate.Backend{
					Name: name, Sources: []resource.Source{g.in.proxy()},
					Members: []translate.Member{{Service: service, Port: port, Protocol: protocolTCP, Weight: 1}},
				},
			})
		}
	}
}

// collapsed is a set of listeners that share a port.
type collapsed struct {
	port      int32
	protocol  gatewayv1.ProtocolType
	transport corev1.Protocol
	listeners []*gatewayv1.Listener
}

// transportOf returns the transport protocol of a listener, or "" if it has none.
func transportOf(p gatewayv1.ProtocolType) corev1.Protocol {
	switch p {
	case gatewayv1.HTTPProtocolType, gatewayv1.HTTPSProtocolType, gatewayv1.TLSProtocolType, gatewayv1.TCPProtocolType:
		return corev1.ProtocolTCP
	case gatewayv1.UDPProtocolType:
		return corev1.ProtocolUDP
	}
	return ""
}

func (g *gateway) readListeners(all []gatewayv1.Listener) {
	var groups []*collapsed
	for i := range all {
		l := &all[i]
		transport := transportOf(l.Protocol)
		if transport == "" || !g.accepted(l.Name) {
			continue // the translation has reported the reason
		}
		at := slices.IndexFunc(groups, func(c *collapsed) bool { return c.port == l.Port && c.transport == transport })
		if at < 0 {
			groups = append(groups, &collapsed{port: l.Port, protocol: l.Protocol, transport: transport})
			at = len(groups) - 1
		}
		groups[at].listeners = append(groups[at].listeners, l)
	}
	proxy := g.in.Proxy
	for _, c := range groups {
		g.view.listeners = append(g.view.listeners, ListenerParameters{
			TotalWeight: wholeWeight, ClusterWeight: wholeWeight,
			PortName: fmt.Sprintf("%s-%d", c.protocol, c.port), Port: c.port, Protocol: c.transport,
			ServiceNamespace: proxy.Namespace, ServiceName: proxy.Name, PureLBServiceName: proxy.Spec.DisplayName,
			Routes: g.routesOf(c),
		})
	}
}

// accepted reports whether the translation accepts a listener.
func (g *gateway) accepted(name gatewayv1.SectionName) bool {
	for i := range g.in.Plain.Listeners {
		if s := &g.in.Plain.Listeners[i]; s.Name == string(name) {
			return holds(s.Conditions, string(gatewayv1.ListenerConditionAccepted))
		}
	}
	return false
}

func holds(conditions []translate.Condition, typ string) bool {
	for i := range conditions {
		if conditions[i].Type == typ {
			return conditions[i].Status
		}
	}
	return false
}

// attached reports whether a route is attached to a listener.
func (g *gateway) attached(r *epicv1.GWRoute, kind string, l *gatewayv1.Listener) bool {
	return slices.ContainsFunc(g.parents[attachment{r.Name, kind}], func(p translate.ParentStatus) bool {
		return translate.RefersTo(&p.Ref, l) && holds(p.Conditions, string(gatewayv1.RouteConditionAccepted))
	})
}

// notServed reports parts of a route that a template can't serve.
func (g *gateway) notServed(r *epicv1.GWRoute, field, message string) {
	p := translate.Problem{Object: translate.SourceOf("GWRoute", r), Field: field, Reason: ReasonNotServed, Message: message}
	if !slices.Contains(g.view.problems, p) {
		g.view.problems = append(g.view.problems, p)
	}
}
