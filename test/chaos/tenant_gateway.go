// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/test/world"
)

// gateway is a gateway proxy with a listener for HTTP, one for TCP and one for UDP.
type gateway struct {
	name, object string
	addresses    []string
	// routes are a TCPRoute, a UDPRoute, and HTTPRoutes, of which the first stays.
	routes []*route
}

// route is a GWRoute.
type route struct {
	name    string
	via     via
	gateway *gateway
	host    string
	path    string
	targets []string
	service *service
}

// service is a Service of the tenant's cluster: GWEndpointSlices of both families.
type service struct {
	uid      string
	backends []*backend
}

// listenerPorts are the ports of a gateway proxy's listeners.
var listenerPorts = map[via]int32{byHTTP: 80, byTCP: 5432, byUDP: 5353}

var errStillThere = errors.New("it is still there")

func (a *actor) createGateway(ctx context.Context, name string) error {
	began := time.Now()
	gws := a.api.GWProxies(a.namespace)
	listeners := []gatewayv1.Listener{
		{Name: "web", Port: listenerPorts[byHTTP], Protocol: gatewayv1.HTTPProtocolType},
		{Name: "db", Port: listenerPorts[byTCP], Protocol: gatewayv1.TCPProtocolType},
		{Name: "dns", Port: listenerPorts[byUDP], Protocol: gatewayv1.UDPProtocolType},
	}
	var gw *epicv1.GWProxy
	err := a.write(ctx, "create gateway proxy "+name, func(ctx context.Context) (err error) {
		gw, err = gws.Create(ctx, &epicv1.GWProxy{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{epic.OwningLBServiceGroupLabel: group6}},
			Spec: epicv1.GWProxySpec{
				PublicPorts: []epicv1.ServicePort{
					{Name: "web", Port: listenerPorts[byHTTP], Protocol: corev1.ProtocolTCP}, {Name: "db", Port: listenerPorts[byTCP], Protocol: corev1.ProtocolTCP},
					{Name: "dns", Port: listenerPorts[byUDP], Protocol: corev1.ProtocolUDP},
				},
				Gateway: &epicv1.GatewaySpec{GatewaySpec: gatewayv1.GatewaySpec{GatewayClassName: "epic", Listeners: listeners}},
			},
		}, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			gw, err = gws.Get(ctx, name, metav1.GetOptions{})
		}
		return err
	})
	if err != nil {
		return err
	}
	g := &gateway{name: name, object: fmt.Sprintf("%s/gwp/%s#%d", a.namespace, name, a.id()), addresses: []string{gw.Spec.PublicAddress, gw.Spec.AltAddress}}
	a.gateways[name] = g
	// The addresses may have been another object's.
	for _, address := range g.addresses {
		for via, port := range listenerPorts {
			a.oracle.expect(&target{id: fmt.Sprintf("%s %s %s", g.object, via, address), tenant: a.number, object: g.object, via: via, address: net.JoinHostPort(address, fmt.Sprint(port)), path: "/"}, began)
		}
	}
	for _, via := range []via{byTCP, byUDP, byHTTP} {
		if err := a.addRoute(ctx, g, via); err != nil {
			return err
		}
	}
	return nil
}

// addRoute adds a route with a separate Service.
func (a *actor) addRoute(ctx context.Context, g *gateway, via via) error {
	id := a.id()
	r := &route{name: fmt.Sprintf("r%d", id), via: via, gateway: g}
	if via == byHTTP {
		r.host, r.path = fmt.Sprintf("h%d.%s.example", id%3, account(a.number)), fmt.Sprintf("/r%d", id)
	}
	s, err := a.newService(ctx)
	if err != nil {
		return err
	}
	r.service = s
	for _, address := range g.addresses {
		t := &target{id: fmt.Sprintf("%s %s %s", g.object, via, address), tenant: a.number, object: g.object, via: via, address: net.JoinHostPort(address, fmt.Sprint(listenerPorts[via])), host: r.host, path: r.path}
		if via == byHTTP {
			t.id += " " + r.name
			a.oracle.expect(t, time.Now())
		}
		r.targets = append(r.targets, t.id)
	}
	a.enter(r.targets, s.backends)
	err = a.write(ctx, "create route "+r.name, func(ctx context.Context) error {
		_, err := a.api.GWRoutes(a.namespace).Create(ctx, &epicv1.GWRoute{ObjectMeta: metav1.ObjectMeta{Name: r.name}, Spec: r.spec()}, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			err = nil
		}
		return err
	})
	if err != nil {
		return err
	}
	a.entered(r.targets, s.backends)
	g.routes = append(g.routes, r)
	return nil
}

