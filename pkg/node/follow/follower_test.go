// SPDX-License-Identifier: Apache-2.0

package follow

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/node/intent"
	"github.com/acnodal/epic/pkg/node/proxies"
)

const (
	gatewayNode = "192.0.2.40"
	otherNode   = "192.0.2.41"
	tenantNode  = "192.168.1.16"
	otherTenant = "192.168.1.17"
)

// sink has what a Follower told.
type sink struct {
	mu   sync.Mutex
	has  map[intent.Key]*intent.Intent
	sets int
}

func (s *sink) Set(i *intent.Intent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.has[i.Key] = i
	s.sets++
}

func (s *sink) Delete(key intent.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.has, key)
}

func (s *sink) get(key intent.Key) *intent.Intent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.has[key]
}

type fixture struct {
	t      *testing.T
	client versioned.Interface
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t}
	var err error
	f.client, err = versioned.NewForConfig(testserver.StartTestServer(t).Config)
	f.must(nil, err)
	ctx, api := t.Context(), f.client.EpicV1()
	f.must(api.EPICs(epic.ConfigNamespace).Create(ctx, &epicv1.EPIC{ObjectMeta: metav1.ObjectMeta{Name: epic.ConfigName}}, metav1.CreateOptions{}))
	f.must(api.ServicePrefixes(epic.ConfigNamespace).Create(ctx, &epicv1.ServicePrefix{
		ObjectMeta: metav1.ObjectMeta{Name: "pool"},
		Spec:       epicv1.ServicePrefixSpec{PublicPool: &epicv1.AddressPool{Pool: "192.168.77.0/24", Subnet: "192.168.77.0/24", Aggregation: "default"}},
	}, metav1.CreateOptions{}))
	f.must(api.LBServiceGroups(epic.ConfigNamespace).Create(ctx, &epicv1.LBServiceGroup{
		ObjectMeta: metav1.ObjectMeta{Name: "offered", Labels: map[string]string{epic.OwningServicePrefixLabel: "pool"}},
	}, metav1.CreateOptions{}))
	for _, name := range []string{"a", "b"} {
		f.must(api.Accounts("epic-"+name).Create(ctx, &epicv1.Account{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}))
	}
	return f
}

func (f *fixture) must(_ any, err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) balancer(namespace, name string) {
	f.t.Helper()
	f.must(f.client.EpicV1().LoadBalancers(namespace).Create(f.t.Context(), &epicv1.LoadBalancer{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       epicv1.LoadBalancerSpec{ServiceGroup: "offered", UpstreamClusters: []string{"c"}, PublicPorts: []epicv1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{}))
}

// tunnels sets the pairs of client nodes and gateway nodes.
func (f *fixture) tunnels(kind proxies.Kind, namespace, name string, pairs map[string][]string) {
	f.t.Helper()
	endpoints := map[string]any{tenantNode: nil, otherTenant: nil}
	for tenant, nodes := range pairs {
		entry := map[string]any{}
		for _, node := range nodes {
			entry[node] = map[string]any{"epic-address": node}
		}
		endpoints[tenant] = map[string]any{"epic-endpoints": entry}
	}
	body, err := json.Marshal(map[string]any{"status": map[string]any{"gue-tunnel-endpoints": endpoints}})
	f.must(nil, err)
	if kind == proxies.LoadBalancer {
		f.must(f.client.EpicV1().LoadBalancers(namespace).Patch(f.t.Context(), name, types.MergePatchType, body, metav1.PatchOptions{}, "status"))
	} else {
		f.must(f.client.EpicV1().GWProxies(namespace).Patch(f.t.Context(), name, types.MergePatchType, body, metav1.PatchOptions{}, "status"))
	}
}

func (f *fixture) endpoint(namespace, balancer, name, address, node string) {
	f.t.Helper()
	f.must(f.client.EpicV1().RemoteEndpoints(namespace).Create(f.t.Context(), &epicv1.RemoteEndpoint{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{epic.OwningLoadBalancerLabel: balancer}},
		Spec:       epicv1.RemoteEndpointSpec{Cluster: "c", Address: address, NodeAddress: node, Port: epicv1.EndpointPort{Port: 8080}},
	}, metav1.CreateOptions{}))
}

func (f *fixture) follow(o Options) (*Follower, *sink) {
	f.t.Helper()
	s := &sink{has: map[intent.Key]*intent.Intent{}}
	o.Client, o.Sink = f.client, s
	follower, err := New(o)
	f.must(nil, err)
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); follower.Run(ctx) }()
	f.t.Cleanup(func() { cancel(); <-done })
	waiting, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	f.must(nil, follower.Wait(waiting))
	return follower, s
}

