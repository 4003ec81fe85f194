// SPDX-License-Identifier: Apache-2.0

package remoteendpoint_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	rt "github.com/acnodal/epic/pkg/registry/registrytest"
)

var realAndDry = [][]string{nil, {metav1.DryRunAll}}

// shop is a world with the load balancer "shop" of account "one", which clusters "c"
// and "d" use.
func shop(t *testing.T) (*rt.World, *epic.LoadBalancer) {
	t.Helper()
	w := rt.New(t)
	rt.Standard(w)
	lb := rt.LoadBalancer("one", "shop", "offered")
	lb.Spec.UpstreamClusters = []string{"c", "d"}
	return w, rt.MustCreate(w, lb)
}

func changed(change func(*epic.RemoteEndpoint)) *epic.RemoteEndpoint {
	rep := rt.RemoteEndpoint("one", "b", "shop", "203.0.113.1")
	change(rep)
	return rep
}

func TestCreation(t *testing.T) {
	w, lb := shop(t)
	rep := rt.MustCreate(w, rt.RemoteEndpoint("one", "a", "shop", "203.0.113.1"))
	ref := metav1.GetControllerOf(rep)
	if ref == nil || ref.UID != lb.UID || ref.Name != "shop" || ref.Kind != "LoadBalancer" || rep.Labels[epic.OwningAccountLabel] != "one" {
		t.Errorf("controller %+v, labels %v", ref, rep.Labels)
	}
	going := rt.LoadBalancer("one", "going", "offered")
	going.Spec.UpstreamClusters = []string{"c"}
	going.Finalizers = []string{"example.com/hold"}
	going = rt.MustCreate(w, going)
	going.Spec.UpstreamClusters = nil
	rt.MustDelete(w, rt.MustUpdate(w, going))

	for name, c := range map[string]struct {
		rep   *epic.RemoteEndpoint
		words []string
	}{
		"no load balancer": {changed(func(r *epic.RemoteEndpoint) { r.Labels = nil }), []string{epic.OwningLoadBalancerLabel}},
		"one that is not there": {changed(func(r *epic.RemoteEndpoint) { r.Labels[epic.OwningLoadBalancerLabel] = "nope" }),
			[]string{epic.OwningLoadBalancerLabel, "create the LoadBalancer in namespace epic-one first"}},
		"another account's": {changed(func(r *epic.RemoteEndpoint) { r.Namespace = "epic-two" }), []string{"create the LoadBalancer in namespace epic-two first"}},
		"one that is being deleted": {changed(func(r *epic.RemoteEndpoint) { r.Labels[epic.OwningLoadBalancerLabel] = "going" }),
			[]string{"is being deleted: use another"}},
		"another cluster":  {changed(func(r *epic.RemoteEndpoint) { r.Spec.Cluster = "e" }), []string{"spec.cluster", "has no cluster e"}},
		"another account":  {changed(func(r *epic.RemoteEndpoint) { r.Labels[epic.OwningAccountLabel] = "two" }), []string{epic.OwningAccountLabel, "leave it out"}},
		"a public address": {changed(func(r *epic.RemoteEndpoint) { r.Spec.Address = "192.0.2.5" }), []string{"spec.address", "a public address of this gateway"}},
		"a duplicate":      {changed(func(*epic.RemoteEndpoint) {}), []string{"spec.address", "duplicate endpoint: a"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, dryRun := range realAndDry {
				_, err := rt.Create(w, c.rep, dryRun...)
				rt.Refused(t, err, c.words...)
			}
		})
	}
}

