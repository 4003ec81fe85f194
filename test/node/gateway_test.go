// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/node/proxies"
	"github.com/acnodal/epic/pkg/node/status"
	"github.com/acnodal/epic/test/world"
)

const (
	// idleAddress is an address of the pod at which an endpoint is not ready at first.
	idleAddress = "10.244.0.6"
	// httpPort and tcpPort are where the routes of a gateway proxy lead.
	httpPort, tcpPort = 8080, 5432
)

// gatewayProxy is a gateway proxy of the first tenant with an HTTPRoute to the Service
// "web" and a TCPRoute to the Service "database".
type gatewayProxy struct {
	s     *site
	gw    *epicv1.GWProxy
	proxy *world.Proxy
}

// gatewayProxy makes it, with an address of each family, and with routes that lead to
// no endpoint yet.
func (s *site) gatewayProxy(name string) *gatewayProxy {
	s.t.Helper()
	ctx, api := s.t.Context(), s.client.EpicV1()
	gw, err := api.GWProxies(namespace(0)).Create(ctx, &epicv1.GWProxy{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{epic.OwningLBServiceGroupLabel: group6}},
		Spec:       epicv1.GWProxySpec{PublicPorts: []epicv1.ServicePort{{Port: 80, Protocol: "TCP"}}},
	}, metav1.CreateOptions{})
	s.must(err)
	g := &gatewayProxy{s: s, gw: gw}
	g.proxy, err = s.world.Proxy(proxies.GWProxy, gw.Namespace, name, "g-"+name, netip.MustParseAddr(gw.Spec.PublicAddress), netip.MustParseAddr(gw.Spec.AltAddress))
	s.must(err)
	s.describeProxy(g.proxy)

	parents := gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: gatewayv1.ObjectName(name)}}}
	to := func(service string, port gatewayv1.PortNumber) gatewayv1.BackendRef {
		return gatewayv1.BackendRef{BackendObjectReference: gatewayv1.BackendObjectReference{Name: gatewayv1.ObjectName(service), Port: &port}}
	}
	g.route("web", epicv1.GWRouteSpec{HTTP: &epicv1.HTTPRouteSpec{HTTPRouteSpec: gatewayv1.HTTPRouteSpec{
		CommonRouteSpec: parents,
		Rules:           []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: to("web", 80)}}}},
	}}})
	g.route("database", epicv1.GWRouteSpec{TCP: &epicv1.TCPRouteSpec{TCPRouteSpec: gatewayv1.TCPRouteSpec{
		CommonRouteSpec: parents,
		Rules:           []gatewayv1.TCPRouteRule{{BackendRefs: []gatewayv1.BackendRef{to("database", 5432)}}},
	}}})
	return g
}

func (g *gatewayProxy) route(name string, spec epicv1.GWRouteSpec) {
	g.s.t.Helper()
	_, err := g.s.client.EpicV1().GWRoutes(g.gw.Namespace).Create(g.s.t.Context(), &epicv1.GWRoute{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{})
	g.s.must(err)
}

// slice makes a GWEndpointSlice of a Service, all of whose endpoints are on the
// client node.
func (g *gatewayProxy) slice(name, service, portName string, port int32, pods ...discoveryv1.Endpoint) {
	g.s.t.Helper()
	family := discoveryv1.AddressTypeIPv4
	if netip.MustParseAddr(pods[0].Addresses[0]).Is6() {
		family = discoveryv1.AddressTypeIPv6
	}
	_, err := g.s.client.EpicV1().GWEndpointSlices(g.gw.Namespace).Create(g.s.t.Context(), &epicv1.GWEndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: epicv1.GWEndpointSliceSpec{
			ParentRef:     epicv1.ClientRef{UID: service},
			NodeAddresses: map[string]string{"worker": g.s.outer.node},
			AddressType:   family,
			Endpoints:     pods,
			Ports:         []discoveryv1.EndpointPort{{Name: &portName, Port: &port}},
		},
	}, metav1.CreateOptions{})
	g.s.must(err)
}

