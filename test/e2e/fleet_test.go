// SPDX-License-Identifier: Apache-2.0

//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// fleet is several gateway nodes behind a router, and two tenants with a node each.
type fleet struct {
	*cluster

	router   *router
	services []*service
	// gateways are the gateway nodes that are up.
	gateways []string
	// joined are the addresses of all nodes that joined the cluster and are in it.
	joined map[string]string
}

// newFleet installs everything, with one Envoy per tenant.
func newFleet(t *testing.T, c *cluster, gateways ...string) *fleet {
	t.Helper()
	nodes := strings.Fields(c.run(t, "get", "nodes", "--output=jsonpath={.items[*].metadata.name}"))
	if len(nodes) < 2 {
		t.Skip("the cluster has one node")
	}
	f := &fleet{cluster: c, joined: map[string]string{}}
	f.router = newRouter(t)
	c.webImage(t)
	before := f.traces(t)
	t.Cleanup(func() {
		for node := range f.joined {
			f.leave(t, node)
		}
		if after := f.traces(t); after != before {
			t.Errorf("of the nodes that joined, something is left. Before:\n%s\nAfter:\n%s", before, after)
		}
	})
	for _, node := range gateways {
		f.join(t, node)
	}
	f.gateways = gateways
	if err := c.documented("Gateway nodes", "GATEWAYS="+strings.Join(gateways, " ")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.removeGateways(t) })

	c.platform(t)
	c.with(t, `
apiVersion: epic.acnodal.io/v1
kind: ServicePrefix
metadata: {namespace: epic, name: gateways}
spec:
  public-pool: {pool: 10.201.0.2-10.201.255.250, subnet: 10.201.0.0/16, aggregation: /32}
`, "apply", "-f", "-")
	f.patchEPIC(t, fmt.Sprintf(`{"bgp":{"asn":%d,"peers":[{"name":"router","address":%q,"asn":%d,"bfd":{"transmit-milliseconds":%d,"receive-milliseconds":%[4]d,"detect-multiplier":%d}}]}}`,
		gatewaysASN, routerAddress, routerASN, bfdMilliseconds, bfdMultiply))
	t.Cleanup(func() { f.patchEPIC(t, "null") })

	sites := []*site{f.tenant(t, "north", nodes[0]), f.tenant(t, "south", nodes[1])}
	sites[0].operator(t)
	for _, s := range sites {
		server := strings.TrimPrefix(s.namespace, "epic-") + "-server"
		s.publish(t, server)
		t.Cleanup(func() {
			// A load balancer with clusters can't be deleted.
			s.run(t, "patch", "-n", s.namespace, shopLB, "--type=merge", "-p", `{"spec":{"upstream-clusters":null}}`)
			s.run(t, "delete", "-n", s.namespace, shopLB)
		})
		f.services = append(f.services, &service{site: s, server: server})
	}
	for _, s := range f.services {
		s.run(t, "wait", "--for=condition=Ready", "--timeout=3m", "-n", s.namespace, shopLB)
	}
	t.Cleanup(func() {
		if t.Failed() {
			f.explain(t, sites[0])
		}
	})
	return f
}

func (f *fleet) patchEPIC(t *testing.T, base string) {
	t.Helper()
	f.run(t, "patch", "epics.epic.acnodal.io", "epic", "-n", "epic", "--type=merge", "-p", `{"spec":{"base":`+base+`}}`)
}

// join adds a node to the cluster and a session with it to the router.
func (f *fleet) join(t *testing.T, node string) {
	t.Helper()
	clusterScript(t, "join", node)
	f.joined[node] = f.internalIP(t, node)
	// EPIC's own programs, and etcd above all, stay where no node is lost.
	f.run(t, "taint", "node", node, "epic.acnodal.io/gateway=true:NoSchedule")
	f.router.addPeer(f.joined[node])
}

// leave removes a node.
func (f *fleet) leave(t *testing.T, node string) {
	t.Helper()
	clusterScript(t, "leave", node)
	delete(f.joined, node)
	f.gateways = slices.DeleteFunc(f.gateways, func(n string) bool { return n == node })
}