// shows waits until the sink has what an object means.
func (f *fixture) shows(s *sink, key intent.Key, want string) {
	f.t.Helper()
	var got string
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if got = describe(s.get(key)); got == want {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("%s is %q, want %q", key, got, want)
		}
	}
}

// describe says an intent in a line, without the tunnels' IDs.
func describe(i *intent.Intent) string {
	if i == nil {
		return "nothing"
	}
	text := ""
	var nodes []string
	for _, t := range i.Tunnels {
		nodes = append(nodes, fmt.Sprintf("%s-%s", t.TenantNode, t.EPICNode))
	}
	slices.Sort(nodes)
	for _, n := range nodes {
		text += n + " "
	}
	for _, e := range i.Endpoints {
		text += fmt.Sprintf("to %s ", e.Address)
	}
	return text
}

func TestGatewayFollows(t *testing.T) {
	f := newFixture(t)
	for _, ns := range []string{"epic-a", "epic-b"} {
		f.balancer(ns, "web")
		f.endpoint(ns, "web", "one", "10.0.0.1", tenantNode)
		f.endpoint(ns, "web", "two", "10.0.0.2", otherTenant)
	}
	key := func(ns string) intent.Key { return intent.Key{Kind: proxies.LoadBalancer, Namespace: ns, Name: "web"} }
	f.tunnels(proxies.LoadBalancer, "epic-a", "web", map[string][]string{tenantNode: {gatewayNode, otherNode}})
	f.tunnels(proxies.LoadBalancer, "epic-b", "web", map[string][]string{tenantNode: {otherNode}})

	follower, s := f.follow(Options{Nodes: []netip.Addr{netip.MustParseAddr(gatewayNode)}})
	// All was there when Wait returned.
	if got := describe(s.get(key("epic-a"))); got != "192.168.1.16-192.0.2.40:6080 to 10.0.0.1:8080 " {
		t.Errorf("at the start: %q", got)
	}
	if follower.Knows(key("epic-b")) || s.get(key("epic-b")) != nil {
		t.Error("it knows what is another node's")
	}
	i := s.get(key("epic-a"))
	if i.Prefix != "pool" || !i.Public.IsValid() || !slices.Equal(i.Ports, []intent.Port{{Protocol: 6, Port: 80}}) || i.Tunnels[0].ID == 0 || i.UID == "" {
		t.Errorf("%+v", i)
	}
	// A second client node, another gateway's object that moves here, an endpoint
	// that goes, an object that leaves, and one that is deleted.
	f.tunnels(proxies.LoadBalancer, "epic-a", "web", map[string][]string{tenantNode: {gatewayNode}, otherTenant: {gatewayNode, otherNode}})
	f.shows(s, key("epic-a"), "192.168.1.16-192.0.2.40:6080 192.168.1.17-192.0.2.40:6080 to 10.0.0.1:8080 to 10.0.0.2:8080 ")
	f.tunnels(proxies.LoadBalancer, "epic-b", "web", map[string][]string{tenantNode: {gatewayNode}})
	f.shows(s, key("epic-b"), "192.168.1.16-192.0.2.40:6080 to 10.0.0.1:8080 ")
	f.must(nil, f.client.EpicV1().RemoteEndpoints("epic-b").Delete(t.Context(), "one", metav1.DeleteOptions{}))
	f.shows(s, key("epic-b"), "192.168.1.16-192.0.2.40:6080 ")
	f.tunnels(proxies.LoadBalancer, "epic-b", "web", nil)
	f.shows(s, key("epic-b"), "nothing")
	follower.mu.Lock()
	n := len(follower.spaces)
	follower.mu.Unlock()
	if n != 1 {
		t.Errorf("%d namespaces are followed, one of which has an object here", n)
	}
	f.tunnels(proxies.LoadBalancer, "epic-b", "web", map[string][]string{otherTenant: {gatewayNode}})
	f.shows(s, key("epic-b"), "192.168.1.17-192.0.2.40:6080 to 10.0.0.2:8080 ")
	if err := follower.Err(); err != nil {
		t.Error(err)
	}
}

