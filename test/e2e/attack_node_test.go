// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
)

// clientNodeAttempts are those of a client node, which has the role
// epic-node-client in its account's namespace and the address 192.168.1.16.
func clientNodeAttempts() []attempt {
	const denied = http.StatusForbidden
	var out []attempt
	for _, object := range []string{"loadbalancers/plain", "remoteendpoints/endpoint", "gwproxies/proxy", "gwroutes/route", "gwendpointslices/slice", "accounts/ACCOUNT"} {
		out = append(out,
			attempt{goal: "a label on " + object, method: http.MethodPatch, path: "OWN/" + object, form: "merge", body: `{"metadata":{"labels":{"a":"b"}}}`, code: denied},
			attempt{goal: "the status of " + object, method: http.MethodPatch, path: "OWN/" + object + "/status", form: "merge", body: `{"status":{"conditions":[]}}`, code: denied},
			attempt{goal: "the end of " + object, method: http.MethodDelete, path: "OWN/" + object, code: denied},
		)
	}
	return append(out,
		// Its own tunnels' keys are the ones of its address, and no others.
		attempt{goal: "keys of tunnels that end elsewhere", method: http.MethodGet, path: "OWN/loadbalancers/elsewhere/tunnelkeys", code: http.StatusOK, says: `"tunnels":\[\]`},
		attempt{goal: "the victim's keys", method: http.MethodGet, path: "VICTIM/loadbalancers/busy/tunnelkeys", code: denied},
		attempt{goal: "the victim's proxy's keys", method: http.MethodGet, path: "VICTIM/gwproxies/proxy/tunnelkeys", code: denied},
		attempt{goal: "the victim's endpoints", method: http.MethodGet, path: "VICTIM/remoteendpoints", code: denied},
		attempt{goal: "all load balancers with its address", method: http.MethodGet, path: "ALL/loadbalancers?fieldSelector=status.tenant-node%3D192.168.1.16", code: denied},
		attempt{goal: "the platform's settings", method: http.MethodGet, path: "EPIC/epics/epic", code: denied},
		attempt{goal: "an entry among the gateway nodes", method: http.MethodPatch, path: "EPIC/epics/epic/status", form: "merge", body: `{"status":{"nodes":{"192.168.1.16":{"name":"evil"}}}}`, code: denied},
		attempt{goal: "what gateway nodes report", method: http.MethodGet, path: "EPIC/gatewaynodes", code: denied},
		attempt{goal: "a report of a gateway node", method: http.MethodPost, path: "EPIC/gatewaynodes", body: create("GatewayNode", "192.168.1.16", `"spec":{}`), code: denied},
		attempt{goal: "a place for its proxy", method: http.MethodPatch, path: plain + "/status", form: "merge", body: `{"status":{"proxy-if-info":{"evil":{"epic-node-address":"192.168.1.16","index":7,"name":"veth7"}}}}`, code: denied},
		attempt{goal: "a new endpoint", method: http.MethodPost, path: "OWN/remoteendpoints", body: create("RemoteEndpoint", "evil", `"spec":{}`), code: denied},
	)
}

