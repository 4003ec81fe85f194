// SPDX-License-Identifier: Apache-2.0

package loadbalancer_test

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	rt "github.com/acnodal/epic/pkg/registry/registrytest"
)

// serving is a load balancer that a tenant's cluster uses.
func serving(name string) *epic.LoadBalancer {
	lb := rt.LoadBalancer("one", name, "offered")
	lb.Spec.UpstreamClusters = []string{"c"}
	return lb
}

// The error ends with the text that existing clients look for, and names the command
// that fixes it.
func TestDeletionWithClusters(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	lb := rt.MustCreate(w, serving("web"))
	for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
		err := rt.Delete(w, lb, dryRun...)
		rt.Refused(t, err, "spec.upstream-clusters",
			`kubectl patch loadbalancers.epic.acnodal.io --namespace epic-one web --type merge --patch '{"spec":{"upstream-clusters":null}}'`)
		if err != nil && !strings.HasSuffix(err.Error(), "has upstream clusters, can't delete") {
			t.Errorf("published clients do not know %q", err)
		}
	}
	lb.Spec.UpstreamClusters = nil
	rt.MustDelete(w, rt.MustUpdate(w, lb))
}

// With its namespace a load balancer goes, whether clusters use it or none does.
func TestDeletionWithItsNamespace(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	rt.MustCreate(w, serving("web"))
	rt.MustCreate(w, rt.LoadBalancer("one", "idle", "offered"))
	other := serving("other")
	other.Namespace = "epic-two"
	rt.MustCreate(w, other)
	w.Terminating["epic-one"] = true
	rt.MustDelete(w, serving("web"))
	rt.MustDelete(w, rt.LoadBalancer("one", "idle", "offered"))
	rt.Refused(t, rt.Delete(w, other), "has upstream clusters")
}

// A load balancer whose deletion has started gets no further clusters, and goes
// when its last finalizer does, whatever clusters it has.
func TestTerminating(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	lb := rt.LoadBalancer("one", "web", "offered")
	lb.Finalizers = []string{"example.com/hold"}
	lb = rt.MustCreate(w, lb)
	rt.MustDelete(w, lb)
	lb, err := rt.Get(w, lb)
	if err != nil || lb.DeletionTimestamp == nil {
		t.Fatalf("%v, %v", lb, err)
	}
	lb.Spec.UpstreamClusters = []string{"c"}
	for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
		_, err = rt.Update(w, lb, dryRun...)
		rt.Refused(t, err, "spec.upstream-clusters[0]", "is being deleted")
	}
	// Data of former releases may have clusters all the same.
	w.Damage(lb, `"public-ports"`, `"upstream-clusters":["c"],"public-ports"`)
	if lb, err = rt.Get(w, lb); err != nil {
		t.Fatal(err)
	}
	lb.Spec.UpstreamClusters = []string{"c"}
	lb.ResourceVersion = ""
	lb.Finalizers = nil
	if _, err := rt.Update(w, lb); err != nil {
		t.Errorf("the end of a deletion: %v", err)
	}
	if _, err := rt.Get(w, lb); !apierrors.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
	if got := w.Problems(); got != nil {
		t.Errorf("left %q", got)
	}
}

// Service IDs count in each account.
func TestServiceIDs(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	var ids []int32
	for _, lb := range []*epic.LoadBalancer{
		rt.LoadBalancer("one", "a", "offered"), rt.LoadBalancer("one", "b", "offered"), rt.LoadBalancer("two", "a", "offered"),
	} {
		dry, err := rt.Create(w, lb, metav1.DryRunAll)
		if err != nil || dry.Spec.ServiceID != 0 {
			t.Errorf("a dry run: service-id %d, %v", dry.Spec.ServiceID, err)
		}
		ids = append(ids, rt.MustCreate(w, lb).Spec.ServiceID)
	}
	if ids[0] != 1 || ids[1] != 2 || ids[2] != 1 {
		t.Errorf("service IDs %v", ids)
	}
}
