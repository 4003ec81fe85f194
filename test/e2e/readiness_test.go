// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"
	"time"
)

// condition is the status and the reason of a condition of an object.
func (s *site) condition(t *testing.T, object, name string) string {
	t.Helper()
	return s.run(t, "get", "-n", s.namespace, object, fmt.Sprintf(`--output=jsonpath={.status.conditions[?(@.type==%q)].status}/{.status.conditions[?(@.type==%q)].reason}`, name, name))
}

// becomes waits for a condition.
func (s *site) becomes(t *testing.T, object, name, want string) {
	t.Helper()
	eventually(t, 2*time.Minute, func() string {
		if got := s.condition(t, object, name); got != want {
			return fmt.Sprintf("%s of %s is %s, want %s", name, object, got, want)
		}
		return ""
	})
}

// The tenant sees which endpoints have a tunnel that works: one whose node does not
// exist is not ready, and one whose node program stops is no longer ready.
func (s *site) testReadiness(t *testing.T) {
	const endpoint, nowhere, balancer = "remoteendpoints.epic.acnodal.io/backend", "remoteendpoints.epic.acnodal.io/nowhere", "loadbalancers.epic.acnodal.io/shop"
	gateway := s.internalIP(t, s.gateway)
	s.becomes(t, endpoint, "TunnelReady", "True/Up")
	s.becomes(t, balancer, "TunnelsUp", "True/Up")
	wants(t, "the gateway nodes", s.run(t, "get", "-n", "epic", "gatewaynodes.epic.acnodal.io"), gateway, s.gateway, "HEARTBEAT")
	if got := s.run(t, "get", "-n", "epic", "epics.epic.acnodal.io", "epic", "--output=jsonpath={.status.gateway-nodes} {.status.nodes}"); got != "1" {
		t.Errorf("The EPIC object counts %q nodes", got)
	}

	s.with(t, fmt.Sprintf(`
apiVersion: epic.acnodal.io/v1
kind: RemoteEndpoint
metadata:
  namespace: %s
  name: nowhere
  labels: {epic.acnodal.io/owning-loadbalancer: shop}
spec: {cluster: e2e, address: 10.250.0.7, node-address: 192.0.2.77, port: {port: 8080, protocol: TCP}}
`, s.namespace), "apply", "-f", "-")
	s.becomes(t, nowhere, "Ready", "False/AllTunnelsDown")
	s.becomes(t, balancer, "TunnelsUp", "False/SomeTunnelsDown")
	s.becomes(t, balancer, "Ready", "True/Ready")
	wants(t, "the endpoints", s.run(t, "get", "-n", s.namespace, "remoteendpoints.epic.acnodal.io", "nowhere"), "False")
	out, _ := s.epicctl(t, "admin", "--as-group=system:masters", "status")
	wants(t, "epicctl status", out, "node "+gateway, "1 of 2 tunnels up; down:", "to client node 192.0.2.77")
	s.run(t, "delete", "-n", s.namespace, nowhere)
	s.becomes(t, balancer, "TunnelsUp", "True/Up")

	// No node has this label.
	s.run(t, "patch", "-n", "epic-client", "daemonset", "epic-node-client", "--type=merge", "-p", `{"spec":{"template":{"spec":{"nodeSelector":{"epic-e2e/nowhere":"true"}}}}}`)
	s.becomes(t, endpoint, "TunnelReady", "False/AllTunnelsDown")
	s.becomes(t, balancer, "Ready", "False/AllTunnelsDown")
	s.run(t, "patch", "-n", "epic-client", "daemonset", "epic-node-client", "--type=merge", "-p", `{"spec":{"template":{"spec":{"nodeSelector":{"epic-e2e/nowhere":null}}}}}`)
	s.run(t, "rollout", "status", "-n", "epic-client", "daemonset/epic-node-client", "--timeout=2m")
	s.becomes(t, endpoint, "TunnelReady", "True/Up")
	s.becomes(t, balancer, "Ready", "True/Ready")

	// Somebody deletes the node's object, and the node creates it again.
	s.run(t, "delete", "-n", "epic", "gatewaynodes.epic.acnodal.io", "--all")
	eventually(t, 2*time.Minute, func() string {
		if got := s.run(t, "get", "-n", "epic", "gatewaynodes.epic.acnodal.io", "--output=jsonpath={.items[*].status.tunnels-up}"); got != "1" {
			return "tunnels-up: " + got
		}
		return ""
	})
}
