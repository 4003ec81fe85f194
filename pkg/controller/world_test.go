// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"
	"k8s.io/utils/ptr"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
	"github.com/acnodal/epic/pkg/events"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	typed "github.com/acnodal/epic/pkg/generated/clientset/versioned/typed/epic/v1"
)

// patience is how long a test waits for what should take milliseconds, on a
// machine that does much else.
const patience = time.Minute

// world is a server with a prefix, and the clients of all who write.
type world struct {
	t   *testing.T
	api typed.EpicV1Interface
	// client is the controllers', and seen what they asked for.
	client versioned.Interface
	seen   sets.Set[string]
	// kubeconfig is an administrator's.
	kubeconfig string
	// poolSettle is how long their conditions of groups wait for a pool.
	poolSettle time.Duration
	// kube is the cluster with the pods of proxies, nil for none.
	kube kubernetes.Interface
	// now is the controllers' clock for heartbeats, and nil is the usual one.
	now func() time.Time
	// events records changes of state, nil for none.
	events *events.Recorder
	// linger is how long tunnels stay.
	linger time.Duration
}

func newWorld(t *testing.T) *world {
	t.Helper()
	server := testserver.StartTestServer(t)
	client, err := versioned.NewForConfig(server.Config)
	must(t)(client, err)
	w := &world{t: t, api: client.EpicV1(), seen: sets.New[string](), kubeconfig: server.Kubeconfig, poolSettle: 20 * time.Millisecond}
	config := rest.CopyConfig(server.Config)
	config.ContentType = runtime.ContentTypeProtobuf
	mu := &sync.Mutex{}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &requests{next, mu, w.seen} })
	w.client, err = versioned.NewForConfig(config)
	must(t)(w.client, err)
	ctx := t.Context()
	must(t)(w.api.EPICs(epic.ConfigNamespace).Create(ctx, &epicv1.EPIC{ObjectMeta: metav1.ObjectMeta{Name: epic.ConfigName}}, metav1.CreateOptions{}))
	must(t)(w.api.ServicePrefixes(epic.ConfigNamespace).Create(ctx, &epicv1.ServicePrefix{
		ObjectMeta: metav1.ObjectMeta{Name: "pool"},
		Spec:       epicv1.ServicePrefixSpec{PublicPool: &epicv1.AddressPool{Pool: "10.200.0.0/16", Subnet: "10.200.0.0/16", Aggregation: "default"}},
	}, metav1.CreateOptions{}))
	must(t)(w.api.LBServiceGroups(epic.ConfigNamespace).Create(ctx, &epicv1.LBServiceGroup{
		ObjectMeta: metav1.ObjectMeta{Name: "offered", Labels: map[string]string{epic.OwningServicePrefixLabel: "pool"}},
	}, metav1.CreateOptions{}))
	return w
}