// traces are the things that hack/cluster.sh creates for nodes.
func (f *fleet) traces(t *testing.T) string {
	t.Helper()
	run := filepath.Dir(f.kubeconfig)
	var found []string
	for _, pattern := range []string{run + "/*", run + "/{nodes,pki,pid,command,log}/*", "/sys/fs/cgroup/{,*/}epic-node*", "/run/netns/epic-node*", "/sys/class/net/epic-node*"} {
		found = append(found, command(t, "bash", "-c", "shopt -s nullglob; printf '%s\n' "+pattern))
	}
	found = append(found, command(t, "ip", "route", "show", "dev", nodesBridge))
	for node := range strings.FieldsSeq(f.run(t, "get", "nodes", "--output=jsonpath={.items[*].metadata.name}")) {
		found = append(found, node, command(t, "ip", "-n", "epic-"+node, "route", "show", "dev", "eth0"))
	}
	return strings.Join(found, "\n")
}

func clusterScript(t *testing.T, args ...string) {
	t.Helper()
	if out, err := script("hack/cluster.sh", args...).CombinedOutput(); err != nil {
		t.Fatalf("hack/cluster.sh %v: %v\n%s", args, err, out)
	}
}

// removeGateways removes the node program from the gateway nodes as documented.
func (f *fleet) removeGateways(t *testing.T) {
	t.Helper()
	for node := range f.joined {
		if !slices.Contains(f.gateways, node) {
			// Nothing comes from a node that has crashed.
			f.leave(t, node)
		}
	}
	if err := f.documented("Remove gateway nodes"); err != nil {
		t.Error(err)
	}
}

