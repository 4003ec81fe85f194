// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
	clientset "github.com/acnodal/epic/pkg/generated/clientset/versioned"
	typed "github.com/acnodal/epic/pkg/generated/clientset/versioned/typed/epic/v1"
)

// recreation is a load balancer with an endpoint that outlives it, because it has
// another owner as well.
type recreation struct {
	t       *testing.T
	kubectl kubectl
	api     typed.EpicV1Interface
	account *epicv1.Account
}

func newRecreation(t *testing.T) *recreation {
	server := testserver.StartTestServer(t)
	r := &recreation{t: t, kubectl: newKubectl(t, server.Kubeconfig), api: clientset.NewForConfigOrDie(server.Config).EpicV1()}
	r.kubectl.apply(t, tenants, "apply", "-f", "-")
	r.kubectl.run(t, "delete", "-n", "epic-one", "rep", "pod1")
	var err error
	if r.account, err = r.api.Accounts("epic-one").Get(t.Context(), "one", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	return r
}

// endpoint is one of the load balancer "first".
func (r *recreation) endpoint(name, address string, port int32) *epicv1.RemoteEndpoint {
	return &epicv1.RemoteEndpoint{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"epic.acnodal.io/owning-loadbalancer": "first"}},
		Spec:       epicv1.RemoteEndpointSpec{Cluster: "c1", Address: address, NodeAddress: "10.0.0.1", Port: epicv1.EndpointPort{Port: port}},
	}
}

// lasting makes an endpoint outlive its load balancer.
func (r *recreation) lasting(rep *epicv1.RemoteEndpoint) *epicv1.RemoteEndpoint {
	rep.OwnerReferences = append(rep.OwnerReferences, metav1.OwnerReference{APIVersion: "epic.acnodal.io/v1", Kind: "Account", Name: "one", UID: r.account.UID})
	return rep
}

