// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func gateway() *epicv1.GWProxy {
	return &epicv1.GWProxy{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "gateway"}}
}

func toService(uid string, port int32) gatewayv1.BackendObjectReference {
	ref := gatewayv1.BackendObjectReference{Name: gatewayv1.ObjectName(uid)}
	if port != 0 {
		ref.Port = &port
	}
	return ref
}

// httpTo is an HTTP route of the gateway to Services' ports.
func httpTo(name string, refs ...gatewayv1.BackendObjectReference) *epicv1.GWRoute {
	var rule gatewayv1.HTTPRouteRule
	for _, ref := range refs {
		rule.BackendRefs = append(rule.BackendRefs, gatewayv1.HTTPBackendRef{BackendRef: gatewayv1.BackendRef{BackendObjectReference: ref}})
	}
	spec := gatewayv1.HTTPRouteSpec{Rules: []gatewayv1.HTTPRouteRule{rule}}
	spec.ParentRefs = []gatewayv1.ParentReference{{Name: "gateway"}}
	return &epicv1.GWRoute{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec:       epicv1.GWRouteSpec{HTTP: &epicv1.HTTPRouteSpec{HTTPRouteSpec: spec}},
	}
}

func tcpTo(name string, ref gatewayv1.BackendObjectReference) *epicv1.GWRoute {
	spec := gatewayv1.TCPRouteSpec{Rules: []gatewayv1.TCPRouteRule{{BackendRefs: []gatewayv1.BackendRef{{BackendObjectReference: ref}}}}}
	spec.ParentRefs = []gatewayv1.ParentReference{{Name: "gateway"}}
	return &epicv1.GWRoute{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec:       epicv1.GWRouteSpec{TCP: &epicv1.TCPRouteSpec{TCPRouteSpec: spec}},
	}
}

func slicePort(name string, number int32) discoveryv1.EndpointPort {
	p := discoveryv1.EndpointPort{Protocol: ptr.To(corev1.ProtocolTCP)}
	if name != "" {
		p.Name = &name
	}
	if number != 0 {
		p.Port = &number
	}
	return p
}

func pod(address, node string) discoveryv1.Endpoint {
	e := discoveryv1.Endpoint{Addresses: []string{address}}
	if node != "" {
		e.NodeName = &node
	}
	return e
}

// sliceOf is a slice of a Service with pods on the nodes n1 and n2.
func sliceOf(name, uid string, ports []discoveryv1.EndpointPort, pods ...discoveryv1.Endpoint) *epicv1.GWEndpointSlice {
	return &epicv1.GWEndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec: epicv1.GWEndpointSliceSpec{
			ParentRef:     epicv1.ClientRef{UID: uid},
			NodeAddresses: map[string]string{"n1": "192.168.1.1", "n2": "192.168.1.2", "lost": "nowhere"},
			AddressType:   discoveryv1.AddressTypeIPv4,
			Endpoints:     pods,
			Ports:         ports,
		},
	}
}

type ports = []discoveryv1.EndpointPort