func (a *actor) enter(targets []string, backends []*backend) {
	for _, id := range targets {
		for _, b := range backends {
			a.oracle.adding(id, b.name, time.Now())
		}
	}
}

func (a *actor) entered(targets []string, backends []*backend) {
	for _, id := range targets {
		for _, b := range backends {
			a.oracle.added(id, b.name, time.Now())
		}
	}
}

// spec is that of a GWRoute which leads to the route's Service.
func (r *route) spec() epicv1.GWRouteSpec {
	common := gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: gatewayv1.ObjectName(r.gateway.name)}}}
	to := gatewayv1.BackendRef{BackendObjectReference: gatewayv1.BackendObjectReference{Name: gatewayv1.ObjectName(r.service.uid), Port: ptr.To[gatewayv1.PortNumber](80)}}
	switch r.via {
	case byTCP:
		return epicv1.GWRouteSpec{TCP: &epicv1.TCPRouteSpec{TCPRouteSpec: gatewayv1.TCPRouteSpec{CommonRouteSpec: common, Rules: []gatewayv1.TCPRouteRule{{BackendRefs: []gatewayv1.BackendRef{to}}}}}}
	case byUDP:
		return epicv1.GWRouteSpec{UDP: &epicv1.UDPRouteSpec{UDPRouteSpec: gatewayv1.UDPRouteSpec{CommonRouteSpec: common, Rules: []gatewayv1.UDPRouteRule{{BackendRefs: []gatewayv1.BackendRef{to}}}}}}
	}
	return epicv1.GWRouteSpec{HTTP: &epicv1.HTTPRouteSpec{HTTPRouteSpec: gatewayv1.HTTPRouteSpec{
		CommonRouteSpec: common, Hostnames: []gatewayv1.Hostname{gatewayv1.Hostname(r.host)},
		Rules: []gatewayv1.HTTPRouteRule{{
			Matches:     []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{Type: ptr.To(gatewayv1.PathMatchPathPrefix), Value: &r.path}}},
			BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: to}},
		}},
	}}}
}

func (a *actor) removeRoute(ctx context.Context, g *gateway, r *route) error {
	a.leave(r.targets, r.service.backends)
	// In either order.
	routeFirst := a.rng.IntN(2) == 0
	if !routeFirst {
		if err := a.removeService(ctx, r.service); err != nil {
			return err
		}
	}
	err := a.remove(ctx, "route "+r.name, func(ctx context.Context) error {
		return a.api.GWRoutes(a.namespace).Delete(ctx, r.name, metav1.DeleteOptions{})
	})
	if err != nil {
		return err
	}
	a.left(r.targets, r.service.backends)
	g.routes = slices.DeleteFunc(g.routes, func(other *route) bool { return other == r })
	if routeFirst {
		return a.removeService(ctx, r.service)
	}
	return nil
}

