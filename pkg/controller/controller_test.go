// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

const (
	ready     = "Assigned=True Resolved=True"
	noProxies = "NoProxies=False Resolved=True"
)

// TestController runs controllers against a real server.
func TestController(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]func(*world){
		"LoadBalancer":            testLoadBalancer,
		"GWProxy":                 testGWProxy,
		"WithoutNodes":            testWithoutNodes,
		"Direct":                  testDirect,
		"Ports":                   testPorts,
		"Repair":                  testRepair,
		"Others":                  testOthersConditions,
		"Deletion":                testDeletion,
		"Linger":                  testLinger,
		"TooMany":                 testTooMany,
		"Race":                    testRace,
		"TwoControllers":          testTwoControllers,
		"Burst":                   testBurst,
		"Takeover":                testTakeover,
		"AccountsDoNotMeet":       testAccounts,
		"UnchangedIsNotWritten":   testQuiet,
		"ManyChangesOfOneBackend": testSharedBackend,
		"DeadGatewayNode":         testDeadGatewayNode(false),
		"DeadGatewayNodeOfOld":    testDeadGatewayNode(true),
		"ProxiesThatAreGone":      testProxiesThatAreGone,
		"Events":                  testEvents,
	} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			test(w)
			w.audit()
		})
	}
	compareRole(t, w.seen)
}

func testLoadBalancer(w *world) {
	w.start()
	lb := w.loadBalancer(w.account("lb"), "web")
	w.eventually(lb, "NoEndpoints=False NoEndpoints=False")
	w.endpoint(lb, "a", "10.0.0.1", "192.168.1.16")
	w.eventually(lb, noProxies)
	w.pod(lb, "p1", "172.16.0.1")
	first := w.eventually(lb, ready, "192.168.1.16>172.16.0.1")

	// Another pod on the node, and another proxy on the gateway node, do not need a
	// tunnel of their own.
	w.endpoint(lb, "b", "10.0.0.2", "192.168.1.16")
	w.pod(lb, "p2", "172.16.0.1")
	w.removeEndpoint(lb, "a")
	w.endpoint(lb, "c", "10.0.0.3", "192.168.1.17")
	w.pod(lb, "p3", "172.16.0.2")
	all := w.eventually(lb, ready, "192.168.1.16>172.16.0.1", "192.168.1.16>172.16.0.2", "192.168.1.17>172.16.0.1", "192.168.1.17>172.16.0.2")
	if all["192.168.1.16>172.16.0.1"] != first["192.168.1.16>172.16.0.1"] {
		w.t.Errorf("the first tunnel had the ID %v and has %v", first, all)
	}

	// Nodes go, their endpoints and proxies with them.
	w.pod(lb, "p1", "")
	w.removeEndpoint(lb, "b")
	w.eventually(lb, ready, "192.168.1.17>172.16.0.1", "192.168.1.17>172.16.0.2")
	w.pod(lb, "p2", "")
	w.eventually(lb, ready, "192.168.1.17>172.16.0.2")
	// The endpoint moves to another node.
	must(w.t)(w.api.RemoteEndpoints(lb.ns).Patch(w.t.Context(), "c", types.MergePatchType, []byte(`{"spec": {"node-address": "2001:db8::1"}}`), metav1.PatchOptions{}))
	w.eventually(lb, ready, "2001:db8::1>172.16.0.2")
	// A cluster that is not listed is not used.
	must(w.t)(w.api.LoadBalancers(lb.ns).Patch(w.t.Context(), lb.name, types.MergePatchType, []byte(`{"spec": {"upstream-clusters": ["d"]}}`), metav1.PatchOptions{}))
	w.eventually(lb, "NoEndpoints=False ClusterNotListed=False")
	w.removeEndpoint(lb, "c")
	w.eventually(lb, "NoEndpoints=False NoEndpoints=False")
}

