// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
	"github.com/acnodal/epic/pkg/envoy/validate"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned/fake"
	"github.com/acnodal/epic/pkg/operator/objects"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

const (
	ns       = "epic-acme"
	patience = 30 * time.Second
)

var shopID = loadBalancerID(ns, "shop")

// recorder is a server that remembers what it was given.
type recorder struct {
	mu      sync.Mutex
	sets    map[proxyidentity.Proxy]int
	kinds   map[proxyidentity.Proxy]map[resource.Type]int
	current map[string]string // PROXY POD CLUSTER → endpoints
	removed []proxyidentity.Proxy
	configs map[proxyidentity.Proxy]xds.Config
	// accepted are the versions that a pod has.
	accepted map[resource.Key]string
}

func (r *recorder) Mark(proxyidentity.Proxy) xds.Mark { return 0 }

func (r *recorder) Set(id proxyidentity.Proxy, config xds.Config, _ xds.Mark) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sets[id]++
	r.configs[id] = config
	r.kinds[id] = map[resource.Type]int{}
	for key := range r.current {
		if strings.HasPrefix(key, id.String()+" ") {
			delete(r.current, key)
		}
	}
	for key, res := range config.Resources {
		r.kinds[id][key.Type]++
		if key.Type == resource.Endpoint {
			r.put(id, "", res)
		}
	}
	for pod, all := range config.Endpoints {
		for _, res := range all {
			r.put(id, pod, res)
		}
	}
}

func (r *recorder) SetEndpoints(id proxyidentity.Proxy, pod string, a *resource.Resource) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(id, pod, a)
}

func (r *recorder) Accepted(_ proxyidentity.Proxy, key resource.Key) map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return map[string]string{"pod": r.accepted[key]}
}

// config is what a proxy was given last.
func (r *recorder) config(id proxyidentity.Proxy) xds.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.configs[id]
}

func (r *recorder) Remove(id proxyidentity.Proxy) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removed = append(r.removed, id)
}

// put remembers endpoints as ADDRESS:PORT by priorities, with | between.
func (r *recorder) put(id proxyidentity.Proxy, pod string, res *resource.Resource) {
	var m endpointv3.ClusterLoadAssignment
	if err := proto.Unmarshal(res.Body, &m); err != nil {
		panic(err)
	}
	var tiers []string
	for _, l := range m.Endpoints {
		var all []string
		for _, e := range l.LbEndpoints {
			at := e.GetEndpoint().GetAddress().GetSocketAddress()
			all = append(all, fmt.Sprintf("%s:%d", at.GetAddress(), at.GetPortValue()))
		}
		slices.Sort(all)
		tiers = append(tiers, strings.Join(all, " "))
	}
	r.current[strings.TrimSpace(id.String()+" "+pod)] = strings.Join(tiers, " | ")
}

func (r *recorder) get(key string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if got, ok := r.current[key]; ok {
		return got
	}
	return "nothing"
}

func (r *recorder) count(id proxyidentity.Proxy) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sets[id]
}

// rig is a feed from a fake API.
type rig struct {
	t       *testing.T
	client  *fake.Clientset
	feed    *Feed
	server  *recorder
	reach   sync.Map // tunnel ID → translate.Reach
	secrets sync.Map // name → *corev1.Secret
	place   func(string) translate.Options
	changed chan proxyidentity.Proxy
	// kept is what pods tell that they have; nil if none tells.
	kept atomic.Pointer[[]*resource.Resource]
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newCheckedRig(t, nil)
}