// redirect leads a route to a new Service in one write.
func (a *actor) redirect(ctx context.Context, _ *gateway, r *route) error {
	s, err := a.newService(ctx)
	if err != nil {
		return err
	}
	before := r.service
	r.service = s
	a.swap(r.targets, before.backends, s.backends)
	err = a.write(ctx, "lead route "+r.name+" elsewhere", func(ctx context.Context) error {
		o, err := a.api.GWRoutes(a.namespace).Get(ctx, r.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		o.Spec = r.spec()
		_, err = a.api.GWRoutes(a.namespace).Update(ctx, o, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	a.left(r.targets, before.backends)
	return a.removeService(ctx, before)
}

// swap notes that one write replaces backends by others: at no time is there none.
func (a *actor) swap(targets []string, before, after []*backend) {
	a.enter(targets, after)
	a.entered(targets, after)
	a.leave(targets, before)
}

func (a *actor) newService(ctx context.Context) (*service, error) {
	b, err := a.backend()
	if err != nil {
		return nil, err
	}
	s := &service{uid: fmt.Sprintf("s%d", a.id()), backends: []*backend{b}}
	return s, a.writeSlices(ctx, s)
}

var families = map[discoveryv1.AddressType]string{discoveryv1.AddressTypeIPv4: world.PodAddress, discoveryv1.AddressTypeIPv6: world.PodAddress6}

// writeSlices creates or updates the slices of a Service: one for each backend and family, because
// each backend has a separate port.
func (a *actor) writeSlices(ctx context.Context, s *service) error {
	slicesOf := a.api.GWEndpointSlices(a.namespace)
	for family, address := range families {
		name := sliceName(s, family)
		b := s.backends[len(s.backends)-1]
		spec := epicv1.GWEndpointSliceSpec{
			ParentRef: epicv1.ClientRef{ClusterID: clusterID, UID: s.uid}, NodeAddresses: map[string]string{"worker": a.nodeAddress}, AddressType: family,
			Ports:     []discoveryv1.EndpointPort{{Port: ptr.To(b.port), Protocol: ptr.To(corev1.ProtocolTCP)}, {Name: ptr.To("udp"), Port: ptr.To(b.port), Protocol: ptr.To(corev1.ProtocolUDP)}},
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{address}, NodeName: ptr.To("worker"), Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}}},
		}
		err := a.write(ctx, "write endpoint slice "+name, func(ctx context.Context) error {
			o, err := slicesOf.Get(ctx, name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				_, err = slicesOf.Create(ctx, &epicv1.GWEndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{})
				return err
			}
			if err != nil {
				return err
			}
			o.Spec = spec
			_, err = slicesOf.Update(ctx, o, metav1.UpdateOptions{})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func sliceName(s *service, family discoveryv1.AddressType) string {
	if family == discoveryv1.AddressTypeIPv6 {
		return s.uid + "-6"
	}
	return s.uid + "-4"
}

// replaceSlices replaces the backend of a route's Service by a write of each slice.
func (a *actor) replaceSlices(ctx context.Context, r *route) error {
	b, err := a.backend()
	if err != nil {
		return err
	}
	before := r.service.backends
	r.service.backends = []*backend{b}
	a.swap(r.targets, before, r.service.backends)
	if err := a.writeSlices(ctx, r.service); err != nil {
		return err
	}
	a.left(r.targets, before)
	return nil
}

func (a *actor) removeService(ctx context.Context, s *service) error {
	for family := range families {
		name := sliceName(s, family)
		err := a.remove(ctx, "endpoint slice "+name, func(ctx context.Context) error {
			return a.api.GWEndpointSlices(a.namespace).Delete(ctx, name, metav1.DeleteOptions{})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// deleteGateway deletes a gateway proxy, before or after its routes.
func (a *actor) deleteGateway(ctx context.Context, name string) error {
	g, gws := a.gateways[name], a.api.GWProxies(a.namespace)
	for _, r := range g.routes {
		a.leave(r.targets, r.service.backends)
	}
	routes := func() error {
		for _, r := range slices.Clone(g.routes) {
			if err := a.removeRoute(ctx, g, r); err != nil {
				return err
			}
		}
		return nil
	}
	routesFirst := a.rng.IntN(2) == 0
	if routesFirst {
		if err := routes(); err != nil {
			return err
		}
	}
	if err := a.remove(ctx, "gateway proxy "+name, func(ctx context.Context) error { return gws.Delete(ctx, name, metav1.DeleteOptions{}) }); err != nil {
		return err
	}
	for _, r := range g.routes {
		a.left(r.targets, r.service.backends)
	}
	delete(a.gateways, name)
	if !routesFirst {
		if err := routes(); err != nil {
			return err
		}
	}
	return a.gone(ctx, "gateway proxy "+name, func(ctx context.Context) error {
		_, err := gws.Get(ctx, name, metav1.GetOptions{})
		return err
	})
}