// An endpoint is another one if anything in which they could differ differs.
func TestDuplicates(t *testing.T) {
	w, _ := shop(t)
	six := rt.LoadBalancer("one", "other", "offered")
	six.Spec.UpstreamClusters = []string{"c"}
	rt.MustCreate(w, six)
	first := rt.RemoteEndpoint("one", "first", "shop", "2001:db8:9::1")
	rt.MustCreate(w, first)
	same := changed(func(r *epic.RemoteEndpoint) { r.Spec.Address = "2001:db8:9:0:0:0:0:1" })
	if _, err := rt.Create(w, same); err == nil {
		t.Error("one address in two forms is taken for two")
	}
	for name, change := range map[string]func(*epic.RemoteEndpoint){
		"lb":       func(r *epic.RemoteEndpoint) { r.Labels[epic.OwningLoadBalancerLabel] = "other" },
		"cluster":  func(r *epic.RemoteEndpoint) { r.Spec.Cluster = "d" },
		"address":  func(r *epic.RemoteEndpoint) { r.Spec.Address = "2001:db8:9::2" },
		"port":     func(r *epic.RemoteEndpoint) { r.Spec.Port.Port = 81 },
		"protocol": func(r *epic.RemoteEndpoint) { r.Spec.Port.Protocol = "UDP" },
	} {
		rep := rt.RemoteEndpoint("one", name, "shop", "2001:db8:9::1")
		change(rep)
		if _, err := rt.Create(w, rep); err != nil {
			t.Errorf("another %s: %v", name, err)
		}
	}
	// An update into the place of another is refused, and one out of it frees it.
	rep := rt.MustCreate(w, rt.RemoteEndpoint("one", "moving", "shop", "2001:db8:9::3"))
	rep.Spec.Address = "2001:db8:9::1"
	for _, dryRun := range realAndDry {
		_, err := rt.Update(w, rep, dryRun...)
		rt.Refused(t, err, "spec.address", "duplicate endpoint: first")
	}
	rep.Spec.Address = "2001:db8:9::4"
	rt.MustUpdate(w, rep)
	rt.MustCreate(w, rt.RemoteEndpoint("one", "next", "shop", "2001:db8:9::3"))
}

func TestUpdates(t *testing.T) {
	w, lb := shop(t)
	rep := rt.RemoteEndpoint("one", "a", "shop", "192.0.2.5")
	rep.Spec.NodeAddress = "192.168.1.16"
	rep = rt.MustCreate(w, rep) // a tunnel leads to it
	for name, c := range map[string]struct {
		change func(*epic.RemoteEndpoint)
		words  []string
	}{
		"cluster":           {func(r *epic.RemoteEndpoint) { r.Spec.Cluster = "e" }, []string{"spec.cluster", "has no cluster e"}},
		"no node":           {func(r *epic.RemoteEndpoint) { r.Spec.NodeAddress = "" }, []string{"spec.address", "a public address of this gateway"}},
		"cluster, no node":  {func(r *epic.RemoteEndpoint) { r.Spec.Cluster, r.Spec.NodeAddress = "d", "" }, []string{"a public address of this gateway"}},
		"a host's loopback": {func(r *epic.RemoteEndpoint) { r.Spec.Address, r.Spec.NodeAddress = "127.0.0.1", "" }, []string{"spec.address"}},
	} {
		out := rep.DeepCopy()
		c.change(out)
		for _, dryRun := range realAndDry {
			_, err := rt.Update(w, out, dryRun...)
			t.Run(name, func(t *testing.T) { rt.Refused(t, err, c.words...) })
		}
	}
	rep.Spec.Cluster = "d"
	rep = rt.MustUpdate(w, rep)
	// A write without the reference keeps it.
	rep.OwnerReferences = nil
	if rep = rt.MustUpdate(w, rep); metav1.GetControllerOf(rep) == nil || metav1.GetControllerOf(rep).UID != lb.UID {
		t.Errorf("owners %+v", rep.OwnerReferences)
	}
	// Without tunnels nothing but the address protects the gateway cluster.
	direct := rt.LoadBalancer("one", "direct", "offered")
	direct.Spec.UpstreamClusters, direct.Spec.TrueIngress = []string{"c"}, ptr.To(false)
	rt.MustCreate(w, direct)
	inside := rt.RemoteEndpoint("one", "inside", "direct", "192.0.2.6")
	inside.Spec.NodeAddress = "192.168.1.16"
	_, err := rt.Create(w, inside)
	rt.Refused(t, err, "a public address of this gateway")
	inside.Spec.Address = "203.0.113.9"
	inside = rt.MustCreate(w, inside)
	inside.Spec.Address = "192.0.2.6"
	_, err = rt.Update(w, inside)
	rt.Refused(t, err, "a public address of this gateway")
}