func testGWProxy(w *world) {
	w.start()
	proxy := w.gwProxy(w.account("gateway"), "web")
	w.pod(proxy, "p1", "172.16.0.1")
	w.route(proxy, "r", "svc", 8080)
	w.eventually(proxy, "NoEndpoints=False BackendWithoutSlices=False")
	w.slice(proxy.ns, "s", "svc", "192.168.1.1", "192.168.1.2")
	first := w.eventually(proxy, ready, "192.168.1.1>172.16.0.1", "192.168.1.2>172.16.0.1")

	// Not ready; then terminating; then ready again, with a new ID or the old one.
	w.change(proxy.ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.Endpoints[0].Conditions.Ready = ptr.To(false) })
	w.eventually(proxy, ready, "192.168.1.2>172.16.0.1")
	w.change(proxy.ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.Endpoints[0].Conditions.Ready = ptr.To(true) })
	w.eventually(proxy, ready, "192.168.1.1>172.16.0.1", "192.168.1.2>172.16.0.1")
	w.change(proxy.ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.Endpoints[0].Conditions.Terminating = ptr.To(true) })
	last := w.eventually(proxy, ready, "192.168.1.2>172.16.0.1")
	if first["192.168.1.2>172.16.0.1"] != last["192.168.1.2>172.16.0.1"] {
		w.t.Errorf("the tunnel that stayed had the ID %v and has %v", first, last)
	}

	// Several ports: the one that the route means, or none.
	w.change(proxy.ns, "s", func(s *epicv1.GWEndpointSliceSpec) {
		s.Ports = []discoveryv1.EndpointPort{{Name: ptr.To("a"), Port: ptr.To[int32](1)}, {Name: ptr.To("b"), Port: ptr.To[int32](2)}}
	})
	w.eventually(proxy, "NoEndpoints=False PortAmbiguous=False")
	w.change(proxy.ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.Ports[1].Port = ptr.To[int32](8080) })
	w.eventually(proxy, ready, "192.168.1.2>172.16.0.1")
	w.change(proxy.ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.Ports = nil })
	w.eventually(proxy, "NoEndpoints=False PortMissing=False")
	w.change(proxy.ns, "s", func(s *epicv1.GWEndpointSliceSpec) {
		s.Ports, s.NodeAddresses["node-1"] = []discoveryv1.EndpointPort{{Port: ptr.To[int32](7)}}, "192.168.1.3"
	})
	w.eventually(proxy, ready, "192.168.1.3>172.16.0.1")

	// The slice goes to another Service, of another route.
	w.change(proxy.ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.ParentRef.UID = "other" })
	w.eventually(proxy, "NoEndpoints=False BackendWithoutSlices=False")
	w.route(proxy, "q", "other", 80)
	w.eventually(proxy, "Assigned=True BackendWithoutSlices=False", "192.168.1.3>172.16.0.1")
	must(w.t)(nil, w.api.GWRoutes(proxy.ns).Delete(w.t.Context(), "r", metav1.DeleteOptions{}))
	w.eventually(proxy, ready, "192.168.1.3>172.16.0.1")
	must(w.t)(nil, w.api.GWEndpointSlices(proxy.ns).Delete(w.t.Context(), "s", metav1.DeleteOptions{}))
	must(w.t)(nil, w.api.GWRoutes(proxy.ns).Delete(w.t.Context(), "q", metav1.DeleteOptions{}))
	w.eventually(proxy, "NoEndpoints=False NoEndpoints=False")
}