// must fails the test when a call of a client did.
func must(t *testing.T) func(any, error) {
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// in is the same world for a subtest.
func (w *world) in(t *testing.T) *world {
	inner := *w
	inner.t = t
	return &inner
}

// start runs a controller until stop is called, at the latest at the end of the
// test.
func (w *world) start() (stop func()) {
	w.t.Helper()
	c, err := New(Options{
		Client: w.client, Kube: w.kube, Workers: 4, Settle: 10 * time.Millisecond, PoolSettle: w.poolSettle,
		Linger: w.linger, Events: w.events,
		NodeTimeout: DefaultNodeTimeout, lookInterval: 20 * time.Millisecond, now: w.now,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	// What is logged after the end of a test would fail it.
	logger := ktesting.NewLogger(w.t, ktesting.NewConfig(ktesting.BufferLogs(true)))
	ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), logger))
	done := make(chan error, 1)
	mgr, err := manager.New(&rest.Config{Host: "http://127.0.0.1:1"}, manager.Options{
		Logger: logger, Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		Controller: ctrlconfig.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := c.AddTo(mgr); err != nil {
		w.t.Fatal(err)
	}
	go func() { done <- mgr.Start(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	}
	w.t.Cleanup(stop)
	return stop
}

// account makes an account and returns its namespace.
func (w *world) account(name string) string {
	w.t.Helper()
	ns := epic.AccountNamespace(name)
	must(w.t)(w.api.Accounts(ns).Create(w.t.Context(), &epicv1.Account{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: epicv1.AccountSpec{ProxyLimit: ptr.To[int32](1000)},
	}, metav1.CreateOptions{}))
	return ns
}

// object is a load balancer or a gateway proxy.
type object struct{ resource, ns, name string }

func (w *world) loadBalancer(ns, name string) object {
	w.t.Helper()
	return w.createLoadBalancer(ns, name, nil)
}

// directLoadBalancer creates a load balancer without tunnels.
func (w *world) directLoadBalancer(ns, name string) object {
	w.t.Helper()
	return w.createLoadBalancer(ns, name, new(false))
}

func (w *world) createLoadBalancer(ns, name string, trueIngress *bool) object {
	w.t.Helper()
	must(w.t)(w.api.LoadBalancers(ns).Create(w.t.Context(), &epicv1.LoadBalancer{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: epicv1.LoadBalancerSpec{
			ServiceGroup: "offered", UpstreamClusters: []string{"c"}, PublicPorts: []epicv1.ServicePort{{Port: 80}}, TrueIngress: trueIngress,
		},
	}, metav1.CreateOptions{}))
	return object{"loadbalancers", ns, name}
}

func (w *world) endpoint(lb object, name, address, node string) {
	w.t.Helper()
	must(w.t)(w.api.RemoteEndpoints(lb.ns).Create(w.t.Context(), &epicv1.RemoteEndpoint{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{epic.OwningLoadBalancerLabel: lb.name}},
		Spec:       epicv1.RemoteEndpointSpec{Cluster: "c", Address: address, NodeAddress: node, Port: epicv1.EndpointPort{Port: 8080}},
	}, metav1.CreateOptions{}))
}

func (w *world) removeEndpoint(lb object, name string) {
	w.t.Helper()
	must(w.t)(nil, w.api.RemoteEndpoints(lb.ns).Delete(w.t.Context(), name, metav1.DeleteOptions{}))
}

func (w *world) gwProxy(ns, name string) object {
	w.t.Helper()
	must(w.t)(w.api.GWProxies(ns).Create(w.t.Context(), &epicv1.GWProxy{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{epic.OwningLBServiceGroupLabel: "offered"}},
		Spec:       epicv1.GWProxySpec{PublicPorts: []epicv1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{}))
	return object{"gwproxies", ns, name}
}

func (w *world) route(proxy object, name, service string, port int32) {
	w.t.Helper()
	w.routeOf(name, service, port, proxy)
}

// routeOf is a route of several proxies of one namespace.
func (w *world) routeOf(name, service string, port int32, proxies ...object) {
	w.t.Helper()
	spec := gatewayv1.HTTPRouteSpec{Rules: []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: gatewayv1.BackendRef{
		BackendObjectReference: gatewayv1.BackendObjectReference{Name: gatewayv1.ObjectName(service), Port: &port},
	}}}}}}
	for _, proxy := range proxies {
		spec.ParentRefs = append(spec.ParentRefs, gatewayv1.ParentReference{Name: gatewayv1.ObjectName(proxy.name)})
	}
	must(w.t)(w.api.GWRoutes(proxies[0].ns).Create(w.t.Context(), &epicv1.GWRoute{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: epicv1.GWRouteSpec{HTTP: &epicv1.HTTPRouteSpec{HTTPRouteSpec: spec}},
	}, metav1.CreateOptions{}))
}

// slice is a slice of a Service with the port 8080 and one pod on each node.
func (w *world) slice(ns, name, service string, nodes ...string) {
	w.t.Helper()
	spec := epicv1.GWEndpointSliceSpec{
		ParentRef: epicv1.ClientRef{UID: service}, NodeAddresses: map[string]string{}, AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{}, Ports: []discoveryv1.EndpointPort{{Name: ptr.To("web"), Port: ptr.To[int32](8080)}},
	}
	for i, node := range nodes {
		nodeName := fmt.Sprint("node-", i)
		spec.NodeAddresses[nodeName] = node
		spec.Endpoints = append(spec.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.1.%d.%d", i/250, i%250+1)}, NodeName: &nodeName})
	}
	must(w.t)(w.api.GWEndpointSlices(ns).Create(w.t.Context(), &epicv1.GWEndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{}))
}

// change updates a slice, which the controller writes to as well.
func (w *world) change(ns, name string, change func(*epicv1.GWEndpointSliceSpec)) {
	w.t.Helper()
	must(w.t)(nil, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		slice, err := w.api.GWEndpointSlices(ns).Get(w.t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(&slice.Spec)
		_, err = w.api.GWEndpointSlices(ns).Update(w.t.Context(), slice, metav1.UpdateOptions{})
		return err
	}))
}

