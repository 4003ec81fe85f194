// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestEnvoy is what EPIC is for: a load balancer that somebody creates is served by an
// Envoy that the operator runs and configures, through a tunnel. Under traffic, Envoys
// and operators are replaced, and endpoints come and go.
func TestEnvoy(t *testing.T) {
	c := epic(t)
	c.onThisMachine(t)
	s := c.site(t)
	s.operator(t)
	s.backend(t)
	s.route(t, s.address)
	t.Run("served", s.testServed)
	t.Run("a Prometheus reads metrics", s.testMonitoring)
	t.Run("an operator is killed", s.testOperatorKilled)
	t.Run("Envoys are replaced", s.testEnvoysReplaced)
	t.Run("a connection outlasts its Envoy's replacement", s.testConnectionStays)
	t.Run("endpoints come and go", s.testEndpointsChange)
	t.Run("the last endpoint goes", s.testLastEndpoint)
	t.Run("an image that does not exist", s.testNoImage)
	t.Run("a cluster is connected", s.testConnected)
}

const shopLB = "loadbalancers.epic.acnodal.io/shop"

// operator installs the operator, as it is documented.
func (s *site) operator(t *testing.T) {
	t.Helper()
	services := s.run(t, "get", "service", "kubernetes", "-n", "default", "--output=jsonpath={.spec.clusterIP}")
	parts := strings.Split(services, ".")
	s.run(t, "patch", "epics.epic.acnodal.io", "epic", "-n", "epic", "--type=merge",
		"-p", fmt.Sprintf(`{"spec":{"service-cidr":"%s.%s.0.0/16"}}`, parts[0], parts[1]))
	if err := s.documented("The operator"); err != nil {
		s.explainEnvoy(t)
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			s.explainEnvoy(t)
		}
		// A load balancer with clusters can't be deleted.
		if out, err := s.try("", "patch", "-n", s.namespace, shopLB, "--type=merge", "-p", `{"spec":{"upstream-clusters":null}}`); err != nil && !strings.Contains(out, "NotFound") {
			t.Errorf("empty the list of clusters: %v\n%s", err, out)
		}
		s.run(t, "delete", "-n", s.namespace, "--ignore-not-found", shopLB)
		s.run(t, "delete", "-k", root+"/artifacts/install/operator", "--ignore-not-found")
	})
}

// route simulates a routing daemon and the network's routers.
func (s *site) route(t *testing.T, address string) {
	t.Helper()
	via := s.internalIP(t, s.gateway)
	command(t, "ip", "route", "replace", address+"/32", "via", via)
	t.Cleanup(func() { command(t, "ip", "route", "del", address+"/32", "via", via) })
}

func (s *site) testServed(t *testing.T) {
	s.run(t, "wait", "--for=condition=Programmed", "--timeout=3m", "-n", s.namespace, shopLB)
	s.run(t, "wait", "--for=condition=Ready", "--timeout=1m", "-n", s.namespace, shopLB)
	eventually(t, time.Minute, func() string {
		answer, err := s.get()
		if err != nil {
			return err.Error()
		}
		wants(t, "the answer", answer, "e2e-backend "+s.address+":")
		return ""
	})
	// Each operator has an Envoy next to it that checks configurations.
	wants(t, "the validator", s.run(t, "logs", "-n", "epic-system", "deployment/epic-operator", "-c", "validator"), "Checking configurations")
	if log := s.run(t, "logs", "-n", "epic-system", "deployment/epic-operator", "-c", "epic-operator"); strings.Contains(log, "can't be checked") && !strings.Contains(log, "are checked again") {
		t.Errorf("configurations are not checked:\n%s", log)
	}
	wants(t, "kubectl get lb", s.run(t, "get", "-n", s.namespace, shopLB), "1/1", "True")
	// The leader asks the other replica for what an Envoy accepted that is connected there.
	eventually(t, 30*time.Second, func() string {
		out := s.run(t, "get", "-n", s.namespace, shopLB, "--output=jsonpath={.status.envoy.listeners}")
		if !strings.Contains(out, `"port":8888`) || !strings.Contains(out, `"programmedReplicas":1`) {
			return "the listeners are " + out
		}
		return ""
	})
	// Both programs may record events, and do.
	eventually(t, 30*time.Second, func() string {
		events := s.run(t, "get", "events", "-n", s.namespace, "--field-selector=involvedObject.name=shop,involvedObject.kind=LoadBalancer", "--output=go-template={{range .items}}{{.source.component}}:{{.reason}} {{end}}")
		for _, want := range []string{"epic-operator:Programmed", "epic-controller:Ready"} {
			if !strings.Contains(events, want) {
				return fmt.Sprintf("the events are %s, without %s", events, want)
			}
		}
		return ""
	})
}