func (r *recreation) create(rep *epicv1.RemoteEndpoint) *epicv1.RemoteEndpoint {
	r.t.Helper()
	out, err := r.api.RemoteEndpoints("epic-one").Create(r.t.Context(), rep, metav1.CreateOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// again deletes the load balancer and creates it again.
func (r *recreation) again() *epicv1.LoadBalancer {
	r.t.Helper()
	ctx, lbs := context.Background(), r.api.LoadBalancers("epic-one")
	if _, err := lbs.Patch(ctx, "first", types.MergePatchType, []byte(`{"spec":{"upstream-clusters":[]}}`), metav1.PatchOptions{}); err != nil {
		r.t.Fatal(err)
	}
	background := metav1.DeletePropagationBackground
	if err := lbs.Delete(ctx, "first", metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		r.t.Fatal(err)
	}
	lb, err := lbs.Create(ctx, &epicv1.LoadBalancer{
		ObjectMeta: metav1.ObjectMeta{Name: "first"}, Spec: epicv1.LoadBalancerSpec{ServiceGroup: "offered", UpstreamClusters: []string{"c1"}},
	}, metav1.CreateOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	return lb
}

func controller(rep *epicv1.RemoteEndpoint) types.UID {
	if c := metav1.GetControllerOf(rep); c != nil {
		return c.UID
	}
	return ""
}

// Endpoints of a load balancer that is gone keep nobody out of the next one of that
// name, by creation or by update.
func TestEndpointsOfARecreatedLoadBalancer(t *testing.T) {
	r := newRecreation(t)
	ctx, reps := t.Context(), r.api.RemoteEndpoints("epic-one")
	r.create(r.lasting(r.endpoint("old-a", "10.1.1.1", 80)))
	r.create(r.lasting(r.endpoint("old-b", "10.1.1.2", 80)))
	held := r.endpoint("old-held", "10.1.1.3", 80)
	held.Finalizers = []string{"tenant.example/keep"}
	r.create(r.lasting(held))
	lb := r.again()

	// A dry run describes what a write would, and removes nothing.
	if _, err := reps.Create(ctx, r.endpoint("new-a", "10.1.1.1", 80), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Errorf("a dry run: %v", err)
	}
	if _, err := reps.Get(ctx, "old-a", metav1.GetOptions{}); err != nil {
		t.Errorf("after a dry run: %v", err)
	}
	if created := r.create(r.endpoint("new-a", "10.1.1.1", 80)); controller(created) != lb.UID {
		t.Errorf("the endpoint belongs to %s, and the load balancer is %s", controller(created), lb.UID)
	}
	if _, err := reps.Get(ctx, "old-a", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the old endpoint: %v", err)
	}
	moved := r.create(r.endpoint("new-b", "10.1.1.9", 80))
	moved.Spec.Address = "10.1.1.2"
	if _, err := reps.Update(ctx, moved, metav1.UpdateOptions{}); err != nil {
		t.Errorf("an update to the address of an old endpoint: %v", err)
	}
	if _, err := reps.Get(ctx, "old-b", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the old endpoint: %v", err)
	}
	// Somebody has to finish with this one first.
	if _, err := reps.Create(ctx, r.endpoint("new-held", "10.1.1.3", 80), metav1.CreateOptions{}); !apierrors.IsInvalid(err) || !strings.HasSuffix(err.Error(), "duplicate endpoint: old-held") {
		t.Errorf("an endpoint with a finalizer: %v", err)
	}
	// What belongs to the load balancer that is there keeps others out.
	if _, err := reps.Create(ctx, r.endpoint("twice", "10.1.1.1", 80), metav1.CreateOptions{}); !apierrors.IsInvalid(err) || !strings.HasSuffix(err.Error(), "duplicate endpoint: new-a") {
		t.Errorf("a duplicate: %v", err)
	}
	// An old endpoint can't be moved into the new load balancer either.
	old, err := reps.Get(ctx, "old-held", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.api.LoadBalancers("epic-one").Patch(ctx, "first", types.MergePatchType, []byte(`{"spec":{"upstream-clusters":["c1","c2"]}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	old.Spec.Cluster = "c2"
	if _, err := reps.Update(ctx, old, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "another has its name") {
		t.Errorf("an old endpoint that joins another cluster: %v", err)
	}
	cleanAudit(t, r.kubectl)
}

// Many clients at once find the same old endpoints in their way.
func TestEndpointsOfARecreatedLoadBalancerAtOnce(t *testing.T) {
	r := newRecreation(t)
	const count = 20
	for i := range count {
		r.create(r.lasting(r.endpoint(fmt.Sprintf("old-%d", i), fmt.Sprintf("10.1.2.%d", i), 80)))
	}
	r.again()
	results := make(chan error, 2*count)
	for i := range count {
		for _, name := range []string{"x", "y"} {
			go func() {
				_, err := r.api.RemoteEndpoints("epic-one").Create(context.Background(), r.endpoint(fmt.Sprintf("new-%s-%d", name, i), fmt.Sprintf("10.1.2.%d", i), 80), metav1.CreateOptions{})
				results <- err
			}()
		}
	}
	won := 0
	for range 2 * count {
		switch err := <-results; {
		case err == nil:
			won++
		case !strings.Contains(err.Error(), "duplicate endpoint: new-"):
			t.Error(err)
		}
	}
	if won != count {
		t.Errorf("%d of %d were created", won, count)
	}
	cleanAudit(t, r.kubectl)
}

// No write takes an endpoint from its load balancer, or gives it another
// controller.
func TestOwnerReferenceIsRestored(t *testing.T) {
	r := newRecreation(t)
	ctx, reps := t.Context(), r.api.RemoteEndpoints("epic-one")
	rep := r.create(r.endpoint("a", "10.1.1.1", 80))
	owner := rep.OwnerReferences[0]
	foreign := fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","name":"mine","uid":"%s","controller":true}`, r.account.UID)
	other := fmt.Sprintf(`{"apiVersion":"epic.acnodal.io/v1","kind":"Account","name":"one","uid":"%s"}`, r.account.UID)
	weak := fmt.Sprintf(`{"apiVersion":"epic.acnodal.io/v1","kind":"LoadBalancer","name":"other","uid":"%s"}`, owner.UID)
	apply := func(refs string) string {
		return `{"apiVersion":"epic.acnodal.io/v1","kind":"RemoteEndpoint","metadata":{"name":"a","ownerReferences":[` + refs + `]}}`
	}
	check := func(what string, others int, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		now, err := reps.Get(ctx, "a", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(now.OwnerReferences) != 1+others || controller(now) != owner.UID || metav1.GetControllerOf(now).Name != "first" {
			t.Errorf("%s: the owners are %+v", what, now.OwnerReferences)
		}
	}
	for _, dryRun := range [][]string{{metav1.DryRunAll}, nil} {
		force := true
		for _, p := range []struct {
			what   string
			kind   types.PatchType
			body   string
			others int
		}{
			{"a merge patch of null", types.MergePatchType, `{"metadata":{"ownerReferences":null}}`, 0},
			{"a merge patch of an empty list", types.MergePatchType, `{"metadata":{"ownerReferences":[]}}`, 0},
			{"a merge patch of another controller", types.MergePatchType, `{"metadata":{"ownerReferences":[` + foreign + `]}}`, 0},
			{"a merge patch that weakens it", types.MergePatchType, `{"metadata":{"ownerReferences":[` + weak + `]}}`, 0},
			{"a JSON patch", types.JSONPatchType, `[{"op":"remove","path":"/metadata/ownerReferences"}]`, 0},
			{"a JSON patch of its UID", types.JSONPatchType, fmt.Sprintf(`[{"op":"replace","path":"/metadata/ownerReferences/0/uid","value":"%s"}]`, r.account.UID), 0},
			{"a strategic merge patch", types.StrategicMergePatchType, fmt.Sprintf(`{"metadata":{"ownerReferences":[{"$patch":"delete","uid":"%s"}]}}`, owner.UID), 0},
			{"an apply of another controller", types.ApplyPatchType, apply(foreign), 0},
			{"an apply of another owner", types.ApplyPatchType, apply(other), 1},
			{"an apply of none", types.ApplyPatchType, apply(""), 0},
		} {
			options := metav1.PatchOptions{DryRun: dryRun}
			if p.kind == types.ApplyPatchType {
				options.FieldManager, options.Force = "tenant", &force
			}
			_, err := reps.Patch(ctx, "a", p.kind, []byte(p.body), options)
			if dryRun != nil {
				p.others = 0
			}
			check(p.what, p.others, err)
		}
		now, err := reps.Get(ctx, "a", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		now.OwnerReferences = nil
		_, err = reps.Update(ctx, now, metav1.UpdateOptions{DryRun: dryRun})
		check("an update", 0, err)
		_, err = reps.UpdateStatus(ctx, now, metav1.UpdateOptions{DryRun: dryRun})
		check("an update of the status", 0, err)
	}
	cleanAudit(t, r.kubectl)
}
