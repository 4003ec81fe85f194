// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

func TestWorkers(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("no workers were accepted")
	}
}
