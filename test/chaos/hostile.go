// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/test/world"
)

// hostile has one more tenant ask for what hurts others, as often as the server answers. Whether
// the server refuses a write is not judged here: no other tenant's visitor may notice.
func hostile(ctx context.Context, f *fault) error {
	h := attacker{site: f.site, namespace: namespace(f.tenants + 1)}
	w := f.window("bad configurations, templates and references", window{tenant: -1})
	defer f.shut(w)
	within, cancel := context.WithTimeout(ctx, f.For)
	defer cancel()
	for i := 0; within.Err() == nil; i++ {
		h.attack(within, i)
		pause(within, 200*time.Millisecond)
	}
	return h.leave(ctx)
}

type attacker struct {
	*site
	namespace string
}

func (h attacker) meta(i int) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: h.namespace, Name: fmt.Sprintf("bad%d", i), Labels: map[string]string{epic.OwningLBServiceGroupLabel: group6}}
}

// hostileTemplates are values of envoy-template that must not affect other tenants.
var hostileTemplates = []string{
	`{{ range $i := .Routes }}{{ range $j := $.Routes }}{{ end }}{{ end }}{{ define "x" }}{{ template "x" . }}{{ end }}{{ template "x" . }}`,
	"name: x\naddress: {socket_address: {address: 0.0.0.0, port_value: 80}}\n",
	"name: x\naddress: {pipe: {path: /var/lib/epic-operator/xds.sock}}\n",
	"name: x\nfilter_chains: [{filters: [{name: x, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua}}]}]\n",
	`{{ printf "%1000000000d" 1 }}`,
}

// attack makes one attempt. Its response does not matter.
func (h attacker) attack(ctx context.Context, i int) {
	api := h.client.EpicV1()
	switch n := i % 8; n {
	case 0:
		// A load balancer with another's address.
		lb := &epicv1.LoadBalancer{ObjectMeta: h.meta(i % 3), Spec: epicv1.LoadBalancerSpec{ServiceGroup: group4, PublicAddress: fmt.Sprintf("192.168.77.%d", 2+i%12), UpstreamClusters: []string{clusterID}}}
		lb.Spec.PublicPorts = []epicv1.ServicePort{{Port: tcpPort, Protocol: corev1.ProtocolTCP}}
		_, _ = api.LoadBalancers(h.namespace).Create(ctx, lb, metav1.CreateOptions{})
	case 1, 2, 3:
		// Templates.
		t := hostileTemplates[i%len(hostileTemplates)]
		gw := &epicv1.GWProxy{ObjectMeta: h.meta(i % 3), Spec: epicv1.GWProxySpec{
			PublicPorts:   []epicv1.ServicePort{{Name: "web", Port: 80, Protocol: corev1.ProtocolTCP}},
			EnvoyTemplate: &epicv1.EnvoyConfigSpec{EnvoyResources: epicv1.EnvoyResources{Listeners: []epicv1.EnvoyResource{{Value: t}}, Clusters: []epicv1.EnvoyResource{{Value: t}}}},
		}}
		if _, err := api.GWProxies(h.namespace).Create(ctx, gw, metav1.CreateOptions{}); err != nil {
			_ = api.GWProxies(h.namespace).Delete(ctx, gw.Name, metav1.DeleteOptions{})
		}
	case 4, 5:
		// Endpoints at other tenants' client nodes and pods, at the gateway itself and at its loopback.
		address := []string{world.PodAddress, world.GatewayAddress, "127.0.0.1", "192.168.77.2", "169.254.1.1", world.PodAddress6}[i%6]
		_, _ = api.RemoteEndpoints(h.namespace).Create(ctx, &epicv1.RemoteEndpoint{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("bad%d", i), Labels: map[string]string{epic.OwningLoadBalancerLabel: fmt.Sprintf("bad%d", i%3)}},
			Spec:       epicv1.RemoteEndpointSpec{Cluster: clusterID, Address: address, NodeAddress: world.NodeAddress, Port: epicv1.EndpointPort{Port: int32(10001 + i%50), Protocol: corev1.ProtocolTCP}},
		}, metav1.CreateOptions{})
	default:
		// Routes that name other tenants' gateways, with expressions that are hard to match.
		path := "/(a+)+" + strings.Repeat("(b|c*)*", 40)
		spec := gatewayv1.HTTPRouteSpec{
			CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: gatewayv1.ObjectName(fmt.Sprintf("bad%d", i%3))}, {Name: "a", Namespace: ptr.To(gatewayv1.Namespace(namespace(1 + i%h.tenants)))}}},
			Hostnames:       []gatewayv1.Hostname{gatewayv1.Hostname(fmt.Sprintf("h0.t%d.example", 1+i%h.tenants))},
			Rules:           []gatewayv1.HTTPRouteRule{{Matches: []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{Type: ptr.To(gatewayv1.PathMatchRegularExpression), Value: &path}}}}},
		}
		_, _ = api.GWRoutes(h.namespace).Create(ctx, &epicv1.GWRoute{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("bad%d", i)}, Spec: epicv1.GWRouteSpec{HTTP: &epicv1.HTTPRouteSpec{HTTPRouteSpec: spec}}}, metav1.CreateOptions{})
	}
}

// leave removes what the tenant has.
func (h attacker) leave(ctx context.Context) error {
	api := h.client.EpicV1()
	return until(ctx, "the hostile tenant's objects to go", func() error {
		try, cancel := context.WithTimeout(ctx, attempt)
		defer cancel()
		all := metav1.ListOptions{}
		lbs, err := api.LoadBalancers(h.namespace).List(try, all)
		if err != nil {
			return err
		}
		for _, lb := range lbs.Items {
			if _, err := api.LoadBalancers(h.namespace).Patch(try, lb.Name, mergePatch, noClusters, metav1.PatchOptions{}); err != nil {
				return err
			}
		}
		for _, remove := range []func(context.Context, metav1.DeleteOptions, metav1.ListOptions) error{
			api.GWRoutes(h.namespace).DeleteCollection, api.GWProxies(h.namespace).DeleteCollection,
			api.LoadBalancers(h.namespace).DeleteCollection, api.RemoteEndpoints(h.namespace).DeleteCollection,
		} {
			if err := remove(try, metav1.DeleteOptions{}, all); err != nil {
				return err
			}
		}
		return nil
	})
}
