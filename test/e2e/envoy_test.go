// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
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
	t.Run("an operator is killed", s.testOperatorKilled)
	t.Run("Envoys are replaced", s.testEnvoysReplaced)
	t.Run("endpoints come and go", s.testEndpointsChange)
	t.Run("an image that does not exist", s.testNoImage)
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

// route stands for a routing daemon and the network's routers.
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
	wants(t, "kubectl get lb", s.run(t, "get", "-n", s.namespace, shopLB), "1/1", "True")
	wants(t, "the listeners", s.run(t, "get", "-n", s.namespace, shopLB, "--output=jsonpath={.status.envoy.listeners}"), `"port":8888`, `"programmedReplicas":1`)
}

// clients is how many requests are under way at a time.
const clients = 4

// load asks all the time until stop is called, which returns what failed.
func (s *site) load(t *testing.T) (stop func() (asked int64, failed []string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var asked atomic.Int64
	var mu sync.Mutex
	var failed []string
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for ctx.Err() == nil {
				begin := time.Now()
				_, err := s.get()
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
	s.underCutting(t, 0, do)
}

// underCutting is like under, but so many requests may fail.
func (s *site) underCutting(t *testing.T, allowed int, do func()) {
	t.Helper()
	stop := s.load(t)
	do()
	time.Sleep(2 * time.Second)
	asked, failed := stop()
	t.Logf("%d requests, %d failed", asked, len(failed))
	if len(failed) > allowed || asked < 100 {
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
	s.under(t, func() {
		s.run(t, "rollout", "restart", "-n", s.namespace, "deployment/lb-shop")
		s.run(t, "rollout", "status", "-n", s.namespace, "--timeout=5m", "deployment/lb-shop")
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
	// Nodes drop an endpoint's packets as soon as it is removed, and with them the
	// requests that are under way to it.
	const rounds = 3
	s.underCutting(t, rounds*clients, func() {
		for range rounds {
			s.with(t, second, "apply", "-f", "-")
			eventually(t, time.Minute, func() string {
				if answer, _ := s.get(); !strings.Contains(answer, "e2e-backend-2") {
					return "the second endpoint gets no request"
				}
				return ""
			})
			s.run(t, "delete", "-n", s.namespace, "remoteendpoints.epic.acnodal.io", "backend-2")
		}
	})
	for range 20 {
		if answer, err := s.get(); err != nil || strings.Contains(answer, "e2e-backend-2") {
			t.Errorf("an endpoint that is gone still gets requests: %q, %v", answer, err)
		}
	}
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