func TestOfGWProxy(t *testing.T) {
	withSlice := func(s *epicv1.GWEndpointSlice, change func(*epicv1.GWEndpointSlice)) *epicv1.GWEndpointSlice {
		change(s)
		return s
	}
	withRoute := func(r *epicv1.GWRoute, change func(*epicv1.GWRoute)) *epicv1.GWRoute {
		change(r)
		return r
	}
	conditions := func(c discoveryv1.EndpointConditions) discoveryv1.Endpoint {
		e := pod("10.0.0.1", "n1")
		e.Conditions = c
		return e
	}
	one := ports{slicePort("", 8080)}
	web := ports{slicePort("http", 8080), slicePort("metrics", 9090)}
	for name, c := range map[string]struct {
		routes         []*epicv1.GWRoute
		slices         []*epicv1.GWEndpointSlice
		want, problems string
	}{
		"none":             {},
		"slices, no route": {slices: []*epicv1.GWEndpointSlice{sliceOf("s", "svc", one, pod("10.0.0.1", "n1"))}},
		"a route without slices": {
			routes: []*epicv1.GWRoute{httpTo("r", toService("svc", 80))}, problems: "BackendWithoutSlices(GWRoute r)x1",
		},
		"one port, HTTP": {
			routes: []*epicv1.GWRoute{httpTo("r", toService("svc", 80))},
			slices: []*epicv1.GWEndpointSlice{sliceOf("s", "svc", one, pod("10.0.0.1", "n1"), pod("10.0.0.2", "n2"), pod("10.0.0.3", "n1"))},
			want:   "10.0.0.1:8080/6@192.168.1.1 10.0.0.2:8080/6@192.168.1.2 10.0.0.3:8080/6@192.168.1.1",
		},
		"one port, TCP, and no port in the route": {
			routes: []*epicv1.GWRoute{tcpTo("r", toService("svc", 0))},
			slices: []*epicv1.GWEndpointSlice{sliceOf("s", "svc", one, pod("10.0.0.1", "n1"))},
			want:   "10.0.0.1:8080/6@192.168.1.1",
		},
		"two slices and two Services": {
			routes: []*epicv1.GWRoute{httpTo("r", toService("svc", 80), toService("other", 80)), httpTo("q", toService("svc", 80))},
			slices: []*epicv1.GWEndpointSlice{
				sliceOf("a", "svc", one, pod("10.0.0.1", "n1")), sliceOf("b", "svc", one, pod("10.0.0.2", "n2")),
				sliceOf("c", "other", ports{slicePort("x", 7)}, pod("10.0.0.3", "n2")), sliceOf("d", "third", one, pod("10.0.0.4", "n2")),
			},
			want: "10.0.0.1:8080/6@192.168.1.1 10.0.0.2:8080/6@192.168.1.2 10.0.0.3:7/6@192.168.1.2",
		},
		"several ports: the number": {
			routes: []*epicv1.GWRoute{httpTo("r", toService("svc", 9090))},
			slices: []*epicv1.GWEndpointSlice{sliceOf("s", "svc", web, pod("10.0.0.1", "n1"))},
			want:   "10.0.0.1:9090/6@192.168.1.1",
		},
		"several ports: the number gives the name for all slices": {
			routes: []*epicv1.GWRoute{httpTo("r", toService("svc", 9090))},
			slices: []*epicv1.GWEndpointSlice{
				sliceOf("a", "svc", web, pod("10.0.0.1", "n1")),
				sliceOf("b", "svc", ports{slicePort("http", 8081), slicePort("metrics", 9091)}, pod("10.0.0.2", "n1")),
			},
			want: "10.0.0.1:9090/6@192.168.1.1 10.0.0.2:9091/6@192.168.1.1",
		},
		"several ports: the usual name": {
			routes: []*epicv1.GWRoute{httpTo("r", toService("svc", 80))},
			slices: []*epicv1.GWEndpointSlice{sliceOf("s", "svc", web, pod("10.0.0.1", "n1"))},
			want:   "10.0.0.1:8080/6@192.168.1.1",
		},
		"several ports: the annotation goes before the number": {
			routes: []*epicv1.GWRoute{httpTo("r", toService("svc", 8080))},
			slices: []*epicv1.GWEndpointSlice{withSlice(sliceOf("s", "svc", web, pod("10.0.0.1", "n1")), func(s *epicv1.GWEndpointSlice) {
				s.Annotations = map[string]string{ServicePortsAnnotation: "80=http, 8080 = metrics,x,=,9=,-1=http"}
			})},
			want: "10.0.0.1:9090/6@192.168.1.1",
		},
		"several ports: the annotation names one that is not there": {
			routes: []*epicv1.GWRoute{httpTo("r", toService("svc", 8080))},
			slices: []*epicv1.GWEndpointSlice{withSlice(sliceOf("s", "svc", web, pod("10.0.0.1", "n1")), func(s *epicv1.GWEndpointSlice) {
				s.Annotations = map[string]string{ServicePortsAnnotation: "8080=metric"}
			})},
			problems: "PortMissing(GWEndpointSlice s)x1",
		},
		"one number for UDP and TCP: the annotation names both": {
			routes: []*epicv1.GWRoute{tcpTo("r", toService("svc", 53))},
			slices: []*epicv1.GWEndpointSlice{withSlice(sliceOf("s", "svc", ports{
				{Name: ptr.To("dns"), Port: ptr.To[int32](5353), Protocol: ptr.To(corev1.ProtocolUDP)}, slicePort("dns-tcp", 5354),
			}, pod("10.0.0.1", "n1")), func(s *epicv1.GWEndpointSlice) {
				s.Annotations = map[string]string{ServicePortsAnnotation: "53=dns,53=dns-tcp"}
			})},
			want: "10.0.0.1:5354/6@192.168.1.1",
		},
		"several ports: nobody knows": {
			routes:   []*epicv1.GWRoute{httpTo("r", toService("svc", 81))},
			slices:   []*epicv1.GWEndpointSlice{sliceOf("s", "svc", web, pod("10.0.0.1", "n1"))},
			problems: "PortAmbiguous(GWEndpointSlice s)x1",
		},
		"several names of one number": {
			routes: []*epicv1.GWRoute{httpTo("r", toService("svc", 81))},
			slices: []*epicv1.GWEndpointSlice{sliceOf("s", "svc", ports{slicePort("a", 8080), slicePort("b", 8080)}, pod("10.0.0.1", "n1"))},
			want:   "10.0.0.1:8080/6@192.168.1.1",
		},
		"two ports wanted": {
			routes: []*epicv1.GWRoute{httpTo("r", toService("svc", 8080), toService("svc", 9090))},
			slices: []*epicv1.GWEndpointSlice{sliceOf("s", "svc", web, pod("10.0.0.1", "n1"))},
			want:   "10.0.0.1:8080/6@192.168.1.1 10.0.0.1:9090/6@192.168.1.1",
		},
		"UDP is not for routes": {
			routes: []*epicv1.GWRoute{tcpTo("r", toService("svc", 53))},
			slices: []*epicv1.GWEndpointSlice{
				sliceOf("a", "svc", ports{{Name: ptr.To("dns"), Port: ptr.To[int32](53), Protocol: ptr.To(corev1.ProtocolUDP)}, slicePort("dns-tcp", 5353)}, pod("10.0.0.1", "n1")),
				sliceOf("b", "svc", ports{{Name: ptr.To("dns"), Port: ptr.To[int32](53), Protocol: ptr.To(corev1.ProtocolUDP)}}, pod("10.0.0.2", "n1")),
			},
			want: "10.0.0.1:5353/6@192.168.1.1", problems: "PortMissing(GWEndpointSlice b)x1",
		},
		"a name that is UDP's in another slice": {
			routes: []*epicv1.GWRoute{tcpTo("r", toService("svc", 53))},
			slices: []*epicv1.GWEndpointSlice{
				sliceOf("a", "svc", ports{slicePort("dns", 53)}, pod("10.0.0.1", "n1")),
				sliceOf("b", "svc", ports{{Name: ptr.To("dns"), Port: ptr.To[int32](53), Protocol: ptr.To(corev1.ProtocolUDP)}}, pod("10.0.0.2", "n1")),
			},
			want: "10.0.0.1:53/6@192.168.1.1", problems: "PortMissing(GWEndpointSlice b)x1",
		},
		"no ports": {
			routes:   []*epicv1.GWRoute{httpTo("r", toService("svc", 80))},
			slices:   []*epicv1.GWEndpointSlice{sliceOf("s", "svc", nil, pod("10.0.0.1", "n1"))},
			problems: "PortMissing(GWEndpointSlice s)x1",
		},
		"a port without a number takes the route's": {
			routes: []*epicv1.GWRoute{httpTo("r", toService("svc", 80))},
			slices: []*epicv1.GWEndpointSlice{sliceOf("s", "svc", ports{{}}, pod("10.0.0.1", "n1"))},
			want:   "10.0.0.1:80/6@192.168.1.1",
		},
		"no number anywhere, and one that is none": {
			routes: []*epicv1.GWRoute{httpTo("r", toService("svc", 0), toService("bad", 0))},
			slices: []*epicv1.GWEndpointSlice{
				sliceOf("a", "svc", ports{{}}, pod("10.0.0.1", "n1")), sliceOf("b", "bad", ports{slicePort("", 65616)}, pod("10.0.0.1", "n1")),
			},
			problems: "PortUnusable(GWEndpointSlice a)x1 PortUnusable(GWEndpointSlice b)x1",
		},
		"ready": {
			routes: []*epicv1.GWRoute{httpTo("r", toService("svc", 80))},
			slices: []*epicv1.GWEndpointSlice{sliceOf("s", "svc", one, conditions(discoveryv1.EndpointConditions{Ready: ptr.To(true), Terminating: ptr.To(false)}))},
			want:   "10.0.0.1:8080/6@192.168.1.1",
		},
		"not ready": {
			routes: []*epicv1.GWRoute{httpTo("r", toService("svc", 80))},
			slices: []*epicv1.GWEndpointSlice{sliceOf("s", "svc", one, conditions(discoveryv1.EndpointConditions{Ready: ptr.To(false)}))},
		},
		"terminating": {
			routes: []*epicv1.GWRoute{httpTo("r", toService("svc", 80))},
			slices: []*epicv1.GWEndpointSlice{sliceOf("s", "svc", one, conditions(discoveryv1.EndpointConditions{Ready: ptr.To(true), Terminating: ptr.To(true)}))},
		},
		"no node, unknown node, node without address": {
			routes:   []*epicv1.GWRoute{httpTo("r", toService("svc", 80))},
			slices:   []*epicv1.GWEndpointSlice{sliceOf("s", "svc", one, pod("10.0.0.1", ""), pod("10.0.0.2", "n3"), pod("10.0.0.3", "lost"), pod("10.0.0.4", "n1"))},
			want:     "10.0.0.1:8080/6@- 10.0.0.2:8080/6@- 10.0.0.3:8080/6@- 10.0.0.4:8080/6@192.168.1.1",
			problems: "EndpointWithoutNode(GWEndpointSlice s)x3",
		},
		"what is no address": {
			routes:   []*epicv1.GWRoute{httpTo("r", toService("svc", 80))},
			slices:   []*epicv1.GWEndpointSlice{sliceOf("s", "svc", one, pod("web.example.com", "n1"), pod("169.254.1.1", "n1"), discoveryv1.Endpoint{}, pod("::1", "n1"))},
			problems: "AddressUnusable(GWEndpointSlice s)x4",
		},
		"only the first address": {
			routes: []*epicv1.GWRoute{httpTo("r", toService("svc", 80))},
			slices: []*epicv1.GWEndpointSlice{sliceOf("s", "svc", one, discoveryv1.Endpoint{Addresses: []string{"10.0.0.2", "10.0.0.1"}, NodeName: ptr.To("n1")})},
			want:   "10.0.0.2:8080/6@192.168.1.1",
		},
		"one pod on two nodes": {
			routes: []*epicv1.GWRoute{httpTo("r", toService("svc", 80))},
			slices: []*epicv1.GWEndpointSlice{
				sliceOf("a", "svc", one, pod("10.0.0.1", "n2")), sliceOf("b", "svc", one, pod("10.0.0.1", "n1")), sliceOf("c", "svc", one, pod("10.0.0.1", "n1")),
			},
			want: "10.0.0.1:8080/6@192.168.1.1", problems: "AddressOnSeveralNodes(GWEndpointSlice b)x1",
		},
		"mirrors and weight 0": {
			routes: []*epicv1.GWRoute{withRoute(httpTo("r", toService("svc", 80)), func(r *epicv1.GWRoute) {
				rule := &r.Spec.HTTP.Rules[0]
				rule.BackendRefs[0].Weight = ptr.To[int32](0)
				rule.Filters = []gatewayv1.HTTPRouteFilter{{RequestMirror: &gatewayv1.HTTPRequestMirrorFilter{BackendRef: toService("m1", 80)}}}
				rule.BackendRefs[0].Filters = []gatewayv1.HTTPRouteFilter{{RequestMirror: &gatewayv1.HTTPRequestMirrorFilter{BackendRef: toService("m2", 80)}}, {}}
			})},
			slices: []*epicv1.GWEndpointSlice{
				sliceOf("a", "svc", one, pod("10.0.0.1", "n1")), sliceOf("b", "m1", one, pod("10.0.0.2", "n1")), sliceOf("c", "m2", one, pod("10.0.0.3", "n1")),
			},
			want: "10.0.0.1:8080/6@192.168.1.1 10.0.0.2:8080/6@192.168.1.1 10.0.0.3:8080/6@192.168.1.1",
		},
		"others' are passed over": {
			routes: []*epicv1.GWRoute{
				nil, {ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "empty"}},
				withRoute(httpTo("a", toService("svc", 80)), func(r *epicv1.GWRoute) { r.Namespace = "epic-two" }),
				withRoute(httpTo("b", toService("svc", 80)), func(r *epicv1.GWRoute) { r.Spec.HTTP.ParentRefs[0].Name = "other" }),
				withRoute(httpTo("c", toService("svc", 80)), func(r *epicv1.GWRoute) { r.DeletionTimestamp = ptr.To(metav1.Now()) }),
				httpTo("d", toService("mine", 80)),
			},
			slices: []*epicv1.GWEndpointSlice{
				nil, sliceOf("a", "svc", one, pod("10.0.0.1", "n1")),
				withSlice(sliceOf("b", "mine", one, pod("10.0.0.2", "n1")), func(s *epicv1.GWEndpointSlice) { s.Namespace = "epic-two" }),
				withSlice(sliceOf("c", "mine", one, pod("10.0.0.3", "n1")), func(s *epicv1.GWEndpointSlice) { s.DeletionTimestamp = ptr.To(metav1.Now()) }),
			},
			problems: "BackendWithoutSlices(GWRoute d)x1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			// The order of the input decides nothing.
			for range 2 {
				es, ps := OfGWProxy(gateway(), c.routes, c.slices)
				if diff := cmp.Diff(c.want, show(es)); diff != "" {
					t.Errorf("endpoints (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(c.problems, showProblems(ps)); diff != "" {
					t.Errorf("problems (-want +got):\n%s", diff)
				}
				slices.Reverse(c.routes)
				slices.Reverse(c.slices)
			}
		})
	}
}