// newCheckedRig is newRig with something that checks translations.
func newCheckedRig(t *testing.T, checker validate.Checker) *rig {
	t.Helper()
	r := &rig{
		t: t, client: fake.NewClientset(), changed: make(chan proxyidentity.Proxy, 1000),
		place:  func(string) translate.Options { return translate.Options{} },
		server: &recorder{sets: map[proxyidentity.Proxy]int{}, kinds: map[proxyidentity.Proxy]map[resource.Type]int{}, current: map[string]string{}, configs: map[proxyidentity.Proxy]xds.Config{}, accepted: map[resource.Key]string{}},
	}
	store, err := objects.New(r.client, 0)
	if err != nil {
		t.Fatal(err)
	}
	r.feed = New(Options{
		Store: store, Server: r.server, Workers: 2, Checker: checker,
		Secret: func(_, name string) *corev1.Secret {
			secret, _ := r.secrets.Load(name)
			found, _ := secret.(*corev1.Secret)
			return found
		},
		Place: func(public string) translate.Options { return r.place(public) },
		Tunnel: func(id int32, _ netip.Addr) translate.Reach {
			got, _ := r.reach.Load(id)
			if reach, ok := got.(translate.Reach); ok {
				return reach
			}
			return translate.ReachUnknown
		},
		Changed: func(id proxyidentity.Proxy) { r.changed <- id },
		Kept: func(context.Context, proxyidentity.Proxy) []*resource.Resource {
			if has := r.kept.Load(); has != nil {
				return *has
			}
			return nil
		},
	})
	synced, err := r.feed.Watch()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	store.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		t.Fatal("the store is not filled")
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.feed.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return r
}

func (r *rig) lb() *epicv1.LoadBalancer {
	r.t.Helper()
	truth := true
	lb := &epicv1.LoadBalancer{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "shop", UID: "u1", ResourceVersion: "1", Generation: 1},
		Spec: epicv1.LoadBalancerSpec{
			PublicAddress: "192.0.2.1", UpstreamClusters: []string{"c"}, TrueIngress: &truth,
			PublicPorts: []epicv1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
		},
	}
	r.must(r.client.EpicV1().LoadBalancers(ns).Create(r.t.Context(), lb, metav1.CreateOptions{}))
	return lb
}

func (r *rig) endpoint(name, address, node string) {
	r.t.Helper()
	rep := &epicv1.RemoteEndpoint{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ns, Name: name, UID: "u-1", ResourceVersion: "1", Labels: map[string]string{epic.OwningLoadBalancerLabel: "shop"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "epic.acnodal.io/v1", Kind: "LoadBalancer", Name: "shop", UID: "u1", Controller: new(true)}},
		},
		Spec: epicv1.RemoteEndpointSpec{Cluster: "c", Address: address, NodeAddress: node, Port: epicv1.EndpointPort{Port: 8080, Protocol: corev1.ProtocolTCP}},
	}
	r.must(r.client.EpicV1().RemoteEndpoints(ns).Create(r.t.Context(), rep, metav1.CreateOptions{}))
}

func (r *rig) must(_ any, err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) until(what string, is func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.server.mu.Lock()
			defer r.server.mu.Unlock()
			r.t.Fatalf("not within %s: %s; there is %v", patience, what, r.server.current)
		}
	}
}

func (r *rig) eventually(pod, want string) {
	r.t.Helper()
	key := strings.TrimSpace(shopID.String() + " " + pod)
	r.until(fmt.Sprintf("%s has %q", key, want), func() bool { return r.server.get(key) == want })
}