func podEndpoint(address string, ready bool) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{Addresses: []string{address}, NodeName: ptr.To("worker"), Conditions: discoveryv1.EndpointConditions{Ready: &ready}}
}

// setReady changes the readiness of the second endpoint of a slice.
func (g *gatewayProxy) setReady(slice string, ready bool) {
	g.s.t.Helper()
	api := g.s.client.EpicV1().GWEndpointSlices(g.gw.Namespace)
	// The controller sets the slice's conditions in the meantime.
	g.s.must(retry.RetryOnConflict(retry.DefaultRetry, func() error {
		o, err := api.Get(g.s.t.Context(), slice, metav1.GetOptions{})
		if err != nil {
			return err
		}
		o.Spec.Endpoints[1].Conditions.Ready = &ready
		_, err = api.Update(g.s.t.Context(), o, metav1.UpdateOptions{})
		return err
	}))
}

// connects reports whether the proxy can connect to an address of a pod.
func (g *gatewayProxy) connects(address string, port int) error {
	ctx, cancel := context.WithTimeout(g.s.t.Context(), time.Second)
	defer cancel()
	conn, err := g.proxy.Dial(ctx, "tcp", net.JoinHostPort(address, fmt.Sprint(port)))
	if err != nil {
		return err
	}
	return conn.Close()
}

// A gateway proxy with a public address of IPv6 and another of IPv4 reaches the ready
// endpoints of the Services to which its routes lead, and no others.
func gatewayProxyFlows(t *testing.T, s *site) {
	s.must(s.world.Tenants[0].Pod.Addr("eth0", idleAddress+"/24"))
	g := s.gatewayProxy("shop")
	g.slice("web-4", "web", "http", httpPort, podEndpoint(world.PodAddress, true), podEndpoint(idleAddress, false))
	g.slice("web-6", "web", "http", httpPort, podEndpoint(world.PodAddress6, true))
	g.slice("database", "database", "sql", tcpPort, podEndpoint(world.PodAddress6, true))
	for _, public := range []string{g.gw.Spec.AltAddress, g.gw.Spec.PublicAddress} {
		pod := world.PodAddress
		if netip.MustParseAddr(public).Is6() {
			pod = world.PodAddress6
		}
		at := net.JoinHostPort(public, "80")
		s.must(world.ServeHTTP(t.Context(), g.proxy.Namespace, at, world.Forwarder(g.proxy.Namespace, net.JoinHostPort(pod, fmt.Sprint(httpPort)))))
		s.until("a request to "+at, func() error {
			got, err := s.ask(at)
			if want := account(0) + " to " + public; err == nil && got != want {
				err = fmt.Errorf("answer %q, want %q", got, want)
			}
			return err
		})
	}
	s.until("a connection by the TCPRoute", func() error { return g.connects(world.PodAddress6, tcpPort) })
	if err := g.connects(world.PodAddress, tcpPort); err == nil {
		t.Error("the proxy reaches an address that is no endpoint of that Service")
	}

	// It is the readiness that decides.
	if err := g.connects(idleAddress, httpPort); err == nil {
		t.Error("the proxy reaches an endpoint that is not ready")
	}
	g.setReady("web-4", true)
	s.until("the endpoint that became ready", func() error { return g.connects(idleAddress, httpPort) })
	g.setReady("web-4", false)
	s.until("no connection to the endpoint any more", func() error {
		if g.connects(idleAddress, httpPort) == nil {
			return errors.New("it is reached")
		}
		return nil
	})
	// Packets pass a moment before the status reports it.
	s.until("the state of the tunnel", func() error {
		tunnel, err := s.gateway.tunnel(g.gw.Namespace, g.gw.Name)
		if err == nil && (tunnel.State != status.Up || tunnel.Kind != string(proxies.GWProxy)) {
			err = fmt.Errorf("%+v", tunnel)
		}
		return err
	})
}