func TestClientFollows(t *testing.T) {
	f := newFixture(t)
	api, ctx := f.client.EpicV1(), t.Context()
	f.balancer("epic-a", "web")
	f.endpoint("epic-a", "web", "one", "10.0.0.1", tenantNode)
	f.endpoint("epic-a", "web", "two", "10.0.0.2", otherTenant)
	f.tunnels(proxies.LoadBalancer, "epic-a", "web", map[string][]string{tenantNode: {gatewayNode, otherNode}, otherTenant: {gatewayNode}})
	f.balancer("epic-b", "web")
	f.tunnels(proxies.LoadBalancer, "epic-b", "web", map[string][]string{tenantNode: {gatewayNode}})
	_, s := f.follow(Options{Nodes: []netip.Addr{netip.MustParseAddr(tenantNode)}, Namespace: "epic-a"})
	if got := describe(s.get(intent.Key{Kind: proxies.LoadBalancer, Namespace: "epic-a", Name: "web"})); got != "192.168.1.16-192.0.2.40:6080 192.168.1.16-192.0.2.41:6080 to 10.0.0.1:8080 " {
		t.Errorf("at the start: %q", got)
	}
	if s.get(intent.Key{Kind: proxies.LoadBalancer, Namespace: "epic-b", Name: "web"}) != nil {
		t.Error("it knows another tenant's object")
	}

	// A gateway proxy, whose endpoints come by a route and a slice.
	f.must(api.GWProxies("epic-a").Create(ctx, &epicv1.GWProxy{
		ObjectMeta: metav1.ObjectMeta{Name: "gw", Labels: map[string]string{epic.OwningLBServiceGroupLabel: "offered"}},
	}, metav1.CreateOptions{}))
	f.must(api.GWRoutes("epic-a").Create(ctx, &epicv1.GWRoute{
		ObjectMeta: metav1.ObjectMeta{Name: "route"},
		Spec: epicv1.GWRouteSpec{TCP: &epicv1.TCPRouteSpec{TCPRouteSpec: gatewayv1.TCPRouteSpec{
			CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "gw"}}},
			Rules: []gatewayv1.TCPRouteRule{{BackendRefs: []gatewayv1.BackendRef{{
				BackendObjectReference: gatewayv1.BackendObjectReference{Name: "svc", Port: ptr.To[gatewayv1.PortNumber](80)},
			}}}},
		}}},
	}, metav1.CreateOptions{}))
	slice := func(name, pod, node string) {
		f.must(api.GWEndpointSlices("epic-a").Create(ctx, &epicv1.GWEndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: epicv1.GWEndpointSliceSpec{
				ParentRef: epicv1.ClientRef{UID: "svc"}, AddressType: "IPv4", NodeAddresses: map[string]string{"n": node},
				Endpoints: []discoveryv1.Endpoint{{Addresses: []string{pod}, NodeName: ptr.To("n")}},
				Ports:     []discoveryv1.EndpointPort{{Port: ptr.To[int32](9090)}},
			},
		}, metav1.CreateOptions{}))
	}
	slice("s1", "10.0.0.3", tenantNode)
	slice("s2", "10.0.0.4", otherTenant)
	gw := intent.Key{Kind: proxies.GWProxy, Namespace: "epic-a", Name: "gw"}
	f.tunnels(proxies.GWProxy, "epic-a", "gw", map[string][]string{tenantNode: {gatewayNode}, otherTenant: {gatewayNode}})
	f.shows(s, gw, "192.168.1.16-192.0.2.40:6080 to 10.0.0.3:9090 ")
	slice("s3", "10.0.0.5", tenantNode)
	f.shows(s, gw, "192.168.1.16-192.0.2.40:6080 to 10.0.0.3:9090 to 10.0.0.5:9090 ")
	f.must(nil, api.GWRoutes("epic-a").Delete(ctx, "route", metav1.DeleteOptions{}))
	f.shows(s, gw, "192.168.1.16-192.0.2.40:6080 ")
	f.must(nil, api.GWProxies("epic-a").Delete(ctx, "gw", metav1.DeleteOptions{}))
	f.shows(s, gw, "nothing")
}