// patchStatus sends a merge patch of the status, as node programs do: without a
// version.
func (w *world) patchStatus(o object, status string) error {
	data, err := json.Marshal(map[string]json.RawMessage{"status": json.RawMessage(status)})
	if err != nil {
		return err
	}
	if o.resource == "gwproxies" {
		_, err = w.api.GWProxies(o.ns).Patch(context.Background(), o.name, types.MergePatchType, data, metav1.PatchOptions{}, "status")
	} else {
		_, err = w.api.LoadBalancers(o.ns).Patch(context.Background(), o.name, types.MergePatchType, data, metav1.PatchOptions{}, "status")
	}
	return err
}

// pod reports a proxy's interface as the node program does; without a node it
// takes it back.
func (w *world) pod(o object, pod, node string) {
	w.t.Helper()
	info := "null"
	if node != "" {
		info = fmt.Sprintf(`{"epic-node-address": %q, "index": 7, "name": "veth7"}`, node)
	}
	must(w.t)(nil, w.patchStatus(o, fmt.Sprintf(`{"proxy-if-info": {%q: %s}}`, pod, info)))
}

func (w *world) get(o object) (*metav1.ObjectMeta, *epicv1.ProxyStatus) {
	w.t.Helper()
	if o.resource == "gwproxies" {
		proxy, err := w.api.GWProxies(o.ns).Get(context.Background(), o.name, metav1.GetOptions{})
		must(w.t)(proxy, err)
		return &proxy.ObjectMeta, &proxy.Status
	}
	lb, err := w.api.LoadBalancers(o.ns).Get(context.Background(), o.name, metav1.GetOptions{})
	must(w.t)(lb, err)
	return &lb.ObjectMeta, &lb.Status
}

// ids are the tunnels of a status, as "client node>gateway node", with their
// IDs.
func ids(status *epicv1.ProxyStatus) map[string]int32 {
	out := map[string]int32{}
	for tenantNode, entry := range status.GUETunnelEndpoints {
		for epicNode, tunnel := range entry.EPICEndpoints {
			out[tenantNode+">"+epicNode] = tunnel.TunnelID
		}
	}
	return out
}

// reasons are those of the controller's two conditions.
func reasons(status *epicv1.ProxyStatus) string {
	var out []string
	for _, name := range []string{ConditionTunnelsReady, ConditionEndpointsResolved} {
		c := meta.FindStatusCondition(status.Conditions, name)
		if c == nil {
			out = append(out, "none")
			continue
		}
		out = append(out, c.Reason+"="+string(c.Status))
	}
	return strings.Join(out, " ")
}

// eventually waits until the object has the tunnels, and the reasons of its
// conditions if any are given, and returns the tunnels' IDs. All must have one.
func (w *world) eventually(o object, conditions string, pairs ...string) map[string]int32 {
	w.t.Helper()
	want := strings.Join(slices.Sorted(slices.Values(pairs)), " ")
	deadline := time.Now().Add(patience)
	for {
		m, status := w.get(o)
		has := ids(status)
		got := strings.Join(slices.Sorted(maps.Keys(has)), " ")
		if got == want && (conditions == "" || reasons(status) == conditions && (m.DeletionTimestamp != nil || status.ObservedGeneration == m.Generation)) {
			for p, id := range has {
				if id == 0 {
					w.t.Errorf("%v: the tunnel %s has no ID", o, p)
				}
			}
			return has
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%v has the tunnels %q, conditions %q; it should have %q, %q\n%+v", o, got, reasons(status), want, conditions, status.Conditions)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// audit fails the test unless claims and objects are equal on the server.
func (w *world) audit() {
	w.t.Helper()
	report, err := w.api.EPICs(epic.ConfigNamespace).Audit(context.Background(), epic.ConfigName, metav1.GetOptions{})
	must(w.t)(report, err)
	if len(report.Problems) > 0 {
		w.t.Errorf("the audit found %v", report.Problems)
	}
}
