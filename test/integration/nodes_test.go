// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
	applyv1 "github.com/acnodal/epic/pkg/generated/applyconfiguration/epic/v1"
	clientset "github.com/acnodal/epic/pkg/generated/clientset/versioned"
	typed "github.com/acnodal/epic/pkg/generated/clientset/versioned/typed/epic/v1"
	"github.com/acnodal/epic/pkg/nodeidentity"
	"github.com/acnodal/epic/pkg/pki"
	"github.com/acnodal/epic/pkg/privatefile"
	"github.com/acnodal/epic/pkg/tunnelkey"
)

// proxies has a load balancer with two tunnels of two tenant nodes to each of two
// gateway nodes, and a gateway proxy of another account with one.
const proxies = `{"status":{
  "gue-tunnel-endpoints":{
    "10.0.0.1":{"epic-endpoints":{"203.0.113.1":{},"203.0.113.2":{}}},
    "10.0.0.2":{"epic-endpoints":{"203.0.113.1":{},"203.0.113.2":{}}}},
  "proxy-if-info":{
    "pod-a":{"epic-node-address":"203.0.113.1","index":16,"name":"veth16"},
    "pod-b":{"epic-node-address":"203.0.113.2","index":17,"name":"veth17"}},
  "proxy-placements":{"pod-a":"203.0.113.1","pod-b":"203.0.113.2","pod-c":"203.0.113.1"}}}`

// nodes is a server with tenants, and clients with the certificates of nodes.
type nodes struct {
	*testserver.TestServer
	kubectl kubectl
	admin   typed.EpicV1Interface
}

func startNodes(t *testing.T, flags ...string) *nodes {
	t.Helper()
	server := testserver.StartTestServer(t, flags...)
	n := &nodes{server, newKubectl(t, server.Kubeconfig), clientset.NewForConfigOrDie(server.Config).EpicV1()}
	n.kubectl.apply(t, tenants, "apply", "-f", "-")
	n.kubectl.run(t, "patch", "-n", "epic-one", "lb", "first", "--subresource=status", "--type=merge", "-p", proxies)
	n.kubectl.apply(t, labeled("GWProxy", "epic-two", "gate", "owning-lbservicegroup", "offered", "spec: {}"), "apply", "-f", "-")
	// This client node has the same address as one of the other's.
	n.kubectl.run(t, "patch", "-n", "epic-two", "gwp", "gate", "--subresource=status", "--type=merge", "-p",
		`{"status":{"gue-tunnel-endpoints":{"10.0.0.1":{"epic-endpoints":{"203.0.113.1":{}}}},
		  "proxy-if-info":{"pod-g":{"epic-node-address":"203.0.113.1"}},"proxy-placements":{"pod-g":"203.0.113.1"}}}`)
	return n
}

// config is that of a client with a certificate.
func (n *nodes) config(t *testing.T, user string, groups ...string) *rest.Config {
	t.Helper()
	authority, err := pki.OpenAuthority(pki.Directory(n.DataDir))
	if err != nil {
		t.Fatal(err)
	}
	content, err := authority.Kubeconfig(n.Config.Host, pki.Client{User: user, Groups: groups})
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(content)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	return config
}

func (n *nodes) as(t *testing.T, user string, groups ...string) typed.EpicV1Interface {
	t.Helper()
	return clientset.NewForConfigOrDie(n.config(t, user, groups...)).EpicV1()
}

func (n *nodes) gateway(t *testing.T, address string) typed.EpicV1Interface {
	t.Helper()
	return n.as(t, nodeidentity.UserPrefix+address, nodeidentity.Group)
}

func forbidden(t *testing.T, what string, err error, texts ...string) {
	t.Helper()
	if !apierrors.IsForbidden(err) {
		t.Errorf("%s: %v, want a refusal", what, err)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: the refusal does not have %q: %v", what, text, err)
		}
	}
}

