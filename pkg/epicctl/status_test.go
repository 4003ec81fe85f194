// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func TestStatusStandalone(t *testing.T) {
	i := install(t)
	i.run(t, "create", "account", "acme").want(t, ExitOK)
	i.fill(t, "acme")
	r := i.run(t, "status")
	r.want(t, ExitOK, "CHECK RESULT DETAIL", "server OK reachable; a standalone EPIC server", "api service OK not installed",
		"etcd OK", "readiness OK", "api OK epic.acnodal.io/v1 serves its 10 kinds", "configuration OK EPIC epic/epic exists; last tunnel ID 2, last group ID 1",
		"addresses pool OK 2 of 4 in use, pool 192.0.2.0-192.0.2.3", "controller WARN no controller is running: nothing sets conditions, so READY stays",
		"controller: start one: epic-controller", "nodes OK no gateway node yet", "claims OK")
	r.lacks(t, "FAIL")
	i.run(t, "describe", "account", "acme").want(t, ExitOK, "Conditions: none: no controller has set any")

	t.Run("with a controller", func(t *testing.T) {
		i.setConditions(t, `[{"type":"Ready","status":"True","reason":"Ready","message":"","observedGeneration":1,"lastTransitionTime":"2020-01-01T00:00:00Z"}]`)
		i.reportEnvoys(t)
		r := i.run(t, "status")
		r.want(t, ExitOK, "controller OK it sets conditions", "Envoys OK 2 of 2 are ready")
		r.lacks(t, "FAIL", "WARN", "What to do")
	})
	t.Run("with one that has stopped", func(t *testing.T) {
		i.setConditions(t, `[{"type":"Ready","status":"True","reason":"Ready","message":"","observedGeneration":0,"lastTransitionTime":"2020-01-01T00:00:00Z"}]`)
		i.run(t, "status").want(t, ExitOK, "controller WARN the controller has not reacted")
		i.setConditions(t, "null")
	})

	t.Run("a pool that is full", func(t *testing.T) {
		i.run(t, "create", "account", "beta").want(t, ExitOK)
		i.fill(t, "beta")
		i.run(t, "status").want(t, ExitOK, "addresses pool WARN 4 of 4 in use, pool 192.0.2.0-192.0.2.3: it is full", "addresses pool: make the pool larger")
	})
	t.Run("gateway nodes", func(t *testing.T) {
		epics := i.client.EpicV1().EPICs(epic.ConfigNamespace)
		const nodes = `{"status":{"nodes":{"203.0.113.10":{"name":"gw10","version":"v1","heartbeat-time":"2020-01-01T00:00:00Z","tunnels":3,"tunnels-up":3},
			"203.0.113.9":{"name":"gw9","heartbeat-time":"2020-01-01T00:00:00Z","tunnels":3,"tunnels-up":1}}}}`
		if _, err := epics.Patch(t.Context(), epic.ConfigName, types.MergePatchType, []byte(nodes), metav1.PatchOptions{}, "status"); err != nil {
			t.Fatal(err)
		}
		i.run(t, "status").want(t, ExitOK, "node 203.0.113.9 WARN gw9: 1 of 3 tunnels up", "node 203.0.113.10 OK gw10, version v1: 3 of 3 tunnels up, last heartbeat",
			"nodes OK 2 gateway nodes report")
		if _, err := epics.Patch(t.Context(), epic.ConfigName, types.MergePatchType, []byte(`{"status":{"nodes":{"203.0.113.10":null}}}`), metav1.PatchOptions{}, "status"); err != nil {
			t.Fatal(err)
		}
		// One is upgraded, and reports which tunnels are down.
		objects := i.client.EpicV1().GatewayNodes(epic.ConfigNamespace)
		node, err := objects.Create(t.Context(), &v1.GatewayNode{ObjectMeta: metav1.ObjectMeta{Name: "203.0.113.9"}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		node.Status = v1.GatewayNodeStatus{NodeName: "gw9", Version: "v2", Tunnels: 9, TunnelsUp: 1, TunnelsDown: 8, DownTunnels: []v1.DownTunnel{
			{TunnelID: 7, TenantNode: "10.0.0.5", LastAnswer: metav1.NewTime(time.Now().Add(-5 * time.Minute))}, {TunnelID: 8, TenantNode: "10.0.0.6"},
		}}
		time.Sleep(time.Second) // Times have a precision of a second, and the newer report counts.
		if _, err := objects.UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		i.run(t, "status").want(t, ExitOK, "node 203.0.113.9 WARN gw9, version v2: 1 of 9 tunnels up; down: 7 to client node 10.0.0.5 (no PING for 5m", "8 to client node 10.0.0.6",
			"and 6 more", "nodes OK 1 gateway node reports")
		if err := objects.Delete(t.Context(), "203.0.113.9", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := epics.Patch(t.Context(), epic.ConfigName, types.MergePatchType, []byte(`{"status":{"nodes":{"203.0.113.9":null}}}`), metav1.PatchOptions{}, "status"); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("not ready", func(t *testing.T) {
		i.setConditions(t, `[{"type":"Ready","status":"False","reason":"NoNodes","message":"install one","lastTransitionTime":"2020-01-01T00:00:00Z"}]`)
		i.run(t, "status").want(t, ExitOK, "configuration WARN EPIC epic/epic is not Ready: NoNodes: install one")
	})
	t.Run("a long message of several lines", func(t *testing.T) {
		i.setConditions(t, fmt.Sprintf(`[{"type":"Ready","status":"False","reason":"Problems","message":%q,"lastTransitionTime":"2020-01-01T00:00:00Z"}]`,
			"the first line\n\tand "+strings.Repeat("a lot more ", 30)+"at the end"))
		r := i.run(t, "status")
		r.want(t, ExitOK, "configuration WARN EPIC epic/epic is not Ready: Problems: the first line …", "In full: configuration: EPIC epic/epic is not Ready: Problems: the first line and a lot more", "at the end")
		for _, text := range strings.Split(r.stdout, "\n") {
			if len([]rune(text)) > longest+40 {
				t.Errorf("A line of %d characters: %s", len(text), text)
			}
		}
		i.setConditions(t, "null")
	})
	t.Run("nothing configured", func(t *testing.T) {
		for _, account := range []string{"acme", "beta"} {
			i.run(t, "delete", "account", account, "--cascade").want(t, ExitOK)
		}
		c := i.client.EpicV1()
		if err := c.ServicePrefixes(epic.ConfigNamespace).Delete(t.Context(), "pool", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		i.run(t, "status").want(t, ExitOK, "addresses WARN there is no ServicePrefix", "20-serviceprefix.yaml")
		if err := c.EPICs(epic.ConfigNamespace).Delete(t.Context(), epic.ConfigName, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		i.run(t, "status").want(t, ExitFailure, "configuration FAIL EPIC object epic/epic does not exist", "10-epic.yaml")
	})
	t.Run("without rights", func(t *testing.T) {
		// Health and discovery are for all who are known; the rest is not.
		i.beside()
		r := i.run(t, "status", "--as", "jane")
		r.want(t, ExitFailure, "api service WARN unknown: you may not get apiservices.apiregistration.k8s.io", "api FAIL you may not get /apis/epic.acnodal.io/v1", "system:discovery")
	})
}

// setConditions sets those of the EPIC object, as a controller would.
func (i *installation) setConditions(t *testing.T, conditions string) {
	t.Helper()
	epics := i.client.EpicV1().EPICs(epic.ConfigNamespace)
	if _, err := epics.Patch(t.Context(), epic.ConfigName, types.MergePatchType, []byte(`{"status":{"conditions":`+conditions+`}}`), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
}

// reportEnvoys does what the operator does: it reports an Envoy of each object.
func (i *installation) reportEnvoys(t *testing.T) {
	t.Helper()
	patch := []byte(`{"status":{"envoy":{"replicas":1,"updatedReplicas":1,"readyReplicas":1}}}`)
	lbs, err := i.client.EpicV1().LoadBalancers("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range lbs.Items {
		if _, err := i.client.EpicV1().LoadBalancers(o.Namespace).Patch(t.Context(), o.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
			t.Fatal(err)
		}
	}
	proxies, err := i.client.EpicV1().GWProxies("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range proxies.Items {
		if _, err := i.client.EpicV1().GWProxies(o.Namespace).Patch(t.Context(), o.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
			t.Fatal(err)
		}
	}
}

const verboseReady = "[+]ping ok\n[+]etcd ok\n[+]claim-schema ok\nreadyz check passed\n"

// inCluster is an installation in a cluster where all is well.
func inCluster(t *testing.T) *installation {
	t.Helper()
	i := install(t)
	ready := func(is bool) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{Conditions: discoveryv1.EndpointConditions{Ready: &is}}
	}
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "epic-system", Name: name} }
	slice := &discoveryv1.EndpointSlice{ObjectMeta: meta("epic-apiserver-1"), Endpoints: []discoveryv1.Endpoint{ready(true), ready(true)}}
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: "epic-apiserver"}
	i.beside(slice,
		&coordinationv1.Lease{ObjectMeta: meta("epic-controller"), Spec: coordinationv1.LeaseSpec{
			HolderIdentity: ptr.To("pod-1"), RenewTime: &metav1.MicroTime{Time: time.Now()}, LeaseDurationSeconds: ptr.To[int32](60),
		}},
		&appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-node", Name: "epic-node"}, Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: 3, NumberReady: 3}})
	i.raw = map[string]string{
		apiServicePath: available("True", "Passed", "all checks passed"),
		"/api/v1/namespaces/epic-system/services/https:epic-apiserver:443/proxy/readyz": verboseReady,
	}
	return i
}

func available(status, reason, message string) string {
	return fmt.Sprintf(`{"spec":{"service":{"namespace":"epic-system","name":"epic-apiserver","port":443}},
		"status":{"conditions":[{"type":"Available","status":%q,"reason":%q,"message":%q}]}}`, status, reason, message)
}

func TestStatusInACluster(t *testing.T) {
	i := inCluster(t)
	r := i.run(t, "status")
	r.want(t, ExitOK, "server OK reachable; Kubernetes", "api service OK v1.epic.acnodal.io is Available", "replicas OK 2 of 2 are ready",
		"etcd OK reachable from the server", "readiness OK 3 readyz checks pass", "controller OK pod-1 leads", "nodes OK the node program is ready on 3 of 3 nodes")
	r.lacks(t, "WARN", "FAIL")

	const readyz = "/api/v1/namespaces/epic-system/services/https:epic-apiserver:443/proxy/readyz"
	kube := i.kube
	for _, test := range []struct {
		name string
		raw  map[string]string
		code int
		want []string
	}{
		{"not available", map[string]string{apiServicePath: available("False", "FailedDiscoveryCheck", "x509: unknown\nauthority")}, ExitFailure,
			[]string{"api service FAIL v1.epic.acnodal.io is not Available: FailedDiscoveryCheck: x509: unknown authority", "What to do: api service:", "caBundle"}},
		{"a dead service", map[string]string{apiServicePath: available("False", "MissingEndpoints", "no addresses")}, ExitFailure,
			[]string{"is not Available: MissingEndpoints", "the pods of the Deployment epic-apiserver"}},
		{"etcd away", map[string]string{readyz: "[+]ping ok\n[-]etcd failed: reason withheld\n[+]claim-schema ok\n"}, ExitFailure,
			[]string{"etcd FAIL readyz check etcd fails", "etcd: check that a majority", "readiness OK"}},
		{"a permission missing", map[string]string{readyz: "[+]etcd ok\n[-]permission-list-namespaces failed: reason withheld\n"}, ExitFailure,
			[]string{"etcd OK", "readiness FAIL readyz fails: permission-list-namespaces", "the server's role lacks that rule"}},
		{"an answer that is none", map[string]string{readyz: "<html>"}, ExitFailure, []string{"readiness FAIL readyz did not answer with a list"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := i.raw
			defer func() { i.raw = before }()
			i.raw = map[string]string{}
			for path, body := range before {
				i.raw[path] = body
			}
			for path, body := range test.raw {
				i.raw[path] = body
			}
			i.run(t, "status").want(t, test.code, test.want...)
		})
	}
	t.Run("not installed", func(t *testing.T) {
		before := i.raw
		defer func() { i.raw = before }()
		i.raw = map[string]string{"/none": ""}
		i.run(t, "status").want(t, ExitFailure, "api service FAIL APIService v1.epic.acnodal.io does not exist", "install EPIC", "controller WARN no controller is running")
	})
	t.Run("programs", func(t *testing.T) {
		ctx := t.Context()
		lease, err := kube.CoordinationV1().Leases("epic-system").Get(ctx, "epic-controller", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		lease.Spec.RenewTime = &metav1.MicroTime{Time: time.Now().Add(-5 * time.Minute)}
		if _, err := kube.CoordinationV1().Leases("epic-system").Update(ctx, lease, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		set, err := kube.AppsV1().DaemonSets("epic-node").Get(ctx, "epic-node", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		set.Status.NumberReady = 1
		if _, err := kube.AppsV1().DaemonSets("epic-node").Update(ctx, set, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		slice, err := kube.DiscoveryV1().EndpointSlices("epic-system").Get(ctx, "epic-apiserver-1", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		slice.Endpoints[0].Conditions.Ready = ptr.To(false)
		if _, err := kube.DiscoveryV1().EndpointSlices("epic-system").Update(ctx, slice, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		i.run(t, "status").want(t, ExitFailure, "replicas WARN 1 of 2 are ready", "controller FAIL pod-1 was the leader, and has not renewed the Lease for 5m", "nodes WARN the node program is ready on 1 of 3 nodes")
	})
	t.Run("without rights", func(t *testing.T) {
		for resource, ns := range map[string]string{"leases": "epic-system", "daemonsets": "epic-node", "endpointslices": "epic-system"} {
			i.beside().PrependReactor("*", resource, func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New(`User "jane" cannot list resource`))
			})
			r := i.run(t, "status")
			r.want(t, ExitFailure*boolCode(resource != "endpointslices"), "WARN unknown: you may not", resource, "in namespace "+ns, "epic-auditor")
		}
	})
}

// boolCode is the exit code of a status in which the replicas are not there.
func boolCode(replicasMissing bool) int {
	if replicasMissing {
		return 1
	}
	return 0
}