// Endpoints that an earlier load balancer of that name left behind give way, and are not
// adopted.
func TestLeftovers(t *testing.T) {
	w, lb := shop(t)
	old := rt.MustCreate(w, rt.RemoteEndpoint("one", "old", "shop", "203.0.113.1"))
	kept := rt.MustCreate(w, rt.RemoteEndpoint("one", "kept", "shop", "203.0.113.2"))
	lb.Spec.UpstreamClusters = nil
	rt.MustDelete(w, rt.MustUpdate(w, lb))
	if got := w.Problems(); got != nil {
		t.Errorf("endpoints that wait for the garbage collector: %q", got)
	}
	again := rt.LoadBalancer("one", "shop", "offered")
	again.Spec.UpstreamClusters = []string{"c", "d"}
	again = rt.MustCreate(w, again)
	kept.Spec.Cluster = "d"
	_, err := rt.Update(w, kept)
	rt.Refused(t, err, "was deleted, and another has its name", "create it again")
	fresh := rt.MustCreate(w, rt.RemoteEndpoint("one", "fresh", "shop", "203.0.113.1"))
	if metav1.GetControllerOf(fresh).UID != again.UID {
		t.Errorf("owners %+v", fresh.OwnerReferences)
	}
	if _, err := rt.Get(w, old); err == nil {
		t.Error("the endpoint of the earlier load balancer is still there")
	}
	// That of the load balancer that is there keeps its place.
	_, err = rt.Create(w, rt.RemoteEndpoint("one", "second", "shop", "203.0.113.1"))
	rt.Refused(t, err, "duplicate endpoint: fresh")
}

// remake deletes a load balancer and creates another of its name.
func remake(w *rt.World, lb *epic.LoadBalancer) *epic.LoadBalancer {
	lb = lb.DeepCopy()
	lb.Spec.UpstreamClusters = nil
	rt.MustDelete(w, rt.MustUpdate(w, lb))
	again := rt.LoadBalancer("one", lb.Name, "offered")
	again.Spec.UpstreamClusters = []string{"c", "d"}
	return rt.MustCreate(w, again)
}

// Between the look at the load balancer and the write it is deleted, and another gets
// its name: the endpoint belongs to the one that is there.
func TestLoadBalancerGoesMeanwhile(t *testing.T) {
	t.Run("creation", func(t *testing.T) {
		w, lb := shop(t)
		var again *epic.LoadBalancer
		w.DuringCheck = func() { again = remake(w, lb) }
		rep := rt.MustCreate(w, rt.RemoteEndpoint("one", "a", "shop", "203.0.113.1"))
		if again == nil || metav1.GetControllerOf(rep).UID != again.UID {
			t.Errorf("owners %+v, want %+v", rep.OwnerReferences, again)
		}
	})
	t.Run("creation, and none follows", func(t *testing.T) {
		w, lb := shop(t)
		w.DuringCheck = func() {
			lb.Spec.UpstreamClusters = nil
			rt.MustDelete(w, rt.MustUpdate(w, lb))
		}
		_, err := rt.Create(w, rt.RemoteEndpoint("one", "a", "shop", "203.0.113.1"))
		rt.Refused(t, err, epic.OwningLoadBalancerLabel, "create the LoadBalancer")
	})
	t.Run("update of one without a reference", func(t *testing.T) {
		w, lb := shop(t)
		rep := rt.MustCreate(w, rt.RemoteEndpoint("one", "a", "shop", "203.0.113.1"))
		w.Damage(rep, `"ownerReferences"`, `"otherReferences"`)
		rep.OwnerReferences, rep.ResourceVersion = nil, ""
		rep.Spec.Address = "203.0.113.2"
		w.DuringCheck = func() {
			// Of the same second are only those that were created in it.
			lb = remake(w, lb)
			made := lb.CreationTimestamp.UTC().Format("2006-01-02T15:04:05Z")
			w.Damage(lb, made, "2100-01-01T00:00:00Z")
		}
		if rep = rt.MustUpdate(w, rep); w.DuringCheck != nil || len(rep.OwnerReferences) != 0 {
			t.Errorf("owners %+v", rep.OwnerReferences)
		}
	})
}