// A load balancer is translated once; what happens to its endpoints and tunnels
// renders endpoints alone.
func TestEndpointsAlone(t *testing.T) {
	r := newRig(t)
	lb := r.lb()
	r.eventually("", "")
	if kinds := r.server.kinds[shopID]; kinds[resource.Listener] != 1 || kinds[resource.Cluster] == 0 {
		t.Errorf("resources: %v", kinds)
	}
	if o := r.feed.Outcome(shopID); o == nil || o.Generation != 1 || len(o.Listeners) != 1 || o.Listeners[0].Port != 80 || o.Listeners[0].Address != "192.0.2.1" {
		t.Errorf("outcome %+v", o)
	}
	r.endpoint("a", "10.0.0.1", "10.1.0.1")
	r.eventually("", "10.0.0.1:8080")
	r.endpoint("b", "10.0.0.2", "10.1.0.2")
	r.eventually("", "10.0.0.1:8080 10.0.0.2:8080")
	if n := r.server.count(shopID); n != 1 {
		t.Errorf("translated %d times", n)
	}

	// Two pods on two gateway nodes, and tunnels.
	pair := func(gateway string, id int32) map[string]epicv1.GUETunnelEndpoint {
		return map[string]epicv1.GUETunnelEndpoint{gateway: {EPICAddress: gateway, TunnelID: id}}
	}
	lb = lb.DeepCopy()
	lb.ResourceVersion = "2"
	lb.Status.ProxyIfInfo = map[string]epicv1.ProxyInterfaceInfo{"p1": {EPICNodeAddress: "192.0.2.41"}, "p2": {EPICNodeAddress: "192.0.2.42"}}
	lb.Status.GUETunnelEndpoints = map[string]epicv1.TunnelEndpoint{
		"10.1.0.1": {EPICEndpoints: pair("192.0.2.41", 1)},
		"10.1.0.2": {EPICEndpoints: map[string]epicv1.GUETunnelEndpoint{"192.0.2.41": {TunnelID: 2}, "192.0.2.42": {TunnelID: 3}}},
	}
	r.reach.Store(int32(1), translate.ReachUp)
	r.must(r.client.EpicV1().LoadBalancers(ns).Update(t.Context(), lb, metav1.UpdateOptions{}))
	// Endpoints with a tunnel that is up come first. Those with none are left out next to others.
	r.eventually("p1", "10.0.0.1:8080 | 10.0.0.2:8080")
	r.eventually("p2", "10.0.0.2:8080")
	r.until("the pods are part of a whole configuration", func() bool { return r.server.count(shopID) == 2 })
	r.reach.Store(int32(1), translate.ReachDown)
	r.reach.Store(int32(2), translate.ReachUp)
	r.feed.TunnelsChanged(netip.MustParseAddr("192.0.2.41"), func(id int32) bool { return id <= 2 })
	r.eventually("p1", "10.0.0.2:8080")
	if n := r.server.count(shopID); n != 2 {
		t.Errorf("translated %d times", n)
	}

	// The last one is gone: an empty list, not an old one.
	for _, name := range []string{"a", "b"} {
		if err := r.client.EpicV1().RemoteEndpoints(ns).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	r.eventually("p1", "")
	r.eventually("", "")
	if err := r.client.EpicV1().LoadBalancers(ns).Delete(t.Context(), "shop", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.until("the proxy is removed", func() bool {
		r.server.mu.Lock()
		defer r.server.mu.Unlock()
		return slices.Contains(r.server.removed, shopID)
	})
	if r.feed.Outcome(shopID) != nil {
		t.Error("something is known of a load balancer that is gone")
	}
}

// Endpoints reach a proxy while others, and even it itself, are being translated.
func TestEndpointsDoNotWait(t *testing.T) {
	r := newRig(t)
	lb := r.lb()
	r.endpoint("a", "10.0.0.1", "")
	r.eventually("", "10.0.0.1:8080")
	blocked, release := make(chan struct{}, 10), make(chan struct{})
	r.place = func(string) translate.Options {
		blocked <- struct{}{}
		<-release
		return translate.Options{}
	}
	defer close(release)
	lb = lb.DeepCopy()
	lb.ResourceVersion, lb.Generation = "2", 2
	lb.Spec.PublicPorts[0].Port = 81
	r.must(r.client.EpicV1().LoadBalancers(ns).Update(t.Context(), lb, metav1.UpdateOptions{}))
	r.feed.Translate(gatewayID(ns, "none"))
	<-blocked
	r.endpoint("b", "10.0.0.2", "")
	r.eventually("", "10.0.0.1:8080 10.0.0.2:8080")
}
