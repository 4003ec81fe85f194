// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strings"
	"testing"

	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
)

// tenants is two accounts with a group each, one group for all, and a pool.
const tenants = `
apiVersion: epic.acnodal.io/v1
kind: EPIC
metadata: {namespace: epic, name: epic}
---
apiVersion: epic.acnodal.io/v1
kind: ServicePrefix
metadata: {namespace: epic, name: pool}
spec: {public-pool: {pool: 192.0.2.8-192.0.2.15, subnet: 192.0.2.0/24, aggregation: /32}}
---
apiVersion: epic.acnodal.io/v1
kind: Account
metadata: {namespace: epic-one, name: one}
---
apiVersion: epic.acnodal.io/v1
kind: Account
metadata: {namespace: epic-two, name: two}
---
apiVersion: epic.acnodal.io/v1
kind: LBServiceGroup
metadata: {namespace: epic-one, name: own-one, labels: {epic.acnodal.io/owning-serviceprefix: pool}}
---
apiVersion: epic.acnodal.io/v1
kind: LBServiceGroup
metadata: {namespace: epic-two, name: own-two, labels: {epic.acnodal.io/owning-serviceprefix: pool}}
---
apiVersion: epic.acnodal.io/v1
kind: LBServiceGroup
metadata: {namespace: epic, name: offered, labels: {epic.acnodal.io/owning-serviceprefix: pool}}
---
apiVersion: epic.acnodal.io/v1
kind: LoadBalancer
metadata: {namespace: epic-one, name: first}
spec: {service-group: offered, public-address: 192.0.2.9, upstream-clusters: [c1], public-ports: [{port: 80}]}
---
apiVersion: epic.acnodal.io/v1
kind: RemoteEndpoint
metadata: {namespace: epic-one, name: pod1, labels: {epic.acnodal.io/owning-loadbalancer: first}}
spec: {cluster: c1, address: 10.1.1.1, node-address: 10.0.0.1, port: {port: 8080}}
`

// object writes a manifest in one line.
func object(kind, namespace, name, rest string) string {
	return fmt.Sprintf("{apiVersion: epic.acnodal.io/v1, kind: %s, metadata: {namespace: %s, name: %s}, %s}", kind, namespace, name, rest)
}

func labeled(kind, namespace, name, label, value, rest string) string {
	return fmt.Sprintf("{apiVersion: epic.acnodal.io/v1, kind: %s, metadata: {namespace: %s, name: %s, labels: {epic.acnodal.io/%s: %s}}, %s}", kind, namespace, name, label, value, rest)
}

func prefix(name, pool string) string {
	return object("ServicePrefix", "epic", name, "spec: {public-pool: {"+pool+", aggregation: default}}")
}