// An endpoint that has no reference gets one to the load balancer that it belongs to,
// and to no other.
func TestMissingReference(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *rt.World, lb *epic.LoadBalancer)
		owned  bool
	}{
		"there": {func(*rt.World, *epic.LoadBalancer) {}, true},
		"being deleted": {func(w *rt.World, lb *epic.LoadBalancer) {
			lb.Finalizers, lb.Spec.UpstreamClusters = []string{"example.com/hold"}, nil
			rt.MustDelete(w, rt.MustUpdate(w, lb))
		}, false},
		"a later one of the name": {func(w *rt.World, lb *epic.LoadBalancer) {
			made := lb.CreationTimestamp.UTC().Format("2006-01-02T15:04:05Z")
			w.Damage(lb, made, "2100-01-01T00:00:00Z")
		}, false},
		"gone": {func(w *rt.World, lb *epic.LoadBalancer) {
			lb.Spec.UpstreamClusters = nil
			rt.MustDelete(w, rt.MustUpdate(w, lb))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, lb := shop(t)
			rep := rt.MustCreate(w, rt.RemoteEndpoint("one", "a", "shop", "203.0.113.1"))
			w.Damage(rep, `"ownerReferences"`, `"otherReferences"`)
			c.change(w, lb)
			rep.OwnerReferences, rep.ResourceVersion = nil, ""
			rep.Labels["example.com/changed"] = "yes"
			if rep = rt.MustUpdate(w, rep); (metav1.GetControllerOf(rep) != nil) != c.owned {
				t.Errorf("owners %+v", rep.OwnerReferences)
			}
		})
	}
}

// An address that is denied later stays, until it is changed.
func TestDeniedLater(t *testing.T) {
	w, lb := shop(t)
	rep := rt.MustCreate(w, rt.RemoteEndpoint("one", "a", "shop", "203.0.113.1"))
	rt.MustCreate(w, rt.Prefix("later", "203.0.113.0/24", "203.0.113.0/24"))
	rep.Labels["example.com/changed"] = "yes"
	rep = rt.MustUpdate(w, rep)
	moved := rep.DeepCopy()
	moved.Spec.Address = "203.0.113.2"
	_, err := rt.Update(w, moved)
	rt.Refused(t, err, "spec.address", "a public address of this gateway")
	// An endpoint with a node may have it, also when its load balancer is gone.
	lb.Spec.UpstreamClusters = nil
	rt.MustDelete(w, rt.MustUpdate(w, lb))
	moved.Spec.NodeAddress = "192.168.1.16"
	rt.MustUpdate(w, moved)
}

func TestAudit(t *testing.T) {
	for name, c := range map[string]struct {
		old, text string
		want      []string
	}{
		"another account":       {`owning-account":"one"`, `owning-account":"two"`, []string{"owning-account", "should be one"}},
		"no load balancer":      {`owning-loadbalancer":"shop"`, `other":"shop"`, []string{"owning-loadbalancer", "belong to a load balancer"}},
		"another's label":       {`owning-loadbalancer":"shop"`, `owning-loadbalancer":"other"`, []string{"metadata.ownerReferences", "should be other"}},
		"no reference":          {`"ownerReferences"`, `"otherReferences"`, []string{"metadata.ownerReferences", "no reference to load balancer shop"}},
		"no controller":         {`"controller":true`, `"controller":false`, []string{"metadata.ownerReferences", "no reference to load balancer shop"}},
		"another's UID":         {"UID", "00000000-0000-0000-0000-000000000000", []string{"metadata.ownerReferences", "the UID of load balancer shop"}},
		"a reference elsewhere": {`"kind":"LoadBalancer","name":"shop"`, `"kind":"LoadBalancer","name":"other"`, []string{"metadata.ownerReferences", "should be shop"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, lb := shop(t)
			rep := rt.MustCreate(w, rt.RemoteEndpoint("one", "a", "shop", "203.0.113.1"))
			// It was created long after the load balancer.
			made := rep.CreationTimestamp.UTC().Format("2006-01-02T15:04:05Z")
			w.Damage(rep, made, "2100-01-01T00:00:00Z")
			if got := w.Problems(); got != nil {
				t.Fatalf("before: %q", got)
			}
			if c.old == "UID" {
				c.old = string(lb.UID)
			}
			w.Damage(rep, c.old, c.text)
			got := strings.Join(w.Problems(), "\n")
			for _, s := range append(c.want, "Broken ") {
				if !strings.Contains(got, s) {
					t.Errorf("found %q, want %q", got, s)
				}
			}
		})
	}
}