// TestOfGWEndpointSlice reads a slice whatever its ports are.
func TestOfGWEndpointSlice(t *testing.T) {
	terminating := pod("10.0.0.4", "n1")
	terminating.Conditions.Terminating = ptr.To(true)
	slice := sliceOf("s", "svc", nil, pod("10.0.0.2", "n2"), pod("10.0.0.1", "n1"), pod("10.0.0.3", "lost"), pod("nowhere", "n1"), terminating)
	es, ps := OfGWEndpointSlice(slice)
	if diff := cmp.Diff("10.0.0.1:0/6@192.168.1.1 10.0.0.2:0/6@192.168.1.2 10.0.0.3:0/6@-", show(es)); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("AddressUnusable(GWEndpointSlice s)x1 EndpointWithoutNode(GWEndpointSlice s)x1", showProblems(ps)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// TestOfGWRoute leads where OfGWProxy does, with no proxy.
func TestOfGWRoute(t *testing.T) {
	one := ports{slicePort("", 8080)}
	route := httpTo("r", toService("svc", 80), toService("none", 80))
	route.Spec.HTTP.ParentRefs = nil
	es, ps := OfGWRoute(route, []*epicv1.GWEndpointSlice{sliceOf("a", "svc", one, pod("10.0.0.1", "n1")), sliceOf("b", "other", one, pod("10.0.0.2", "n1"))})
	if got := show(es) + " " + showProblems(ps); got != "10.0.0.1:8080/6@192.168.1.1 BackendWithoutSlices(GWRoute r)x1" {
		t.Errorf("got %s", got)
	}
}

func TestReferences(t *testing.T) {
	r := httpTo("r", toService("b", 80), toService("a", 80), toService("b", 81))
	r.Spec.TCP = tcpTo("r", toService("c", 1)).Spec.TCP
	r.Spec.TCP.ParentRefs = append(r.Spec.TCP.ParentRefs, gatewayv1.ParentReference{Name: "another"})
	if got := fmt.Sprint(ProxiesOf(r), ServicesOf(r)); got != "[another gateway] [a b c]" {
		t.Errorf("proxies and Services %s", got)
	}
	if got := ServiceOf(sliceOf("s", "svc", nil)); got != "svc" {
		t.Errorf("Service %s", got)
	}
}

// OfBackend finds what serves, by the protocol of the backend, and reports which of it is
// draining. An endpoint of several slices is draining if all of them say so.
func TestOfBackend(t *testing.T) {
	yes, no := ptr.To(true), ptr.To(false)
	endpoint := func(address string, ready, serving, terminating *bool) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: ready, Serving: serving, Terminating: terminating}}
	}
	slice := func(name string, all ...discoveryv1.Endpoint) *epicv1.GWEndpointSlice {
		s := &epicv1.GWEndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
		s.Spec.ParentRef.UID = "web"
		s.Spec.Endpoints = all
		s.Spec.Ports = []discoveryv1.EndpointPort{
			{Name: ptr.To("tcp"), Port: ptr.To[int32](8080), Protocol: ptr.To(corev1.ProtocolTCP), AppProtocol: ptr.To("kubernetes.io/h2c")},
			{Name: ptr.To("udp"), Port: ptr.To[int32](5353), Protocol: ptr.To(corev1.ProtocolUDP)},
		}
		return s
	}
	all := []*epicv1.GWEndpointSlice{
		slice("a", endpoint("10.0.0.1", nil, nil, nil), endpoint("10.0.0.2", no, yes, yes), endpoint("10.0.0.3", no, no, yes), endpoint("10.0.0.4", no, yes, no), endpoint("10.0.0.5", no, nil, yes), endpoint("10.0.0.6", no, yes, yes)),
		slice("b", endpoint("10.0.0.6", yes, yes, no)),
	}
	for protocol, port := range map[uint8]int{protocolTCP: 8080, protocolUDP: 5353} {
		b := Backend{Service: "web", Port: 80, Protocol: protocol}
		for range 2 {
			slices.Reverse(all)
			found, problems := OfBackend(ns, b, all)
			var got []string
			for _, e := range found {
				got = append(got, fmt.Sprintf("%s %d %t", e.Address, e.Protocol, e.Draining))
			}
			want := []string{
				fmt.Sprintf("10.0.0.1:%d %d false", port, protocol), fmt.Sprintf("10.0.0.2:%d %d true", port, protocol), fmt.Sprintf("10.0.0.6:%d %d false", port, protocol),
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("protocol %d (-want +got):\n%s\n%v", protocol, diff, problems)
			}
		}
		wantApp := map[uint8]string{protocolTCP: "kubernetes.io/h2c"}[protocol]
		if got := b.AppProtocol(all); got != wantApp {
			t.Errorf("AppProtocol of protocol %d = %q, want %q", protocol, got, wantApp)
		}
	}
	// Packets of both go through, and nothing is said of draining.
	found, _ := OfGWProxy(gateway(), []*epicv1.GWRoute{httpTo("r", toService("web", 80))}, all)
	if len(found) != 3 || slices.ContainsFunc(found, func(e Endpoint) bool { return e.Draining }) {
		t.Errorf("OfGWProxy = %v, want the same three endpoints, none of them draining", found)
	}
}