// clients is the number of requests in progress at a time.
const clients = 4

// load asks all the time until stop is called, which returns what failed. Every other
// request takes a while, so some are always under way.
func (s *site) load(t *testing.T) (stop func() (asked int64, failed []string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var asked atomic.Int64
	var mu sync.Mutex
	var failed []string
	var group sync.WaitGroup
	for n := range clients {
		query := ""
		if n%2 == 1 {
			query = "?wait=500ms"
		}
		group.Go(func() {
			for ctx.Err() == nil {
				begin := time.Now()
				_, err := s.getWith(query)
				asked.Add(1)
				if err != nil {
					mu.Lock()
					failed = append(failed, fmt.Sprintf("%s after %s: %v", begin.Format(time.TimeOnly), time.Since(begin), err))
					mu.Unlock()
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	return func() (int64, []string) {
		cancel()
		group.Wait()
		return asked.Load(), failed
	}
}

// under runs something under load, and wants no request to fail.
func (s *site) under(t *testing.T, do func()) {
	t.Helper()
	stop := s.load(t)
	do()
	time.Sleep(2 * time.Second)
	asked, failed := stop()
	t.Logf("%d requests, %d failed", asked, len(failed))
	if len(failed) > 0 || asked < 100 {
		t.Errorf("%d of %d requests failed:\n%s", len(failed), asked, strings.Join(failed[:min(len(failed), 10)], "\n"))
	}
}

func (s *site) testOperatorKilled(t *testing.T) {
	s.under(t, func() {
		s.run(t, "delete", "pod", "-n", "epic-system", "-l", "app.kubernetes.io/name=epic-operator", "--grace-period=0", "--force")
		s.run(t, "rollout", "status", "-n", "epic-system", "--timeout=3m", "deployment/epic-operator")
	})
	s.run(t, "wait", "--for=condition=Programmed", "--timeout=2m", "-n", s.namespace, shopLB)
}

func (s *site) testEnvoysReplaced(t *testing.T) {
	before := s.envoys(t)
	s.under(t, func() { s.replaceEnvoys(t) })
	if after := s.envoys(t); len(after) == 0 || after[len(after)-1] == before[0] {
		t.Errorf("the pods were %v and are %v: nothing was replaced", before, after)
	}
}

// replaceEnvoys starts a rollout and waits until a new pod is ready.
func (s *site) replaceEnvoys(t *testing.T) {
	t.Helper()
	s.run(t, "rollout", "restart", "-n", s.namespace, "deployment/lb-shop")
	s.run(t, "rollout", "status", "-n", s.namespace, "--timeout=5m", "deployment/lb-shop")
}

// envoys are the pods of the load balancer, also those that end, the newest last.
func (s *site) envoys(t *testing.T) []string {
	t.Helper()
	return strings.Fields(s.run(t, "get", "pods", "-n", s.namespace, "-l", "epic.acnodal.io/owning-loadbalancer=shop", "--sort-by=.metadata.creationTimestamp", "--output=jsonpath={.items[*].metadata.name}"))
}

// oneEnvoy waits until the pods that end have ended.
func (s *site) oneEnvoy(t *testing.T, limit time.Duration) {
	t.Helper()
	eventually(t, limit, func() string {
		if left := s.envoys(t); len(left) != 1 {
			return fmt.Sprintf("the pods are %v", left)
		}
		return ""
	})
}

// A second endpoint, which is no server's, takes its share of requests only while it is
// there.
func (s *site) testEndpointsChange(t *testing.T) {
	s.with(t, pod("default", "e2e-backend-2", s.tenant, nil, "-listen=:8080"), "apply", "-f", "-")
	t.Cleanup(func() {
		s.run(t, "delete", "pod", "-n", "default", "e2e-backend-2", "--ignore-not-found", "--grace-period=1")
	})
	s.run(t, "wait", "--for=condition=Ready", "--timeout=1m", "-n", "default", "pod/e2e-backend-2")
	ip := s.run(t, "get", "pod", "-n", "default", "e2e-backend-2", "--output=jsonpath={.status.podIP}")
	second := fmt.Sprintf(`
apiVersion: epic.acnodal.io/v1
kind: RemoteEndpoint
metadata:
  namespace: %s
  name: backend-2
  labels: {epic.acnodal.io/owning-loadbalancer: shop}
spec: {cluster: e2e, address: %s, node-address: %s, port: {port: 8080, protocol: TCP}}
`, s.namespace, ip, s.internalIP(t, s.tenant))
	// Requests that are under way to an endpoint when it is removed end as if it were there.
	s.under(t, func() {
		for range 3 {
			s.with(t, second, "apply", "-f", "-")
			eventually(t, time.Minute, func() string {
				if answer, _ := s.get(); !strings.Contains(answer, "e2e-backend-2") {
					return "the second endpoint gets no request"
				}
				return ""
			})
			// One that lasts beyond the removal.
			slow := make(chan string, 20)
			for range cap(slow) {
				go func() {
					answer, err := s.getWith("?wait=3s")
					slow <- fmt.Sprint(answer, err)
				}()
			}
			time.Sleep(time.Second)
			s.run(t, "delete", "-n", s.namespace, "remoteendpoints.epic.acnodal.io", "backend-2")
			second := 0
			for range cap(slow) {
				answer := <-slow
				if !strings.HasSuffix(answer, "<nil>") {
					t.Errorf("a request under way: %s", answer)
				}
				if strings.Contains(answer, "e2e-backend-2") {
					second++
				}
			}
			if second == 0 {
				t.Error("no request was under way to the second endpoint")
			}
		}
	})
	for range 20 {
		if answer, err := s.get(); err != nil || strings.Contains(answer, "e2e-backend-2") {
			t.Errorf("an endpoint that is gone still gets requests: %q, %v", answer, err)
		}
	}
}

// A connection continues while the Envoy that has it is replaced, and the Envoy ends soon after
// the connection does.
func (s *site) testConnectionStays(t *testing.T) {
	conn, err := net.DialTimeout("tcp", strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/"), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	ask := func() {
		t.Helper()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: shop\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(body), "e2e-backend") {
			t.Fatalf("%s, %v", body, err)
		}
	}
	ask()
	// Those of the test before have no connection left.
	s.oneEnvoy(t, time.Minute)
	ask()
	s.replaceEnvoys(t)
	for range 10 {
		ask()
		time.Sleep(time.Second)
	}
	if during := s.envoys(t); len(during) != 2 {
		t.Errorf("the pods are %v: the former one does not wait for the connection", during)
	}
	conn.Close()
	begin := time.Now()
	s.oneEnvoy(t, time.Minute)
	t.Logf("the former Envoy ended %s after its last connection", time.Since(begin))
}

// Without an endpoint a visitor is told at once, and served as soon as there is one again.
func (s *site) testLastEndpoint(t *testing.T) {
	endpoint := s.run(t, "get", "-n", s.namespace, "remoteendpoints.epic.acnodal.io", "backend", "--output=jsonpath={.spec}")
	s.run(t, "delete", "-n", s.namespace, "remoteendpoints.epic.acnodal.io", "backend")
	eventually(t, 20*time.Second, func() string {
		begin := time.Now()
		answer, err := s.get()
		if err == nil {
			return "it is still served: " + answer
		}
		if took := time.Since(begin); took > time.Second {
			return fmt.Sprintf("a visitor waits for %s: %v", took, err)
		}
		return ""
	})
	s.with(t, fmt.Sprintf(`{"apiVersion": "epic.acnodal.io/v1", "kind": "RemoteEndpoint",
"metadata": {"namespace": %q, "name": "backend", "labels": {"epic.acnodal.io/owning-loadbalancer": "shop"}}, "spec": %s}`, s.namespace, endpoint), "apply", "-f", "-")
	eventually(t, time.Minute, func() string {
		if _, err := s.get(); err != nil {
			return err.Error()
		}
		return ""
	})
}

// A group's image that does not exist stops no Envoy that runs, and the condition names
// it.
func (s *site) testNoImage(t *testing.T) {
	group := "lbservicegroups.epic.acnodal.io/web"
	s.under(t, func() {
		s.run(t, "patch", "-n", s.namespace, group, "--type=merge", "-p", `{"spec":{"envoy-image":"example.invalid/envoy:none"}}`)
		eventually(t, 2*time.Minute, func() string {
			message := s.run(t, "get", "-n", s.namespace, shopLB, `--output=jsonpath={.status.conditions[?(@.type=="Programmed")].message}`)
			if !strings.Contains(message, "example.invalid/envoy:none") {
				return "the condition says " + message
			}
			return ""
		})
	})
	s.run(t, "patch", "-n", s.namespace, group, "--type=merge", "-p", `{"spec":{"envoy-image":null}}`)
	s.run(t, "rollout", "status", "-n", s.namespace, "--timeout=5m", "deployment/lb-shop")
}

// explainEnvoy shows what went wrong.
func (s *site) explainEnvoy(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{
		{"get", "pods", "-A", "-o", "wide"},
		{"get", "lb", "-n", s.namespace, "-o", "yaml"},
		{"get", "events", "-n", s.namespace},
		{"describe", "pods", "-n", s.namespace},
		{"logs", "-n", "epic-system", "-l", "app.kubernetes.io/name=epic-operator", "--tail=60"},
		{"logs", "-n", s.namespace, "deployment/lb-shop", "--all-containers", "--tail=60"},
	} {
		out, err := s.try("", args...)
		t.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