// TestBadInput creates invalid objects, and checks that the error names the field and
// the fix, and that nothing is stored.
func TestBadInput(t *testing.T) {
	server := testserver.StartTestServer(t)
	k := newKubectl(t, server.Kubeconfig)
	k.apply(t, tenants, "apply", "-f", "-")
	before := audit(t, k)

	lb := func(name, rest string) string { return object("LoadBalancer", "epic-one", name, "spec: {"+rest+"}") }
	for _, test := range []struct {
		name, manifest string
		wants          []string
	}{
		{"a second EPIC", object("EPIC", "epic", "other", "spec: {}"), []string{"metadata.name", "epic"}},
		{"an EPIC elsewhere", object("EPIC", "epic-one", "epic", "spec: {}"), []string{"metadata.namespace", "epic"}},
		{"an account in a wrong namespace", object("Account", "epic-one", "three", "spec: {}"), []string{"metadata.name", "one"}},
		{"an account outside the accounts' namespaces", object("Account", "default", "default", "spec: {}"), []string{"metadata.namespace", "epic-"}},
		{"a group without a prefix", object("LBServiceGroup", "epic-one", "g", "spec: {}"), []string{"owning-serviceprefix", "error getting owning SP"}},
		{"a group with a prefix that isn't there", labeled("LBServiceGroup", "epic-one", "g", "owning-serviceprefix", "nope", "spec: {}"), []string{"owning-serviceprefix", "error getting owning SP", "create it first"}},
		{"a group without an account", labeled("LBServiceGroup", "epic-nobody", "g", "owning-serviceprefix", "pool", "spec: {}"), []string{"error getting owning Account", "create Account nobody"}},
		{"a group with a template that does not parse", labeled("LBServiceGroup", "epic-one", "g", "owning-serviceprefix", "pool", `spec: {endpoint-template: {dnsName: "{{.LBName"}}`), []string{"spec.endpoint-template.dnsName"}},
		{"a group with a template that calls functions", labeled("LBServiceGroup", "epic-one", "g", "owning-serviceprefix", "pool", `spec: {endpoint-template: {dnsName: "{{printf \"%999999999d\" 1}}"}}`), []string{"spec.endpoint-template.dnsName"}},
		{"a group with an Envoy template that does not parse", labeled("LBServiceGroup", "epic-one", "g", "owning-serviceprefix", "pool", `spec: {envoy-template: {nodeID: x, envoyResources: {clusters: [{name: c, value: "{{if"}]}}}`), []string{"spec.envoy-template"}},
		{"a load balancer without a group", lb("x", "public-ports: [{port: 80}]"), []string{"spec.service-group"}},
		{"a load balancer whose group is nowhere", lb("x", "service-group: nope, public-ports: [{port: 80}]"), []string{"spec.service-group", "epic-one", "create the LBServiceGroup first"}},
		{"a load balancer in another tenant's group", lb("x", "service-group: own-two, public-ports: [{port: 80}]"), []string{"spec.service-group", "create the LBServiceGroup first"}},
		{"a load balancer without an account", object("LoadBalancer", "epic-nobody", "x", "spec: {service-group: offered}"), []string{"metadata.namespace", "create Account nobody"}},
		{"a load balancer outside the accounts' namespaces", object("LoadBalancer", "default", "x", "spec: {service-group: offered}"), []string{"metadata.namespace"}},
		{"a pool that is no pool", prefix("p", "pool: many, subnet: 198.51.100.0/24"), []string{"spec.public-pool.pool", "not a CIDR (192.0.2.0/24) or a range"}},
		{"a pool outside its subnet", prefix("p", "pool: 203.0.113.0/28, subnet: 198.51.100.0/24"), []string{"spec.public-pool.pool", "subnet"}},
		{"a pool that overlaps another", prefix("p", "pool: 192.0.2.15-192.0.2.20, subnet: 192.0.2.0/24"), []string{"spec.public-pool.pool", "overlaps", "pool"}},
		{"a prefix in a tenant's namespace", object("ServicePrefix", "epic-one", "p", "spec: {}"), []string{"metadata.namespace"}},
		{"an address that is none", lb("x", "service-group: offered, public-address: nowhere"), []string{"spec.public-address"}},
		{"an address outside the pool", lb("x", "service-group: offered, public-address: 192.0.2.77"), []string{"spec.public-address", "192.0.2.8-192.0.2.15"}},
		{"an address in use", lb("x", "service-group: offered, public-address: 192.0.2.9"), []string{"spec.public-address", "in use"}},
		{"another tenant's address", object("LoadBalancer", "epic-two", "x", "spec: {service-group: own-two, public-address: 192.0.2.9}"), []string{"spec.public-address", "in use"}},
		{"an owner label of the client's choice", labeled("LoadBalancer", "epic-one", "x", "owning-account", "two", "spec: {service-group: offered}"), []string{"owning-account", "leave it out"}},
		{"two different groups", labeled("LoadBalancer", "epic-one", "x", "owning-lbservicegroup", "own-one", "spec: {service-group: offered}"), []string{"spec.service-group"}},
		{"a protocol with shell text in it", lb("x", `service-group: offered, public-ports: [{port: 80, protocol: "TCP; reboot"}]`), []string{"spec.public-ports[0].protocol", "TCP", "UDP"}},
		{"5,000 replicas", lb("x", "service-group: offered, envoy-replica-count: 5000"), []string{"spec.envoy-replica-count", "100"}},
		{"a name too long for a Service", lb(strings.Repeat("x", 64), "service-group: offered"), []string{"metadata.name", "63"}},
		{"a name that is no DNS label", lb("a.b", "service-group: offered"), []string{"metadata.name"}},
		{"a route that refers to nothing", object("GWRoute", "epic-one", "r", "spec: {}"), []string{"spec"}},
		{"a route without parents", object("GWRoute", "epic-one", "r", "spec: {http: {rules: [{}]}}"), []string{"spec.http.parentRefs"}},
		{"an endpoint without a load balancer", object("RemoteEndpoint", "epic-one", "e", "spec: {cluster: c1, address: 10.1.1.2, port: {port: 80}}"), []string{"owning-loadbalancer"}},
		{"an endpoint of another tenant's load balancer", labeled("RemoteEndpoint", "epic-two", "e", "owning-loadbalancer", "first", "spec: {cluster: c1, address: 10.1.1.2, port: {port: 80}}"), []string{"owning-loadbalancer"}},
		{"an endpoint of a cluster that is not listed", labeled("RemoteEndpoint", "epic-one", "e", "owning-loadbalancer", "first", "spec: {cluster: c9, address: 10.1.1.2, port: {port: 80}}"), []string{"spec.cluster", "has no cluster c9", "upstream-clusters"}},
		{"an endpoint twice", labeled("RemoteEndpoint", "epic-one", "e", "owning-loadbalancer", "first", "spec: {cluster: c1, address: 10.1.1.1, port: {port: 8080}}"), []string{"spec.address", "duplicate endpoint: pod1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			wants(t, "the answer", k.refused(t, test.manifest, "create", "-f", "-"), test.wants...)
			wants(t, "the answer to a dry run", k.refused(t, test.manifest, "create", "--dry-run=server", "-f", "-"), test.wants...)
			if after := audit(t, k); !after.Clean || after.Objects != before.Objects || after.Claims != before.Claims {
				t.Errorf("something stayed behind: %+v before, %+v after", before, after)
			}
		})
	}
	for _, test := range []struct {
		name  string
		args  []string
		wants []string
	}{
		{"the system in use", []string{"-n", "epic", "epics.epic.acnodal.io", "epic"}, []string{"others depend on it"}},
		{"a prefix in use", []string{"-n", "epic", "serviceprefix", "pool"}, []string{"others depend on it"}},
		{"an account in use", []string{"-n", "epic-two", "account", "two"}, []string{"others depend on it", "own-two"}},
		{"a group in use", []string{"-n", "epic", "lbsg", "offered"}, []string{"others depend on it", "first"}},
		{"a load balancer with clusters", []string{"-n", "epic-one", "lb", "first"}, []string{"kubectl patch loadbalancers.epic.acnodal.io --namespace epic-one first", "has upstream clusters, can't delete"}},
	} {
		t.Run("deletion of "+test.name, func(t *testing.T) {
			wants(t, "the answer", k.refused(t, "", append([]string{"delete"}, test.args...)...), test.wants...)
			wants(t, "the answer to a dry run", k.refused(t, "", append([]string{"delete", "--dry-run=server"}, test.args...)...), test.wants...)
		})
	}
	for _, test := range []struct {
		name  string
		args  []string
		patch string
		wants []string
	}{
		{"a tunnel ID of the client's choice", []string{"-n", "epic-one", "lb", "first", "--subresource=status"}, `{"status":{"gue-tunnel-endpoints":{"10.0.0.1":{"epic-address":"192.168.1.40","tunnel-id":77}}}}`, []string{"tunnel-id", "server"}},
		{"a tunnel to nowhere", []string{"-n", "epic-one", "lb", "first", "--subresource=status"}, `{"status":{"gue-tunnel-endpoints":{"nowhere":{"epic-address":"192.168.1.40"}}}}`, []string{"status.gue-tunnel-endpoints"}},
		{"1,025 tunnels", []string{"-n", "epic-one", "lb", "first", "--subresource=status"}, manyTunnels(1025), []string{"status.gue-tunnel-endpoints", "1024"}},
		{"another address", []string{"-n", "epic-one", "lb", "first"}, `{"spec":{"public-address":"192.0.2.10"}}`, []string{"spec.public-address"}},
		{"another group", []string{"-n", "epic-one", "lb", "first"}, `{"spec":{"service-group":"own-one"}}`, []string{"service-group"}},
		{"another account", []string{"-n", "epic-one", "lb", "first"}, `{"metadata":{"labels":{"epic.acnodal.io/owning-account":"two"}}}`, []string{"owning-account"}},
		{"another service ID", []string{"-n", "epic-one", "lb", "first"}, `{"spec":{"service-id":99}}`, []string{"spec.service-id"}},
		{"another DNS name", []string{"-n", "epic-one", "lb", "first"}, `{"spec":{"endpoints":[{"dnsName":"www.example.com","targets":["192.0.2.9"]}]}}`, []string{"spec.endpoints"}},
		{"a pool that leaves an address in use out", []string{"-n", "epic", "serviceprefix", "pool"}, `{"spec":{"public-pool":{"pool":"192.0.2.10-192.0.2.15"}}}`, []string{"spec.public-pool.pool", "192.0.2.9"}},
		{"another group ID", []string{"-n", "epic-one", "account", "one"}, `{"spec":{"group-id":99}}`, []string{"spec.group-id"}},
		{"a stale version", []string{"-n", "epic-one", "lb", "first"}, `{"metadata":{"resourceVersion":"1"},"spec":{"display-name":"x"}}`, []string{"modified"}},
		{"an object of 2 MiB", []string{"-n", "epic-one", "lb", "first"}, `{"metadata":{"annotations":{"big":"` + strings.Repeat("x", 2<<20) + `"}}}`, []string{""}},
	} {
		t.Run("change to "+test.name, func(t *testing.T) {
			file := t.TempDir() + "/patch"
			writeFile(t, file, test.patch)
			args := append([]string{"patch", "--type=merge", "--patch-file", file}, test.args...)
			wants(t, "the answer", k.refused(t, "", args...), test.wants...)
			if after := audit(t, k); !after.Clean || after.Objects != before.Objects || after.Claims != before.Claims {
				t.Errorf("something stayed behind: %+v before, %+v after", before, after)
			}
		})
	}
	t.Run("a pool of 2^64 addresses costs nothing", func(t *testing.T) {
		k.apply(t, prefix("v6", `pool: "2001:db8:1::/64", subnet: "2001:db8:1::/64"`), "create", "-f", "-")
		k.apply(t, labeled("LBServiceGroup", "epic-one", "six", "owning-serviceprefix", "v6", "spec: {}"), "create", "-f", "-")
		k.apply(t, lb("six", "service-group: six"), "create", "-f", "-")
		wants(t, "the load balancer", k.run(t, "get", "-n", "epic-one", "lb", "six", "-o", "yaml"), "public-address: 2001:db8:1::1", "recordType: AAAA")
	})
	t.Run("a slice without node names and ports is legal", func(t *testing.T) {
		k.apply(t, object("GWEndpointSlice", "epic-one", "s", "spec: {addressType: IPv4, nodeAddresses: {}, endpoints: [{addresses: [10.1.1.1]}]}"), "create", "-f", "-")
		k.run(t, "get", "-n", "epic-one", "gwes", "-o", "wide")
	})
	cleanAudit(t, k)
}

// manyTunnels is a patch that adds n tunnels.
func manyTunnels(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"10.%d.%d.%d":{"epic-address":"192.168.1.40"}`, 1+i/62500, i/250%250, 1+i%250)
	}
	return `{"status":{"gue-tunnel-endpoints":{` + b.String()[1:] + `}}}`
}