// What is kept of an object gives the same intent as the whole.
func TestSlimKeepsWhatCounts(t *testing.T) {
	lb := &epicv1.LoadBalancer{
		ObjectMeta: metav1.ObjectMeta{
			Name: "web", Namespace: "epic-a", UID: "u", ResourceVersion: "5",
			Labels: map[string]string{epic.OwningServicePrefixLabel: "pool", "other": "x"}, Annotations: map[string]string{"big": "x"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}},
		},
		Spec: epicv1.LoadBalancerSpec{
			PublicAddress: "192.168.77.2", UpstreamClusters: []string{"c"}, EnvoyTemplate: &epicv1.EnvoyConfigSpec{},
			PublicPorts: []epicv1.ServicePort{{Port: 80, Protocol: "TCP"}},
		},
		Status: epicv1.ProxyStatus{GUETunnelEndpoints: map[string]epicv1.TunnelEndpoint{tenantNode: {EPICEndpoints: map[string]epicv1.GUETunnelEndpoint{gatewayNode: {EPICAddress: gatewayNode, TunnelID: 5}}}}},
	}
	rep := &epicv1.RemoteEndpoint{
		ObjectMeta: metav1.ObjectMeta{Name: "one", Namespace: "epic-a", Labels: map[string]string{epic.OwningLoadBalancerLabel: "web"}},
		Spec:       epicv1.RemoteEndpointSpec{Cluster: "c", Address: "10.0.0.1", NodeAddress: tenantNode, Port: epicv1.EndpointPort{Port: 8080}},
	}
	here := intent.AtGateway(netip.MustParseAddr(gatewayNode))
	want := intent.OfLoadBalancer(lb.DeepCopy(), intent.TunnelsOf(&lb.Status, here), []*epicv1.RemoteEndpoint{rep.DeepCopy()})
	if len(want.Tunnels) != 1 || len(want.Endpoints) != 1 {
		t.Fatalf("%+v", want)
	}
	f := &Follower{here: here}
	kept, err := f.slim(lb)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.slim(rep); err != nil {
		t.Fatal(err)
	}
	o, ok := kept.(*loadBalancer)
	if !ok {
		t.Fatalf("kept as %T", kept)
	}
	if got := intent.OfLoadBalancer(o.LoadBalancer, o.tunnels, []*epicv1.RemoteEndpoint{rep}); !got.Equal(want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if again, err := f.slim(kept); err != nil || again != kept {
		t.Errorf("slimmed twice it is %+v, %v", again, err)
	}
	if lb.ManagedFields != nil || lb.Status.GUETunnelEndpoints != nil || lb.Annotations != nil || lb.Spec.EnvoyTemplate != nil || lb.Labels["other"] != "" || lb.ResourceVersion != "5" {
		t.Errorf("kept %+v", lb)
	}

	whole := &epicv1.GWEndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: "s", Namespace: "epic-a"},
		Spec: epicv1.GWEndpointSliceSpec{
			ParentRef: epicv1.ClientRef{UID: "svc"}, NodeAddresses: map[string]string{"n": tenantNode}, Ports: []discoveryv1.EndpointPort{{Port: ptr.To[int32](80)}},
			Endpoints: []discoveryv1.Endpoint{
				{Addresses: []string{"10.0.0.1"}, NodeName: ptr.To("n"), Zone: ptr.To("z"), Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}},
				{Addresses: []string{"10.0.0.2"}, NodeName: ptr.To("n"), Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(false)}},
				{Addresses: []string{"10.0.0.3"}, NodeName: ptr.To("n"), Conditions: discoveryv1.EndpointConditions{Terminating: ptr.To(true)}},
				{Addresses: []string{"10.0.0.4"}, NodeName: ptr.To("n")},
			},
		},
	}
	slimmed := whole.DeepCopy()
	if _, err := f.slim(slimmed); err != nil {
		t.Fatal(err)
	}
	for i := range whole.Spec.Endpoints {
		before, after := &whole.Spec.Endpoints[i], &slimmed.Spec.Endpoints[i]
		before.Zone = nil
		if !reflect.DeepEqual(before, after) {
			t.Errorf("endpoint %+v, want %+v", after, before)
		}
	}
}
