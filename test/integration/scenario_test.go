// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
	clientset "github.com/acnodal/epic/pkg/generated/clientset/versioned"
)

const (
	group   = "/apis/epic.acnodal.io/v1"
	samples = "../../artifacts/samples"
)

// TestSpecificationScenario walks through the specification's own example with
// the samples that the project ships.
func TestSpecificationScenario(t *testing.T) {
	server := testserver.StartTestServer(t)
	k := newKubectl(t, server.Kubeconfig)
	client := clientset.NewForConfigOrDie(server.Config).EpicV1()
	ctx := context.Background()

	k.run(t, "apply", "-f", samples)
	k.run(t, "apply", "-f", samples) // nothing changes the second time

	lb := k.run(t, "get", "-n", "epic-root", "loadbalancers.epic.acnodal.io", "sample-acnodal", "-o", "yaml")
	wants(t, "the new load balancer", lb, "service-group: sample", "service-id: 1", "public-address: 192.168.77.2",
		"port: 8888", "targetPort: 8080", "nodePort: 30390", "protocol: TCP", "dnsName: acnodal.sample.root.client.acnodal.io")

	// A controller writes the client nodes and the proxy's interface.
	status := `{"status":{"gue-tunnel-endpoints":{
		"192.168.1.16":{"epic-address":"192.168.1.40"},
		"192.168.1.25":{"epic-address":"192.168.1.40"}},
	  "proxy-if-info":{"pod-a":{"epic-node-address":"192.168.1.40","index":16,"name":"veth67060f1f"}}}}`
	k.run(t, "patch", "-n", "epic-root", "lb", "sample-acnodal", "--subresource=status", "--type=merge", "-p", status)

	got, err := client.LoadBalancers("epic-root").Get(ctx, "sample-acnodal", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var shape struct {
		Spec   map[string]any `json:"spec"`
		Status map[string]any `json:"status"`
	}
	data := k.run(t, "get", "-n", "epic-root", "loadbalancers.epic.acnodal.io", "sample-acnodal", "-o", "json")
	if err := json.Unmarshal([]byte(data), &shape); err != nil {
		t.Fatal(err)
	}
	port := map[string]any{"appProtocol": "gue", "port": 6080.0, "protocol": "UDP"}
	for node, id := range map[string]float64{"192.168.1.16": 1, "192.168.1.25": 2} {
		pair := map[string]any{"epic-address": "192.168.1.40", "epic-port": port, "tunnel-id": id}
		entry := shape.Status["gue-tunnel-endpoints"].(map[string]any)[node].(map[string]any)
		for name, want := range pair {
			if fmt.Sprint(entry[name]) != fmt.Sprint(want) {
				t.Errorf("status.gue-tunnel-endpoints[%s].%s is %v, not %v", node, name, entry[name], want)
			}
		}
		// Programs of the older release look here.
		old := shape.Spec["gue-tunnel-endpoints"].(map[string]any)[node].(map[string]any)["epic-endpoints"].(map[string]any)["192.168.1.40"]
		if fmt.Sprint(old) != fmt.Sprint(pair) {
			t.Errorf("spec.gue-tunnel-endpoints[%s] is %v, not %v", node, old, pair)
		}
	}
	if shape.Status["proxy-ifindex"] != 16.0 || shape.Status["proxy-ifname"] != "veth67060f1f" {
		t.Errorf("the interface is %v, %v", shape.Status["proxy-ifindex"], shape.Status["proxy-ifname"])
	}
	if got.Generation != 1 {
		t.Errorf("writes of the status count as generation %d", got.Generation)
	}

	wants(t, "the EPIC object", k.run(t, "get", "-n", "epic", "epics.epic.acnodal.io", "epic", "-o", "yaml"),
		"current-tunnel-id: 2", "current-group-id: 1")
	wants(t, "the account", k.run(t, "get", "-n", "epic-root", "accounts.epic.acnodal.io", "root", "-o", "yaml"),
		"group-id: 1", "current-service-id: 1")

	for resource, name := range map[string]string{
		"namespaces/epic/epics": "epic", "namespaces/epic/serviceprefixes": "default", "namespaces/epic-root/accounts": "root",
		"namespaces/epic-root/lbservicegroups": "sample", "namespaces/epic-root/loadbalancers": "sample-acnodal",
	} {
		raw := k.run(t, "get", "--raw", group+"/"+resource+"/"+name+"/status")
		var obj metav1.PartialObjectMetadata
		if err := json.Unmarshal([]byte(raw), &obj); err != nil || obj.Name != name {
			t.Errorf("%s/%s/status: %v\n%s", resource, name, err, raw)
		}
	}

	// Two writers start from the same version: one of them is told.
	first, second := got.DeepCopy(), got.DeepCopy()
	first.Spec.DisplayName, second.Spec.DisplayName = "acnodal", "acnodal"
	first.Labels["writer"], second.Labels["writer"] = "first", "second"
	if _, err := client.LoadBalancers("epic-root").Update(ctx, first, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.LoadBalancers("epic-root").Update(ctx, second, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("the second writer got %v, not a conflict", err)
	}
	cleanAudit(t, k)

	// Everything goes in the order of dependence, and releases what it held.
	wants(t, "the deletion of an account in use", k.refused(t, "", "delete", "-n", "epic-root", "account", "root"), "others depend on it")
	k.run(t, "delete", "-n", "epic-root", "lb", "sample-acnodal")
	k.run(t, "delete", "-n", "epic-root", "lbsg", "sample")
	k.run(t, "delete", "-n", "epic-root", "account", "root")
	k.run(t, "delete", "-n", "epic", "serviceprefix", "default")
	k.run(t, "delete", "-n", "epic", "epics.epic.acnodal.io", "epic")
	k.run(t, "apply", "-f", samples+"/10-epic.yaml")
	if a := audit(t, k); a.Claims != 0 || a.Objects != 1 {
		t.Errorf("after the deletion of all, %d claims are held by %d objects", a.Claims, a.Objects)
	}
}

type auditResult struct {
	Clean           bool
	Objects, Claims int
	Problems        []any
}

func audit(t *testing.T, k kubectl) auditResult {
	t.Helper()
	var a auditResult
	if err := yaml.Unmarshal([]byte(k.run(t, "get", "--raw", group+"/namespaces/epic/epics/epic/audit")), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

func cleanAudit(t *testing.T, k kubectl) {
	t.Helper()
	if a := audit(t, k); !a.Clean {
		t.Errorf("objects and claims differ: %+v", a.Problems)
	}
}