func TestNodesWriteOnlyTheirOwn(t *testing.T) {
	n := startNodes(t)
	ctx := t.Context()
	lbs := n.gateway(t, "203.0.113.1").LoadBalancers("epic-one")
	patch := func(kind types.PatchType, body string, dryRun bool, subresources ...string) error {
		options := metav1.PatchOptions{}
		if dryRun {
			options.DryRun = []string{metav1.DryRunAll}
		}
		if kind == types.ApplyPatchType {
			options.FieldManager = "node-203.0.113.1"
			body = `{"apiVersion":"epic.acnodal.io/v1","kind":"LoadBalancer","metadata":{"name":"first"},` + body[1:]
			force := true
			options.Force = &force
		}
		_, err := lbs.Patch(ctx, "first", kind, []byte(body), options, subresources...)
		return err
	}
	kinds := []types.PatchType{types.MergePatchType, types.ApplyPatchType}

	// Its own entry, by each way to write one.
	for i, kind := range kinds {
		for _, dryRun := range []bool{true, false} {
			body := fmt.Sprintf(`{"status":{"proxy-if-info":{"pod-a":{"epic-node-address":"203.0.113.1","index":%d,"name":"veth%d"}}}}`, 20+i, 20+i)
			if err := patch(kind, body, dryRun, "status"); err != nil {
				t.Errorf("%s of its own entry: %v", kind, err)
			}
		}
	}
	own, err := lbs.Get(ctx, "first", metav1.GetOptions{})
	if err != nil || own.Status.ProxyIfInfo["pod-a"].Index != 21 || own.Status.ProxyIfInfo["pod-b"].Index != 17 || own.Status.ProxyIfIndex != 21 {
		t.Fatalf("%+v, %v", own.Status, err)
	}
	own.Status.ProxyIfInfo["pod-c"] = epicv1.ProxyInterfaceInfo{EPICNodeAddress: "203.0.113.1", Index: 30, Name: "veth30"}
	if _, err := lbs.UpdateStatus(ctx, own, metav1.UpdateOptions{}); err != nil {
		t.Errorf("An update of its own: %v", err)
	}

	// What is another's, and the rest of the status.
	before := n.status(t)
	for body, text := range map[string]string{
		`{"status":{"proxy-if-info":{"pod-b":{"epic-node-address":"203.0.113.2","index":99,"name":"veth99"}}}}`: "proxy-if-info[pod-b].epic-node-address",
		`{"status":{"proxy-if-info":{"pod-b":{"epic-node-address":"203.0.113.1","index":17,"name":"veth17"}}}}`: "belongs to another node",
		`{"status":{"proxy-if-info":{"pod-a":{"epic-node-address":"203.0.113.2","index":17,"name":"veth17"}}}}`: "can't write another node's",
		`{"status":{"proxy-if-info":{"pod-x":{"epic-node-address":"203.0.113.9","index":17,"name":"veth17"}}}}`: "can't write another node's",
		`{"status":{"proxy-if-info":{"pod-x":{"index":17,"name":"veth17"}}}}`:                                   "can't write another node's",
		// Proxies that were not started here, and where they are.
		`{"status":{"proxy-if-info":{"made-up":{"epic-node-address":"203.0.113.1","index":7,"name":"veth7"}}}}`:                              "does not run on this node",
		`{"status":{"proxy-placements":{"made-up":"203.0.113.1"}}}`:                                                                          "status.proxy-placements",
		`{"status":{"proxy-placements":{"pod-b":"203.0.113.1"}}}`:                                                                            "status.proxy-placements",
		`{"status":{"gue-tunnel-endpoints":{"10.0.0.9":{"epic-endpoints":{"203.0.113.1":{}}}}}}`:                                             "status.gue-tunnel-endpoints",
		`{"status":{"observedGeneration":1}}`:                                                                                                "status.observedGeneration",
		`{"status":{"conditions":[{"type":"Ready","status":"True","reason":"X","message":"","lastTransitionTime":"2024-01-01T00:00:00Z"}]}}`: "status.conditions",
	} {
		for _, kind := range kinds {
			for _, dryRun := range []bool{true, false} {
				forbidden(t, string(kind)+" "+body, patch(kind, body, dryRun, "status"), text)
			}
		}
	}
	// Others' are removed by null or by leaving them out.
	forbidden(t, "another's removed", patch(types.MergePatchType, `{"status":{"proxy-if-info":{"pod-b":null}}}`, false, "status"), "pod-b")
	forbidden(t, "another's removed by a JSON patch", patch(types.JSONPatchType, `[{"op":"remove","path":"/status/proxy-if-info/pod-b"}]`, false, "status"), "pod-b")
	// A status that is omitted entirely keeps the existing values.
	if err := patch(types.MergePatchType, `{"status":null}`, false, "status"); err != nil {
		t.Errorf("no status: %v", err)
	}
	stale := own.DeepCopy()
	stale.ResourceVersion = ""
	stale.Status.ProxyIfInfo = map[string]epicv1.ProxyInterfaceInfo{"pod-a": stale.Status.ProxyIfInfo["pod-a"]}
	_, err = lbs.UpdateStatus(ctx, stale, metav1.UpdateOptions{})
	forbidden(t, "an update without another's", err, "pod-b")
	if after := n.status(t); after != before {
		t.Errorf("Refused writes changed it:\n%s\n%s", before, after)
	}

	// Everything that is not the status. Authorization refuses it in the first place.
	forbidden(t, "the object", patch(types.MergePatchType, `{"spec":{"display-name":"x"}}`, false))
	forbidden(t, "deletion", lbs.Delete(ctx, "first", metav1.DeleteOptions{}))
	forbidden(t, "deletion of all", lbs.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
	_, err = lbs.Create(ctx, loadBalancer("mine", "offered"), metav1.CreateOptions{})
	forbidden(t, "creation", err)

	// And admission does too, for somebody whom no authorizer keeps from anything.
	strong := n.as(t, "epic:node:203.0.113.1", nodeidentity.Group, "system:masters").LoadBalancers("epic-one")
	_, err = strong.Patch(ctx, "first", types.MergePatchType, []byte(`{"spec":{"display-name":"x"}}`), metav1.PatchOptions{})
	forbidden(t, "the object, with all rights", err, "this is UPDATE of loadbalancers")
	_, err = strong.Patch(ctx, "first", types.MergePatchType, []byte(`{"status":{"proxy-if-info":{"pod-a":null}}}`), metav1.PatchOptions{})
	forbidden(t, "the status by the object", err, "this is UPDATE of loadbalancers")
	forbidden(t, "deletion, with all rights", strong.Delete(ctx, "first", metav1.DeleteOptions{}), "this is DELETE")
	forbidden(t, "deletion of all, with all rights", strong.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}), "this is DELETE")
	forbidden(t, "a dry run of a deletion", strong.Delete(ctx, "first", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}), "this is DELETE")
	_, err = strong.Create(ctx, loadBalancer("mine", "offered"), metav1.CreateOptions{})
	forbidden(t, "creation, with all rights", err, "this is CREATE")
	_, err = strong.Patch(ctx, "mine", types.ApplyPatchType, []byte(`{"apiVersion":"epic.acnodal.io/v1","kind":"LoadBalancer","metadata":{"name":"mine"},"spec":{"service-group":"offered"}}`), metav1.PatchOptions{FieldManager: "x"})
	forbidden(t, "creation by apply", err, "this is CREATE")
	for who, groups := range map[string][]string{
		"epic:node:203.0.113.1":        {"system:masters"},
		"jane":                         {nodeidentity.Group, "system:masters"},
		"epic:node:::ffff:203.0.113.1": {nodeidentity.Group, "system:masters"},
		"system:serviceaccount:epic-one:node.203.0.113.1": {"system:masters"},
	} {
		_, err := n.as(t, who, groups...).LoadBalancers("epic-one").Patch(ctx, "first", types.MergePatchType, []byte(`{"status":{"proxy-if-info":{"pod-a":null}}}`), metav1.PatchOptions{}, "status")
		forbidden(t, who, err)
	}

	// The object continues to be the administrator's.
	n.kubectl.run(t, "patch", "-n", "epic-one", "lb", "first", "--subresource=status", "--type=merge", "-p", `{"status":{"proxy-if-info":null}}`)
	cleanAudit(t, n.kubectl)
}