func testWithoutNodes(w *world) {
	w.start()
	lb := w.loadBalancer(w.account("nodeless"), "web")
	w.pod(lb, "p1", "172.16.0.1")
	w.endpoint(lb, "a", "10.0.0.1", "")
	w.eventually(lb, "NoNodes=False EndpointWithoutNode=False")
	w.endpoint(lb, "b", "10.0.0.2", "192.168.1.1")
	w.eventually(lb, "Assigned=True EndpointWithoutNode=False", "192.168.1.1>172.16.0.1")
	_, status := w.get(lb)
	if c := meta.FindStatusCondition(status.Conditions, ConditionEndpointsResolved); !strings.HasPrefix(c.Message, "RemoteEndpoint a: ") {
		w.t.Errorf("the message is %q", c.Message)
	}

	proxy := w.gwProxy(lb.ns, "gateway")
	w.pod(proxy, "p1", "172.16.0.1")
	w.route(proxy, "r", "svc", 80)
	w.slice(lb.ns, "s", "svc", "192.168.1.1", "192.168.1.2")
	w.change(lb.ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.Endpoints[0].NodeName = nil })
	w.eventually(proxy, "Assigned=True EndpointWithoutNode=False", "192.168.1.2>172.16.0.1")
}

func testDirect(w *world) {
	w.start()
	lb := w.directLoadBalancer(w.account("direct"), "web")
	w.pod(lb, "p1", "172.16.0.1")
	w.endpoint(lb, "a", "203.0.114.1", "192.168.1.1")
	w.eventually(lb, "NotNeeded=True Resolved=True")
}