// overlay writes a kustomization of a tenant's manifests, for one node and in a namespace of its
// own, because all tenants are in one cluster here.
func (f *fleet) overlay(t *testing.T, account, node, base, more string) string {
	t.Helper()
	dir := aside(t, ".epic/"+base+"-"+account)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: epic-client-%[1]s
nameSuffix: -%[1]s
resources: [../../artifacts/install/%[2]s]
patches:
- target: {kind: DaemonSet}
  patch: '[{"op": "add", "path": "/spec/template/spec/nodeSelector/kubernetes.io~1hostname", "value": "%[3]s"}]'
%[4]s`, account, base, node, more)
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tenant creates an account and installs the node program on the client node.
func (f *fleet) tenant(t *testing.T, account, node string) *site {
	t.Helper()
	s := &site{cluster: f.cluster, tenant: node, namespace: f.account(t, account)}
	// Each address is announced on its own.
	f.run(t, "delete", "lbservicegroups.epic.acnodal.io", "web", "-n", s.namespace)
	f.with(t, strings.Replace(serviceGroup(s.namespace), "owning-serviceprefix: e2e", "owning-serviceprefix: gateways", 1), "apply", "-f", "-")

	credentials := aside(t, ".epic/"+node+".kubeconfig")
	path := "PATH=" + filepath.Join(root, "bin") + ":" + os.Getenv("PATH")
	if err := f.documented("A tenant's credentials", "ACCOUNT="+account, "NODE="+node, "ADDRESS="+f.internalIP(t, node), path); err != nil {
		t.Fatal(err)
	}
	client := f.overlay(t, account, node, "node-client", `configMapGenerator:
- {name: epic-node-client, behavior: merge, literals: [ACCOUNT_NAMESPACE=`+s.namespace+`]}
`)
	uninstall := f.overlay(t, account, node, "node-client-uninstall", "")
	namespace, program := "epic-client-"+account, "daemonset/epic-node-client-"+account
	f.run(t, "create", "namespace", namespace)
	t.Cleanup(func() {
		f.run(t, "delete", "-n", namespace, program, "--cascade=foreground", "--ignore-not-found")
		f.run(t, "apply", "-k", uninstall)
		f.run(t, "rollout", "status", "-n", namespace, "--timeout=3m", "daemonset/epic-node-client-uninstall-"+account)
		f.run(t, "delete", "-k", uninstall)
		f.run(t, "delete", "-k", client, "--ignore-not-found")
	})
	f.run(t, "create", "secret", "generic", "-n", namespace, "epic-node-client", "--from-file="+node+"="+credentials)
	f.run(t, "apply", "-k", client)
	f.run(t, "rollout", "status", "-n", namespace, "--timeout=3m", program)
	return s
}

// program returns the pod of the node program on a gateway node.
func (f *fleet) program(t *testing.T, node string) string {
	t.Helper()
	return f.run(t, "get", "pods", "-n", "epic-node", "-l", "app.kubernetes.io/name=epic-node", "--field-selector=spec.nodeName="+node,
		"--output=jsonpath={.items[*].metadata.name}")
}

// received returns the number of packets that a gateway node has received through its
// tunnels.
func (f *fleet) received(t *testing.T, node string) (uint64, error) {
	t.Helper()
	out, err := f.try("", "exec", "-n", "epic-node", f.program(t, node), "--", "/epic-node", "status", "-o", "json")
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	var r tunnelReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	var sum uint64
	for _, tunnel := range r.Tunnels {
		sum += tunnel.Counters["ReceivedPackets"]
	}
	return sum, nil
}

// carries waits until requests go through a gateway node.
func (f *fleet) carries(t *testing.T, node string) {
	t.Helper()
	eventually(t, time.Minute, func() string {
		before, err := f.received(t, node)
		if err != nil {
			return err.Error()
		}
		time.Sleep(2 * time.Second)
		after, err := f.received(t, node)
		if err != nil {
			return err.Error()
		}
		if after < before+50 {
			return fmt.Sprintf("%d packets came through the tunnels of %s, and 2 s later %d", before, node, after)
		}
		return ""
	})
}

// paths waits until all addresses are announced by some nodes, and no others.
func (f *fleet) paths(t *testing.T, limit time.Duration, nodes ...string) {
	t.Helper()
	var want []string
	for _, node := range nodes {
		want = append(want, f.joined[node])
	}
	slices.Sort(want)
	eventually(t, limit, func() string {
		for _, s := range f.services {
			if got := f.router.paths(s.address); !slices.Equal(got, want) {
				return fmt.Sprintf("the paths of %s are %v, not %v", s.address, got, want)
			}
		}
		return ""
	})
}

// scale sets a different number of Envoys for each tenant.
func (f *fleet) scale(t *testing.T, count int) {
	t.Helper()
	for _, s := range f.services {
		f.run(t, "patch", shopLB, "-n", s.namespace, "--type=merge", "-p", fmt.Sprintf(`{"spec":{"envoy-replica-count":%d}}`, count))
	}
}

// on are the nodes on which a service's Envoys run that do not end.
func (f *fleet) on(t *testing.T, s *service) []string {
	t.Helper()
	nodes := strings.Fields(f.run(t, "get", "pods", "-n", s.namespace, "-l", "epic.acnodal.io/owning-loadbalancer=shop",
		"--output=go-template={{range .items}}{{if not .metadata.deletionTimestamp}}{{.spec.nodeName}} {{end}}{{end}}"))
	slices.Sort(nodes)
	return nodes
}

// named are all objects of EPIC in which a text occurs.
func (f *fleet) named(t *testing.T, texts ...string) []string {
	t.Helper()
	kinds := strings.Fields(f.run(t, "api-resources", "--api-group=epic.acnodal.io", "--verbs=list", "--output=name"))
	var list struct {
		Items []map[string]any
	}
	out := f.run(t, "get", strings.Join(kinds, ","), "--all-namespaces", "--output=json")
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) < 6 {
		t.Fatalf("EPIC has few objects: %s", out)
	}
	var found []string
	for _, object := range list.Items {
		data, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			if regexp.MustCompile(`\b` + regexp.QuoteMeta(text) + `\b`).Match(data) {
				found = append(found, fmt.Sprintf("%s has %s: %s", object["kind"], text, data))
			}
		}
	}
	return found
}

// explain shows what went wrong.
func (f *fleet) explain(t *testing.T, s *site) {
	t.Helper()
	f.router.explain(t)
	for _, args := range [][]string{
		{"get", "nodes", "-o", "wide"},
		{"get", "epics,gatewaynodes", "-n", "epic", "-o", "yaml"},
		{"get", "events", "-n", "epic"},
		{"get", "pods", "-A", "-o", "wide"},
		{"get", "lb", "-A", "-o", "yaml"},
		{"logs", "-n", "epic-node", "-l", "app.kubernetes.io/name=epic-node", "--prefix", "--tail=40"},
		{"logs", "-n", "epic-system", "-l", "app.kubernetes.io/name=epic-controller", "--prefix", "--tail=40"},
		{"logs", "-n", "epic-system", "-l", "app.kubernetes.io/name=epic-operator", "--prefix", "--tail=40"},
		{"get", "events", "-n", s.namespace},
	} {
		out, err := f.try("", args...)
		t.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	for _, node := range f.gateways {
		out, err := f.try("", "exec", "-n", "epic-node", f.program(t, node), "--", "/epic-node", "status")
		t.Logf("epic-node status on %s: %v\n%s", node, err, out)
	}
}