// gatewayNodeAttempts are those of a gateway node that was broken into. Its
// address is NODE; the victim's load balancer busy has an entry of another.
func gatewayNodeAttempts() []attempt {
	const denied = http.StatusForbidden
	entry := func(pod, address string) string {
		return fmt.Sprintf(`{"status":{"proxy-if-info":{%q:{"epic-node-address":%q,"index":7,"name":"veth7"}}}}`, pod, address)
	}
	status := func(goal, object, form, body string) attempt {
		return attempt{goal: goal, method: http.MethodPatch, path: object + "/status", form: form, body: body, code: denied}
	}
	ignored := func(goal, object, body string) attempt {
		return attempt{goal: goal, method: http.MethodPatch, path: object + "/status", form: "merge", body: body, code: http.StatusOK}
	}
	out := []attempt{
		// Proxies that do not run on it.
		status("an entry for a pod that does not exist", "VICTIM/loadbalancers/busy", "merge", entry("a-no-such-pod", "NODE")),
		status("an entry for a gateway proxy's pod that does not exist", "VICTIM/gwproxies/proxy", "merge", entry("a-no-such-pod", "NODE")),
		status("an entry for a pod of another node", "VICTIM/loadbalancers/busy", "merge", entry("elsewhere", "NODE")),
		status("an entry for a pod that is no proxy", "VICTIM/loadbalancers/busy", "merge", entry("bystander", "NODE")),
		status("an entry for another proxy's pod", "VICTIM/gwproxies/proxy", "merge", entry("local", "NODE")),
		status("an entry with another node's address", "VICTIM/loadbalancers/busy", "merge", entry("elsewhere", "192.168.1.40")),
		status("an entry without an address", "VICTIM/loadbalancers/busy", "merge", entry("local", "")),
		status("an entry by JSON patch", "VICTIM/loadbalancers/busy", "json", `[{"op":"add","path":"/status/proxy-if-info","value":{"ghost":{"epic-node-address":"NODE","index":7,"name":"veth7"}}}]`),
		{goal: "an entry by apply", method: http.MethodPatch, path: "VICTIM/loadbalancers/busy/status?fieldManager=evil&force=true", form: "apply", code: denied,
			body: create("LoadBalancer", "busy", `"status":{"proxy-if-info":{"ghost":{"epic-node-address":"NODE","index":7,"name":"veth7"}}}`)},
		// What others report.
		// A null or absent field keeps the existing value.
		ignored("the tunnels of a load balancer", "VICTIM/loadbalancers/busy", `{"status":{"gue-tunnel-endpoints":null}}`),
		ignored("a quota slot", "VICTIM/loadbalancers/busy", `{"status":{"quota-place":999}}`),
		ignored("the end of another node", "EPIC/epics/epic", `{"status":{"nodes":{"192.168.1.40":null}}}`),
		status("a tunnel to itself", "VICTIM/loadbalancers/busy", "merge", `{"status":{"gue-tunnel-endpoints":{"192.168.1.16":{"epic-endpoints":{"NODE":{"epic-address":"NODE"}}}}}}`),
		status("a condition", "VICTIM/loadbalancers/busy", "merge", `{"status":{"conditions":[{"type":"Ready","status":"False","reason":"Evil","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`),
		status("another node's heartbeat", "EPIC/epics/epic", "merge", `{"status":{"nodes":{"192.168.1.40":{"name":"evil"}}}}`),
		status("another node's report", "EPIC/gatewaynodes/192.168.1.40", "merge", `{"status":{"tunnel-states":{"down":"Af7///8H"}}}`),
		{goal: "another node's report by apply", method: http.MethodPatch, path: "EPIC/gatewaynodes/192.168.1.40/status?fieldManager=evil&force=true", form: "apply", code: denied,
			body: create("GatewayNode", "192.168.1.40", `"status":{"tunnels":0}`)},
		{goal: "the report of a node that there is not", method: http.MethodPost, path: "EPIC/gatewaynodes", body: create("GatewayNode", "192.168.1.41", `"spec":{}`), code: denied},
		{goal: "the end of another node's report", method: http.MethodDelete, path: "EPIC/gatewaynodes/192.168.1.40", code: denied},
		{goal: "the end of all reports", method: http.MethodDelete, path: "EPIC/gatewaynodes", code: denied},
		{goal: "what other nodes report", method: http.MethodGet, path: "EPIC/gatewaynodes", code: denied},
		{goal: "a label on a report", method: http.MethodPatch, path: "EPIC/gatewaynodes/192.168.1.40", form: "merge", body: `{"metadata":{"labels":{"a":"b"}}}`, code: denied},
		// What is no node's to write.
		{goal: "the platform's settings", method: http.MethodPatch, path: "EPIC/epics/epic", form: "merge", body: `{"spec":{"envoy-image":"evil"}}`, code: denied},
		{goal: "a larger pool", method: http.MethodPatch, path: "EPIC/serviceprefixes/e2e", form: "merge", body: `{"spec":{}}`, code: denied},
		{goal: "a tenant's ports", method: http.MethodPatch, path: "VICTIM/loadbalancers/busy", form: "merge", body: `{"spec":{"public-ports":[]}}`, code: denied},
		{goal: "the end of a tenant", method: http.MethodDelete, path: "VICTIM/loadbalancers", code: denied},
		{goal: "an endpoint of its own", method: http.MethodPost, path: "VICTIM/remoteendpoints", body: create("RemoteEndpoint", "evil", `"spec":{}`), code: denied},
		{goal: "another backend", method: http.MethodPatch, path: "VICTIM/gwroutes/route", form: "merge", body: `{"spec":{"http":null}}`, code: denied},
		{goal: "another slice", method: http.MethodPatch, path: "VICTIM/gwendpointslices/slice", form: "merge", body: `{"spec":{"endpoints":[]}}`, code: denied},
		{goal: "the state of a route", method: http.MethodPatch, path: "VICTIM/gwroutes/route/status", form: "merge", body: `{"status":{}}`, code: denied},
		{goal: "the state of a slice", method: http.MethodPatch, path: "VICTIM/gwendpointslices/slice/status", form: "merge", body: `{"status":{}}`, code: denied},
		{goal: "the state of an endpoint", method: http.MethodPatch, path: "VICTIM/remoteendpoints/endpoint/status", form: "merge", body: `{"status":{}}`, code: denied},
		{goal: "a group", method: http.MethodPatch, path: "VICTIM/lbservicegroups/web", form: "merge", body: `{"spec":{}}`, code: denied},
		{goal: "the audit", method: http.MethodGet, path: "EPIC/epics/epic/audit", code: denied},
		// Keys.
		{goal: "keys of tunnels that end elsewhere", method: http.MethodGet, path: "VICTIM/loadbalancers/busy/tunnelkeys", code: http.StatusOK, says: `"tunnels":\[\]`},
		{goal: "keys of a proxy that runs elsewhere", method: http.MethodGet, path: "VICTIM/gwproxies/proxy/tunnelkeys", code: http.StatusOK, says: `"tunnels":\[\]`},
	}
	return out
}