func testPorts(w *world) {
	w.start()
	lb := w.loadBalancer(w.account("ports"), "web")
	w.endpoint(lb, "a", "10.0.0.1", "192.168.1.1")
	must(w.t)(nil, w.patchStatus(lb, `{"proxy-if-info": {"p1": {"epic-node-address": "172.16.0.1", "epic-port": {"port": 7000, "appProtocol": "gue"}}, "p2": {}}}`))
	before := w.eventually(lb, ready, "192.168.1.1>172.16.0.1")
	port := func(want int32) {
		w.t.Helper()
		deadline := time.Now().Add(patience)
		for {
			_, status := w.get(lb)
			entry := status.GUETunnelEndpoints["192.168.1.1"]
			if entry.EPICPort.Port == want && entry.EPICEndpoints["172.16.0.1"].EPICPort.Port == want && entry.EPICPort.Protocol == "UDP" {
				return
			}
			if time.Now().After(deadline) {
				w.t.Fatalf("the tunnel has %+v, not the port %d", entry, want)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	port(7000)
	must(w.t)(nil, w.patchStatus(lb, `{"proxy-if-info": {"p1": {"epic-port": null}}}`))
	port(6080)
	if after := w.eventually(lb, ready, "192.168.1.1>172.16.0.1"); !maps.Equal(before, after) {
		w.t.Errorf("the ID was %v and is %v", before, after)
	}
}

// testRepair damages the status in each way that the server allows.
func testRepair(w *world) {
	w.start()
	lb := w.loadBalancer(w.account("repair"), "web")
	w.endpoint(lb, "a", "10.0.0.1", "192.168.1.1")
	w.pod(lb, "p1", "172.16.0.1")
	w.pod(lb, "p2", "172.16.0.2")
	pairs := []string{"192.168.1.1>172.16.0.1", "192.168.1.1>172.16.0.2"}
	w.eventually(lb, ready, pairs...)
	for name, damage := range map[string]string{
		"all tunnels":          `{"gue-tunnel-endpoints": null}`,
		"an empty entry":       `{"gue-tunnel-endpoints": {"192.168.1.1": {"epic-endpoints": {}}}}`,
		"another's tunnel":     `{"gue-tunnel-endpoints": {"192.168.9.9": {"epic-address": "172.16.0.1"}}}`,
		"another gateway node": `{"gue-tunnel-endpoints": {"192.168.1.1": {"epic-endpoints": {"172.16.0.9": {}}}}}`,
		"one pair":             `{"gue-tunnel-endpoints": {"192.168.1.1": {"epic-endpoints": {"172.16.0.1": null}}}}`,
		"a port":               `{"gue-tunnel-endpoints": {"192.168.1.1": {"epic-endpoints": {"172.16.0.1": {"epic-port": {"port": 1, "appProtocol": "gue", "protocol": "UDP"}}}}}}`,
		"an entry of nothing":  `{"gue-tunnel-endpoints": {"192.168.9.9": {}}}`,
		"conditions":           `{"conditions": null, "observedGeneration": 99}`,
		"a condition's lie":    `{"conditions": [{"type": "TunnelsReady", "status": "False", "reason": "Lie", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}`,
		"everything":           `null`,
	} {
		must(w.t)(nil, w.patchStatus(lb, damage))
		if damage == "null" {
			w.pod(lb, "p1", "172.16.0.1")
			w.pod(lb, "p2", "172.16.0.2")
		}
		deadline := time.Now().Add(patience)
		for {
			_, status := w.get(lb)
			entry := status.GUETunnelEndpoints["192.168.1.1"]
			has := ids(status)
			if len(status.GUETunnelEndpoints) == 1 && slices.Equal(slices.Sorted(maps.Keys(has)), pairs) && reasons(status) == ready && status.ObservedGeneration == 1 &&
				entry.EPICAddress == "172.16.0.1" && entry.TunnelID == has[pairs[0]] && entry.EPICEndpoints["172.16.0.1"].EPICPort.Port == 6080 {
				break
			}
			if time.Now().After(deadline) {
				w.t.Fatalf("%s: not repaired: %+v", name, status)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// testOthersConditions leaves alone what others say.
func testOthersConditions(w *world) {
	stop := w.start()
	lb := w.loadBalancer(w.account("others"), "web")
	w.eventually(lb, "NoEndpoints=False NoEndpoints=False")
	stop()
	_, status := w.get(lb)
	other := metav1.Condition{Type: "Announced", Status: metav1.ConditionTrue, Reason: "Running", LastTransitionTime: metav1.NewTime(time.Unix(1, 0))}
	conditions, err := json.Marshal(append(status.Conditions, other))
	must(w.t)(nil, err)
	must(w.t)(nil, w.patchStatus(lb, fmt.Sprintf(`{"conditions": %s}`, conditions)))
	w.start()
	w.endpoint(lb, "a", "10.0.0.1", "192.168.1.1")
	w.pod(lb, "p1", "172.16.0.1")
	w.eventually(lb, ready, "192.168.1.1>172.16.0.1")
	_, status = w.get(lb)
	if c := meta.FindStatusCondition(status.Conditions, "Announced"); c == nil || !c.LastTransitionTime.Equal(&other.LastTransitionTime) {
		w.t.Errorf("the other's condition is %+v", c)
	}
	if info := status.ProxyIfInfo["p1"]; info.Index != 7 || info.Name != "veth7" || status.ProxyIfIndex != 7 {
		w.t.Errorf("the node's words are now %+v", status)
	}
}

// testDeletion holds an object while it is being deleted.
func testDeletion(w *world) {
	w.start()
	proxy := w.gwProxy(w.account("deletion"), "web")
	w.route(proxy, "r", "svc", 80)
	w.slice(proxy.ns, "s", "svc", "192.168.1.1", "192.168.1.2")
	w.pod(proxy, "p1", "172.16.0.1")
	before := w.eventually(proxy, ready, "192.168.1.1>172.16.0.1", "192.168.1.2>172.16.0.1")
	hold := func(finalizers string) {
		w.t.Helper()
		must(w.t)(w.api.GWProxies(proxy.ns).Patch(w.t.Context(), proxy.name, types.MergePatchType, []byte(`{"metadata": {"finalizers": `+finalizers+`}}`), metav1.PatchOptions{}))
	}
	hold(`["example.com/hold"]`)
	must(w.t)(nil, w.api.GWProxies(proxy.ns).Delete(w.t.Context(), proxy.name, metav1.DeleteOptions{}))
	// Two changes: one asks for more, and the other shows that both were seen.
	w.pod(proxy, "p2", "172.16.0.2")
	w.change(proxy.ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.Endpoints = s.Endpoints[:1] })
	after := w.eventually(proxy, "", "192.168.1.1>172.16.0.1")
	if after["192.168.1.1>172.16.0.1"] != before["192.168.1.1>172.16.0.1"] {
		w.t.Errorf("the ID was %v and is %v", before, after)
	}
	must(w.t)(nil, w.api.GWRoutes(proxy.ns).Delete(w.t.Context(), "r", metav1.DeleteOptions{}))
	w.eventually(proxy, "")
	hold(`null`)
	if _, err := w.api.GWProxies(proxy.ns).Get(w.t.Context(), proxy.name, metav1.GetOptions{}); err == nil {
		w.t.Error("it is still there")
	}
}

// testLinger has a tunnel stay for a while after its last endpoint is gone.
func testLinger(w *world) {
	w.linger = time.Second
	w.start()
	lb := w.loadBalancer(w.account("linger"), "web")
	w.endpoint(lb, "a", "10.0.0.1", "192.168.1.1")
	w.pod(lb, "p1", "172.16.0.1")
	before := w.eventually(lb, ready, "192.168.1.1>172.16.0.1")
	w.removeEndpoint(lb, "a")
	during := w.eventually(lb, "NoEndpoints=False NoEndpoints=False", "192.168.1.1>172.16.0.1")
	if !maps.Equal(before, during) {
		w.t.Errorf("the ID was %v and is %v", before, during)
	}
	w.eventually(lb, "NoEndpoints=False NoEndpoints=False")
	// Deletion waits for nothing.
	w.endpoint(lb, "b", "10.0.0.1", "192.168.1.1")
	w.eventually(lb, ready, "192.168.1.1>172.16.0.1")
	w.removeEndpoint(lb, "b")
	must(w.t)(w.api.LoadBalancers(lb.ns).Patch(w.t.Context(), lb.name, types.MergePatchType, []byte(`{"spec": {"upstream-clusters": null}}`), metav1.PatchOptions{}))
	begin := time.Now()
	must(w.t)(nil, w.api.LoadBalancers(lb.ns).Delete(w.t.Context(), lb.name, metav1.DeleteOptions{}))
	if _, err := w.api.LoadBalancers(lb.ns).Get(w.t.Context(), lb.name, metav1.GetOptions{}); err == nil {
		w.t.Errorf("it is still there after %s", time.Since(begin))
	}
}

func testTooMany(w *world) {
	w.start()
	proxy := w.gwProxy(w.account("many"), "web")
	w.route(proxy, "r", "svc", 80)
	var nodes, infos []string
	for i := range 33 {
		nodes = append(nodes, fmt.Sprintf("192.168.2.%d", i+1))
		infos = append(infos, fmt.Sprintf(`"p%d": {"epic-node-address": "172.16.1.%d"}`, i, i+1))
	}
	w.slice(proxy.ns, "s", "svc", nodes...)
	must(w.t)(nil, w.patchStatus(proxy, `{"proxy-if-info": {`+strings.Join(infos[:32], ",")+`}}`))
	count := func(conditions string, want int) map[string]int32 {
		w.t.Helper()
		deadline := time.Now().Add(patience)
		for {
			_, status := w.get(proxy)
			if has := ids(status); len(has) == want && reasons(status) == conditions {
				return has
			}
			if time.Now().After(deadline) {
				w.t.Fatalf("%d tunnels, %s; not %d, %s", len(ids(status)), reasons(status), want, conditions)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	before := count("TooManyTunnels=False Resolved=True", 1024)
	// What it has stays, and it is not written again and again.
	must(w.t)(nil, w.patchStatus(proxy, `{"proxy-if-info": {`+infos[32]+`}}`))
	count("TooManyTunnels=False Resolved=True", 1024)
	m, _ := w.get(proxy)
	time.Sleep(200 * time.Millisecond)
	m2, status := w.get(proxy)
	if m.ResourceVersion != m2.ResourceVersion {
		_, status = w.get(proxy)
		time.Sleep(200 * time.Millisecond)
		if m3, _ := w.get(proxy); m3.ResourceVersion != m2.ResourceVersion {
			w.t.Error("it is written again and again")
		}
	}
	if !maps.Equal(before, ids(status)) {
		w.t.Error("tunnels went that were needed")
	}
	// With fewer nodes there is room for all.
	w.change(proxy.ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.Endpoints = s.Endpoints[:31] })
	count(ready, 1023)
}

// testRace lets nodes, tenants and a vandal write all the time, and checks whether
// a tunnel that was needed all along kept its ID.
func testRace(w *world) {
	w.start()
	lb := w.loadBalancer(w.account("race"), "web")
	w.endpoint(lb, "stays", "10.0.0.1", "192.168.1.1")
	w.pod(lb, "stays", "172.16.0.1")
	stays := w.eventually(lb, ready, "192.168.1.1>172.16.0.1")["192.168.1.1>172.16.0.1"]

	history, err := w.api.LoadBalancers(lb.ns).Watch(w.t.Context(), metav1.ListOptions{})
	must(w.t)(nil, err)
	watched := make(chan int)
	go func() {
		n := 0
		for event := range history.ResultChan() {
			n++
			if obj, ok := event.Object.(*epicv1.LoadBalancer); ok && ids(&obj.Status)["192.168.1.1>172.16.0.1"] != stays {
				w.t.Errorf("the tunnel that was needed all along lost its ID: %v", ids(&obj.Status))
			}
		}
		watched <- n
	}()

	var writers sync.WaitGroup
	for node := range 4 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(node), 1))
			for range 20 {
				pod, address := fmt.Sprintf("p%d-%d", node, r.IntN(3)), fmt.Sprintf("172.16.0.%d", node+2)
				status := fmt.Sprintf(`{"proxy-if-info": {%q: {"epic-node-address": %q, "index": %d}}}`, pod, address, r.IntN(100)+1)
				if r.IntN(3) == 0 {
					status = fmt.Sprintf(`{"proxy-if-info": {%q: null}}`, pod)
				}
				if err := w.patchStatus(lb, status); err != nil {
					w.t.Error(err)
				}
			}
			for i := range 3 {
				status := fmt.Sprintf(`{"proxy-if-info": {"p%d-%d": null}}`, node, i)
				if i == 2 && node == 0 {
					status = `{"proxy-if-info": {"p0-2": {"epic-node-address": "172.16.0.2", "index": 4242}}}`
				}
				if err := w.patchStatus(lb, status); err != nil {
					w.t.Error(err)
				}
			}
		})
	}
	for range 12 {
		w.endpoint(lb, "comes", "10.0.0.2", "192.168.1.2")
		w.removeEndpoint(lb, "comes")
	}
	writers.Wait()
	w.eventually(lb, ready, "192.168.1.1>172.16.0.1", "192.168.1.1>172.16.0.2")
	_, status := w.get(lb)
	if len(status.ProxyIfInfo) != 2 || status.ProxyIfInfo["p0-2"].Index != 4242 || status.ProxyIfInfo["stays"].Index != 7 {
		w.t.Errorf("the nodes' last words are %v", status.ProxyIfInfo)
	}
	history.Stop()
	if n := <-watched; n < 50 {
		w.t.Errorf("only %d versions were seen", n)
	}
}

// testTwoControllers runs two, as when one lost its lease and has not noticed.
func testTwoControllers(w *world) {
	w.start()
	w.start()
	ns := w.account("two")
	var all []object
	for i := range 4 {
		lb := w.loadBalancer(ns, fmt.Sprint("lb", i))
		w.endpoint(lb, lb.name+"-a", "10.0.0.1", "192.168.1.1")
		w.pod(lb, "p1", "172.16.0.1")
		all = append(all, lb)
	}
	first := map[string]int32{}
	for _, lb := range all {
		first[lb.name] = w.eventually(lb, ready, "192.168.1.1>172.16.0.1")["192.168.1.1>172.16.0.1"]
	}
	for round := range 5 {
		for _, lb := range all {
			w.endpoint(lb, fmt.Sprint(lb.name, "-", round), "10.0.0.2", fmt.Sprintf("192.168.1.%d", round+2))
			w.pod(lb, "p2", fmt.Sprintf("172.16.0.%d", round+2))
		}
		for _, lb := range all {
			w.removeEndpoint(lb, fmt.Sprint(lb.name, "-", round))
		}
	}
	seen := map[int32]object{}
	for _, lb := range all {
		has := w.eventually(lb, ready, "192.168.1.1>172.16.0.1", "192.168.1.1>172.16.0.6")
		if has["192.168.1.1>172.16.0.1"] != first[lb.name] {
			w.t.Errorf("%v: the tunnel that was needed all along had the ID %d and has %v", lb, first[lb.name], has)
		}
		for p, id := range has {
			if other, ok := seen[id]; ok {
				w.t.Errorf("%v and %v both have the ID %d, for %s", lb, other, id, p)
			}
			seen[id] = lb
		}
	}
}

// testBurst makes 200 objects at once before the controller starts.
func testBurst(w *world) {
	ns := w.account("burst")
	var all []object
	for i := range 100 {
		lb := w.loadBalancer(ns, fmt.Sprint("lb", i))
		w.endpoint(lb, lb.name+"-a", "10.0.0.1", "192.168.1.1")
		w.pod(lb, "p1", "172.16.0.1")
		proxy := w.gwProxy(ns, fmt.Sprint("gw", i))
		w.pod(proxy, "p1", "172.16.0.1")
		all = append(all, lb, proxy)
	}
	for i := range 4 {
		var parents []object
		for j := range 25 {
			parents = append(parents, object{"gwproxies", ns, fmt.Sprint("gw", 25*i+j)})
		}
		w.routeOf(fmt.Sprint("r", i), "svc", 80, parents...)
	}
	w.slice(ns, "s", "svc", "192.168.1.1")
	begin := time.Now()
	w.start()
	for _, o := range all {
		w.eventually(o, ready, "192.168.1.1>172.16.0.1")
	}
	w.t.Logf("%d objects took %s", len(all), time.Since(begin).Round(time.Millisecond))
	// One slice changes what all the proxies need.
	begin = time.Now()
	w.change(ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.NodeAddresses["node-0"] = "192.168.1.2" })
	for _, o := range all {
		want := "192.168.1.1>172.16.0.1"
		if o.resource == "gwproxies" {
			want = "192.168.1.2>172.16.0.1"
		}
		w.eventually(o, ready, want)
	}
	w.t.Logf("a change of %d of them took %s", len(all)/2, time.Since(begin).Round(time.Millisecond))
}

// testTakeover lets a second controller find what happened while none ran.
func testTakeover(w *world) {
	stop := w.start()
	lb := w.loadBalancer(w.account("takeover"), "web")
	w.endpoint(lb, "a", "10.0.0.1", "192.168.1.1")
	w.endpoint(lb, "b", "10.0.0.2", "192.168.1.2")
	w.pod(lb, "p1", "172.16.0.1")
	before := w.eventually(lb, ready, "192.168.1.1>172.16.0.1", "192.168.1.2>172.16.0.1")
	stop()
	w.removeEndpoint(lb, "a")
	w.pod(lb, "p2", "172.16.0.2")
	w.start()
	after := w.eventually(lb, ready, "192.168.1.2>172.16.0.1", "192.168.1.2>172.16.0.2")
	if before["192.168.1.2>172.16.0.1"] != after["192.168.1.2>172.16.0.1"] {
		w.t.Errorf("the tunnel that stayed had the ID %v and has %v", before, after)
	}
}

// testAccounts gives two accounts the same names and addresses.
func testAccounts(w *world) {
	w.start()
	seen := map[int32]bool{}
	var proxies []object
	for _, account := range []string{"meet-a", "meet-b"} {
		proxy := w.gwProxy(w.account(account), "web")
		w.route(proxy, "r", "svc", 80)
		w.pod(proxy, "p1", "172.16.0.1")
		proxies = append(proxies, proxy)
	}
	w.slice(proxies[0].ns, "s", "svc", "192.168.1.1")
	seen[w.eventually(proxies[0], ready, "192.168.1.1>172.16.0.1")["192.168.1.1>172.16.0.1"]] = true
	w.eventually(proxies[1], "NoEndpoints=False BackendWithoutSlices=False")
	w.slice(proxies[1].ns, "s", "svc", "192.168.1.1")
	seen[w.eventually(proxies[1], ready, "192.168.1.1>172.16.0.1")["192.168.1.1>172.16.0.1"]] = true
	if len(seen) != 2 {
		w.t.Errorf("two accounts share the tunnel IDs %v", seen)
	}
}

// testQuiet checks that nothing is written without need, from a new controller
// either.
func testQuiet(w *world) {
	stop := w.start()
	lb := w.loadBalancer(w.account("quiet"), "web")
	w.endpoint(lb, "a", "10.0.0.1", "192.168.1.1")
	w.pod(lb, "p1", "172.16.0.1")
	w.pod(lb, "p2", "172.16.0.2")
	w.eventually(lb, ready, "192.168.1.1>172.16.0.1", "192.168.1.1>172.16.0.2")
	m, _ := w.get(lb)
	stop()
	stop = w.start()
	// A second object is done later than the first in the queue, so the
	// first has been looked at.
	late := w.loadBalancer(lb.ns, "late")
	w.eventually(late, "NoEndpoints=False NoEndpoints=False")
	stop()
	if m2, status := w.get(lb); m2.ResourceVersion != m.ResourceVersion {
		w.t.Errorf("it was written though nothing changed: %+v", status)
	}
}

// testSharedBackend changes the backend of several proxies of one route.
func testSharedBackend(w *world) {
	w.start()
	ns := w.account("shared")
	a, b := w.gwProxy(ns, "a"), w.gwProxy(ns, "b")
	w.pod(a, "p", "172.16.0.1")
	w.pod(b, "p", "172.16.0.2")
	w.route(a, "r", "svc", 80)
	w.slice(ns, "s", "svc", "192.168.1.1")
	w.eventually(a, ready, "192.168.1.1>172.16.0.1")
	must(w.t)(w.api.GWRoutes(ns).Patch(w.t.Context(), "r", types.MergePatchType, []byte(`{"spec": {"http": {"parentRefs": [{"name": "a"}, {"name": "b"}]}}}`), metav1.PatchOptions{}))
	w.eventually(b, ready, "192.168.1.1>172.16.0.2")
	w.change(ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.NodeAddresses["node-0"] = "192.168.1.2" })
	w.eventually(a, ready, "192.168.1.2>172.16.0.1")
	w.eventually(b, ready, "192.168.1.2>172.16.0.2")
	// One proxy leaves the route.
	must(w.t)(w.api.GWRoutes(ns).Patch(w.t.Context(), "r", types.MergePatchType, []byte(`{"spec": {"http": {"parentRefs": [{"name": "b"}]}}}`), metav1.PatchOptions{}))
	w.eventually(a, "NoEndpoints=False NoEndpoints=False")
	w.eventually(b, ready, "192.168.1.2>172.16.0.2")
}

func TestWorkers(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("no workers were accepted")
	}
}