// status is what a load balancer's status holds.
func (n *nodes) status(t *testing.T) string {
	t.Helper()
	lb, err := n.admin.LoadBalancers("epic-one").Get(t.Context(), "first", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(lb.Status)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestHeartbeats has nodes report at once, by apply and by patch.
func TestHeartbeats(t *testing.T) {
	n := startNodes(t)
	ctx := context.Background()
	const count = 8
	var wg sync.WaitGroup
	for i := range count {
		address := fmt.Sprintf("203.0.113.%d", i+1)
		client := n.gateway(t, address).EPICs("epic")
		wg.Go(func() {
			for round := range int32(3) {
				var err error
				if i%2 == 0 {
					_, err = client.ApplyStatus(ctx, applyv1.EPIC("epic", "epic").WithStatus(applyv1.EPICStatus().WithNodes(map[string]applyv1.EPICNodeStatusApplyConfiguration{
						address: *applyv1.EPICNodeStatus().WithName(fmt.Sprintf("node%d", i)).WithVersion("v1").WithTunnels(10).WithTunnelsUp(round).
							// Its clock is wrong.
							WithHeartbeatTime(metav1.NewTime(time.Unix(int64(round), 0))),
					})), metav1.ApplyOptions{FieldManager: "epic-node-" + address})
				} else {
					_, err = client.Patch(ctx, "epic", types.MergePatchType, fmt.Appendf(nil,
						`{"status":{"nodes":{%q:{"name":"node%d","version":"v1","tunnels":10,"tunnels-up":%d,"heartbeat-time":"2100-01-01T00:00:0%dZ"}}}}`, address, i, round, round), metav1.PatchOptions{}, "status")
				}
				if err != nil {
					t.Errorf("%s: %v", address, err)
				}
			}
		})
	}
	wg.Wait()
	epic, err := n.admin.EPICs("epic").Get(ctx, "epic", metav1.GetOptions{})
	if err != nil || len(epic.Status.Nodes) != count {
		t.Fatalf("%+v, %v", epic.Status, err)
	}
	for address, node := range epic.Status.Nodes {
		if node.Name == "" || node.TunnelsUp != 2 || time.Since(node.HeartbeatTime.Time).Abs() > time.Minute {
			t.Errorf("%s: %+v", address, node)
		}
	}
	first := n.gateway(t, "203.0.113.1").EPICs("epic")
	for body, text := range map[string]string{
		`{"status":{"nodes":{"203.0.113.2":{"name":"x"}}}}`: "status.nodes[203.0.113.2]",
		`{"status":{"nodes":{"203.0.113.2":null}}}`:         "status.nodes[203.0.113.2]",
		`{"status":{"conditions":[{"type":"Ready","status":"True","reason":"X","message":"","lastTransitionTime":"2024-01-01T00:00:00Z"}]}}`: "status.conditions",
	} {
		_, err := first.Patch(ctx, "epic", types.MergePatchType, []byte(body), metav1.PatchOptions{}, "status")
		forbidden(t, body, err, text)
	}
	// Nodes that are left out stay.
	kept, err := first.Patch(ctx, "epic", types.MergePatchType, []byte(`{"status":{"nodes":null}}`), metav1.PatchOptions{}, "status")
	if err != nil || len(kept.Status.Nodes) != len(epic.Status.Nodes) {
		t.Errorf("without nodes: %+v, %v", kept.Status.Nodes, err)
	}
	_, err = first.Patch(ctx, "epic", types.MergePatchType, []byte(`{"spec":{"envoy-image":"mine"}}`), metav1.PatchOptions{})
	forbidden(t, "the spec", err)
	for body, text := range map[string]string{
		`{"status":{"nodes":{"203.0.113.1":{"tunnels":1,"tunnels-up":2}}}}`: "status.nodes[203.0.113.1].tunnels-up",
		`{"status":{"nodes":{"203.0.113.1":{"version":"a b"}}}}`:            "status.nodes[203.0.113.1].version",
	} {
		if _, err := first.Patch(ctx, "epic", types.MergePatchType, []byte(body), metav1.PatchOptions{}, "status"); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", body, err)
		}
	}
	if out := n.kubectl.run(t, "get", "epics.epic.acnodal.io", "-n", "epic"); !strings.Contains(out, "NODES") {
		t.Errorf("The table has no nodes:\n%s", out)
	}
}

func ids(k *epicv1.TunnelKeys) string {
	var out []string
	for _, tunnel := range k.Tunnels {
		out = append(out, tunnel.TenantNode+"-"+tunnel.EPICNode)
	}
	return strings.Join(out, " ")
}

func TestTunnelKeys(t *testing.T) {
	policy := filepath.Join(t.TempDir(), "policy")
	if err := os.WriteFile(policy, []byte(`{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"RequestResponse"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "audit")
	n := startNodes(t, "--audit-policy-file="+policy, "--audit-log-path="+log, "--audit-log-mode=blocking")
	ctx := t.Context()
	all, err := n.admin.LoadBalancers("epic-one").GetTunnelKeys(ctx, "first", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	lb, err := n.admin.LoadBalancers("epic-one").Get(ctx, "first", metav1.GetOptions{})
	if err != nil || all.UID != lb.UID || all.Name != "first" || all.Namespace != "epic-one" || len(all.Tunnels) != 4 {
		t.Fatalf("%+v, %v", all, err)
	}
	key := map[int32][]byte{}
	for _, tunnel := range all.Tunnels {
		if len(tunnel.Keys) != 1 || len(tunnel.Keys[0].Key) != tunnelkey.Size || tunnel.Keys[0].ID != 1 {
			t.Errorf("%+v", tunnel)
		}
		if lb.Status.GUETunnelEndpoints[tunnel.TenantNode].EPICEndpoints[tunnel.EPICNode].TunnelID != tunnel.TunnelID {
			t.Errorf("%d is the ID of another tunnel", tunnel.TunnelID)
		}
		key[tunnel.TunnelID] = tunnel.Keys[0].Key
	}

	tenant := func(namespace, address string) typed.EpicV1Interface {
		return n.as(t, "system:serviceaccount:"+namespace+":node."+address, "system:serviceaccounts", "system:serviceaccounts:"+namespace)
	}
	for name, test := range map[string]struct {
		client typed.EpicV1Interface
		want   string
	}{
		"a gateway node":        {n.gateway(t, "203.0.113.1"), "10.0.0.1-203.0.113.1 10.0.0.2-203.0.113.1"},
		"the other":             {n.gateway(t, "203.0.113.2"), "10.0.0.1-203.0.113.2 10.0.0.2-203.0.113.2"},
		"a third":               {n.gateway(t, "203.0.113.3"), ""},
		"a tenant's host":       {n.gateway(t, "10.0.0.2"), "10.0.0.2-203.0.113.1 10.0.0.2-203.0.113.2"},
		"a tenant's node":       {tenant("epic-one", "10.0.0.1"), "10.0.0.1-203.0.113.1 10.0.0.1-203.0.113.2"},
		"the name of a gateway": {tenant("epic-one", "203.0.113.1"), ""},
	} {
		got, err := test.client.LoadBalancers("epic-one").GetTunnelKeys(ctx, "first", metav1.GetOptions{})
		// IDs, and with them the order, are as the tunnels came.
		if err != nil || len(got.Tunnels) != len(strings.Fields(test.want)) {
			t.Errorf("%s: %v, %v", name, got, err)
			continue
		}
		for _, want := range strings.Fields(test.want) {
			if !strings.Contains(ids(got), want) {
				t.Errorf("%s lacks %s: %s", name, want, ids(got))
			}
		}
		for _, tunnel := range got.Tunnels {
			if !bytes.Equal(tunnel.Keys[0].Key, key[tunnel.TunnelID]) {
				t.Errorf("%s has another key for tunnel %d", name, tunnel.TunnelID)
			}
		}
	}
	// The same address of another tenant opens nothing here.
	_, err = tenant("epic-two", "10.0.0.1").LoadBalancers("epic-one").GetTunnelKeys(ctx, "first", metav1.GetOptions{})
	forbidden(t, "another tenant's node", err)
	gate, err := tenant("epic-two", "10.0.0.1").GWProxies("epic-two").GetTunnelKeys(ctx, "gate", metav1.GetOptions{})
	if err != nil || len(gate.Tunnels) != 1 || key[gate.Tunnels[0].TunnelID] != nil {
		t.Errorf("its own: %+v, %v", gate, err)
	}
	strong := n.as(t, "system:serviceaccount:epic-two:node.10.0.0.1", "system:masters")
	_, err = strong.LoadBalancers("epic-one").GetTunnelKeys(ctx, "first", metav1.GetOptions{})
	forbidden(t, "another tenant's node with all rights", err, "node of namespace epic-two")
	_, err = n.as(t, "epic:node:203.0.113.1", "system:masters").LoadBalancers("epic-one").GetTunnelKeys(ctx, "first", metav1.GetOptions{})
	forbidden(t, "the name without the group", err, "not in the group")
	_, err = n.as(t, "jane", nodeidentity.Group, "system:masters").LoadBalancers("epic-one").GetTunnelKeys(ctx, "first", metav1.GetOptions{})
	forbidden(t, "the group without the name", err, "is not of the form")
	_, err = n.as(t, "jane").LoadBalancers("epic-one").GetTunnelKeys(ctx, "first", metav1.GetOptions{})
	forbidden(t, "nobody in particular", err)
	// A node can't state that it is another.
	config := n.config(t, "epic:node:203.0.113.1", nodeidentity.Group)
	config.Impersonate = rest.ImpersonationConfig{UserName: "epic:node:203.0.113.2", Groups: []string{nodeidentity.Group}}
	_, err = clientset.NewForConfigOrDie(config).EpicV1().LoadBalancers("epic-one").GetTunnelKeys(ctx, "first", metav1.GetOptions{})
	forbidden(t, "impersonation", err, "impersonate")
	if _, err := n.admin.LoadBalancers("epic-one").GetTunnelKeys(ctx, "none", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("what is not there: %v", err)
	}

	raw := n.kubectl.run(t, "get", "--raw", group+"/namespaces/epic-one/loadbalancers/first/tunnelkeys")
	wants(t, "the raw keys", raw, `"kind":"TunnelKeys"`, `"tunnel-id":`, `"tenant-node":"10.0.0.1"`, `"epic-node":"203.0.113.2"`, base64.StdEncoding.EncodeToString(key[all.Tunnels[0].TunnelID]))
	wants(t, "the explanation", n.kubectl.run(t, "explain", "epics.epic.acnodal.io.status.nodes"), "heartbeat-time", "by the server's clock")

	// Nobody finds a key in an object, in etcd or in the audit log.
	audit, err := os.ReadFile(log)
	if err != nil || !bytes.Contains(audit, []byte(`/loadbalancers/first/tunnelkeys"`)) || !bytes.Contains(audit, []byte(`"responseObject"`)) {
		t.Fatalf("The audit log does not show who read keys: %v", err)
	}
	object := n.kubectl.run(t, "get", "-n", "epic-one", "lb", "first", "-o", "json", "--show-managed-fields")
	for id, k := range key {
		encoded := base64.StdEncoding.EncodeToString(k)
		if bytes.Contains(audit, []byte(encoded)) || bytes.Contains(audit, k) {
			t.Errorf("The audit log has the key of tunnel %d", id)
		}
		if strings.Contains(object, encoded) {
			t.Errorf("The object has the key of tunnel %d", id)
		}
	}

	t.Run("rotation", func(t *testing.T) {
		file := filepath.Join(n.DataDir, "tunnel-keys")
		old, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("The master keys: %v, %v", info, err)
		}
		fresh := "2" + strings.TrimPrefix(string(tunnelkey.Generate()), "1")
		if err := privatefile.Write(file, []byte(fresh+string(old))); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
			got, err := n.gateway(t, "203.0.113.1").LoadBalancers("epic-one").GetTunnelKeys(ctx, "first", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if keys := got.Tunnels[0].Keys; len(keys) == 2 {
				if keys[0].ID != 2 || keys[1].ID != 1 || !bytes.Equal(keys[1].Key, key[got.Tunnels[0].TunnelID]) || bytes.Equal(keys[0].Key, keys[1].Key) {
					t.Errorf("%+v", keys)
				}
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("The new master key is not used")
			}
		}
	})
	t.Run("a restart keeps them", func(t *testing.T) {
		if err := n.Stop(); err != nil {
			t.Fatal(err)
		}
		again := testserver.StartTestServer(t, "--data-dir="+n.DataDir)
		got, err := clientset.NewForConfigOrDie(again.Config).EpicV1().LoadBalancers("epic-one").GetTunnelKeys(ctx, "first", metav1.GetOptions{})
		if err != nil || !bytes.Equal(got.Tunnels[0].Keys[1].Key, key[got.Tunnels[0].TunnelID]) {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// TestFinalizersOfTheSystem: a user who may do everything may set them.
func TestFinalizersOfTheSystem(t *testing.T) {
	n := startNodes(t)
	patch := func(body string) {
		n.kubectl.run(t, "patch", "-n", "epic-one", "lb", "first", "--type=merge", "-p", body)
	}
	patch(`{"metadata":{"finalizers":["epic.acnodal.io/controller"]}}`)
	patch(`{"metadata":{"finalizers":null}}`)
}
