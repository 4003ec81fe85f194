// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/acnodal/epic/pkg/apis/epic"
	rt "github.com/acnodal/epic/pkg/registry/registrytest"
)

func forbidden(t *testing.T, err error, words ...string) {
	t.Helper()
	if !apierrors.IsForbidden(err) {
		t.Errorf("got %v, want a 403", err)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q lacks %q", err, w)
		}
	}
}

func limited(name string, limit *int32) *epic.Account {
	account := rt.Account(name)
	account.Spec.ProxyLimit = limit
	return account
}

// Load balancers and gateway proxies count together, in a dry run too.
func TestLimit(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	account := rt.MustCreate(w, limited("few", new(int32(2))))
	exceeded := func() {
		t.Helper()
		for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
			_, err := rt.Create(w, rt.LoadBalancer("few", "more", "offered"), dryRun...)
			forbidden(t, err, "Account proxy limit exceeded: account few may have")
			_, err = rt.Create(w, rt.GWProxy("few", "more", "offered"), dryRun...)
			forbidden(t, err, "Account proxy limit exceeded: account few may have")
		}
	}
	lb := rt.MustCreate(w, rt.LoadBalancer("few", "a", "offered"))
	for range 3 { // a dry run takes nothing
		if _, err := rt.Create(w, rt.GWProxy("few", "b", "offered"), metav1.DryRunAll); err != nil {
			t.Error(err)
		}
	}
	gwp := rt.MustCreate(w, rt.GWProxy("few", "b", "offered"))
	if lb.Status.QuotaPlace == gwp.Status.QuotaPlace || lb.Status.QuotaPlace < 1 || gwp.Status.QuotaPlace < 1 {
		t.Errorf("places %d and %d", lb.Status.QuotaPlace, gwp.Status.QuotaPlace)
	}
	exceeded()
	rt.MustUpdate(w, lb)
	// Existing proxies stay when the limit is lowered, and count.
	*account.Spec.ProxyLimit = 1
	account = rt.MustUpdate(w, account)
	rt.MustDelete(w, gwp)
	exceeded()
	*account.Spec.ProxyLimit = 2
	rt.MustUpdate(w, account)
	rt.MustCreate(w, rt.GWProxy("few", "b", "offered"))
	exceeded()
	rt.MustDelete(w, lb)
	rt.MustCreate(w, rt.GWProxy("few", "c", "offered"))
}

func TestDefaultLimit(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	rt.MustCreate(w, rt.Prefix("many", "203.0.113.0-203.0.113.255", "203.0.113.0/24"))
	rt.MustCreate(w, rt.Group("epic", "many", "many"))
	rt.MustCreate(w, limited("usual", nil))
	for i := range epic.DefaultProxyLimit {
		rt.MustCreate(w, rt.LoadBalancer("usual", fmt.Sprint("lb", i), "many"))
	}
	_, err := rt.Create(w, rt.LoadBalancer("usual", "more", "many"))
	forbidden(t, err, fmt.Sprintf("may have %d load balancers", epic.DefaultProxyLimit))
}

// While a creation is planned, another request changes what the plan has read. The
// creation then goes by what is true when it is written.
func TestParentsChangeDuringCreation(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *rt.World)
		check  func(t *testing.T, err error)
	}{
		"the limit": {
			func(w *rt.World) { rt.MustUpdate(w, limited("one", new(int32(0)))) },
			func(t *testing.T, err error) { forbidden(t, err, "Account proxy limit exceeded") },
		},
		"the account": {
			func(w *rt.World) { rt.MustDelete(w, rt.Account("one")) },
			func(t *testing.T, err error) { rt.Refused(t, err, "metadata.namespace", "create Account one") },
		},
		"the group": {
			func(w *rt.World) { rt.MustDelete(w, rt.Group("epic", "offered", "default")) },
			func(t *testing.T, err error) { rt.Refused(t, err, "create the LBServiceGroup first") },
		},
		"the pool": {
			func(w *rt.World) { rt.MustUpdate(w, rt.Prefix("default", "192.0.2.1-192.0.2.9", "192.0.2.0/24")) },
			func(t *testing.T, err error) {
				rt.Refused(t, err, "spec.public-address", "not in pool 192.0.2.1-192.0.2.9")
			},
		},
	} {
		// The second attempt remembers nothing: it rests on what it read itself.
		for _, attempt := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, attempt %d", name, attempt), func(t *testing.T) {
				w := rt.New(t)
				rt.Standard(w)
				rt.MustDelete(w, rt.MustCreate(w, rt.LoadBalancer("one", "first", "offered")))
				attempts, done := 0, false
				w.Authorize = func(authorizer.Attributes) authorizer.Decision {
					attempts++
					switch {
					case attempts == attempt:
						done = true
						c.change(w)
					case !done:
						other := rt.Prefix("default", rt.PublicPool, "192.0.2.0/24")
						other.Annotations = map[string]string{"example.com/changed": "yes"}
						rt.MustUpdate(w, other)
					}
					return authorizer.DecisionAllow
				}
				lb := rt.LoadBalancer("one", "a", "offered")
				lb.Spec.PublicAddress = "192.0.2.14"
				lb.Spec.EnvoyReplicaCount = new(int32(5)) // needs a permission
				_, err := rt.Create(w, lb)
				if !done {
					t.Fatal("nothing was changed")
				}
				c.check(t, err)
			})
		}
	}
}

func TestParents(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	rt.MustCreate(w, rt.Group("epic-two", "own", "default"))
	rt.MustCreate(w, rt.Group("epic-one", "both", "default"))
	rt.MustCreate(w, rt.Group("epic", "both", "dual"))
	going := rt.Group("epic", "going", "default")
	going.Finalizers = []string{"example.com/hold"}
	rt.MustDelete(w, rt.MustCreate(w, going))
	leaving := rt.Account("leaving")
	leaving.Finalizers = []string{"example.com/hold"}
	rt.MustDelete(w, rt.MustCreate(w, leaving))
	for name, c := range map[string]struct {
		account, group string
		words          []string
	}{
		"no group":                   {"one", "", []string{"must name a service group"}},
		"a group that is not there":  {"one", "nope", []string{"looked for in namespaces epic-one and epic"}},
		"another account's group":    {"one", "own", []string{"looked for in namespaces epic-one and epic"}},
		"a group that is deleted":    {"one", "going", []string{"the LBServiceGroup is being deleted"}},
		"no account":                 {"three", "offered", []string{"metadata.namespace", "create Account three"}},
		"an account that is deleted": {"leaving", "offered", []string{"Account leaving is being deleted"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
				_, err := rt.Create(w, rt.LoadBalancer(c.account, "x", c.group), dryRun...)
				rt.Refused(t, err, c.words...)
				_, err = rt.Create(w, rt.GWProxy(c.account, "x", c.group), dryRun...)
				rt.Refused(t, err, c.words...)
			}
		})
	}
	// The account's own group goes before one that is offered to all.
	lb := rt.MustCreate(w, rt.LoadBalancer("one", "a", "both"))
	for label, want := range map[string]string{
		epic.OwningAccountLabel: "one", epic.OwningLBServiceGroupLabel: "both", epic.OwningLBServiceGroupNamespaceLabel: "epic-one", epic.OwningServicePrefixLabel: "default",
	} {
		if lb.Labels[label] != want {
			t.Errorf("label %s is %q, want %q", label, lb.Labels[label], want)
		}
	}
	// A parent stays while it has children, of whichever kind.
	rt.Refused(t, rt.Delete(w, rt.Group("epic-one", "both", "default")), "others depend on it", "loadbalancer epic-one/a")
	rt.MustCreate(w, rt.GWProxy("two", "b", "offered"))
	rt.MustDelete(w, rt.Group("epic-two", "own", "default"))
	rt.Refused(t, rt.Delete(w, rt.Group("epic", "offered", "default")), "others depend on it", "gwproxy epic-two/b")
	rt.Refused(t, rt.Delete(w, rt.Account("two")), "others depend on it", "gwproxy epic-two/b")
}

func TestCopiesFromGroup(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	group := rt.Group("epic", "wide", "default")
	group.Spec.EnvoyReplicaCount = new(int32(3))
	group.Spec.EnvoyTemplate = &epic.EnvoyConfigSpec{NodeID: "group"}
	rt.MustCreate(w, group)
	w.Authorize = func(authorizer.Attributes) authorizer.Decision { return authorizer.DecisionNoOpinion }
	lb := rt.MustCreate(w, rt.LoadBalancer("one", "a", "wide"))
	if *lb.Spec.EnvoyReplicaCount != 3 || lb.Spec.EnvoyTemplate == nil || lb.Spec.EnvoyTemplate.NodeID != "group" {
		t.Errorf("%+v", lb.Spec)
	}
	fewer := rt.LoadBalancer("one", "b", "wide")
	fewer.Spec.EnvoyReplicaCount, fewer.Spec.EnvoyTemplate = new(int32(2)), &epic.EnvoyConfigSpec{NodeID: "group"}
	if fewer = rt.MustCreate(w, fewer); *fewer.Spec.EnvoyReplicaCount != 2 {
		t.Errorf("%d replicas", *fewer.Spec.EnvoyReplicaCount)
	}
}

// A write with more than the group has needs the permission; others don't.
func TestGrants(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	var asked []authorizer.Attributes
	decision := authorizer.DecisionNoOpinion
	w.Authorize = func(a authorizer.Attributes) authorizer.Decision {
		asked = append(asked, a)
		return decision
	}
	template := &epic.EnvoyConfigSpec{NodeID: "mine"}
	for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
		lb := rt.LoadBalancer("one", "lb", "offered")
		lb.Spec.EnvoyTemplate = template
		_, err := rt.Create(w, lb, dryRun...)
		forbidden(t, err, "spec.envoy-template", "update on loadbalancers/envoytemplate", "leave it out")
		gwp := rt.GWProxy("one", "gwp", "offered")
		gwp.Spec.EnvoyReplicaCount = new(int32(2))
		_, err = rt.Create(w, gwp, dryRun...)
		forbidden(t, err, "spec.envoy-replica-count", "update on gwproxies/envoytemplate", "more than the limit of 1 in group offered")
	}
	a := asked[len(asked)-1]
	if a.GetUser().GetName() != rt.User || a.GetVerb() != "update" || a.GetNamespace() != "epic-one" || a.GetAPIGroup() != epic.GroupName ||
		a.GetResource() != "gwproxies" || a.GetSubresource() != "envoytemplate" || a.GetName() != "gwp" || !a.IsResourceRequest() {
		t.Errorf("asked about %+v", a)
	}
	asked = nil
	lb := rt.MustCreate(w, rt.LoadBalancer("one", "lb", "offered"))
	lb.Spec.EnvoyReplicaCount = new(int32(1))
	lb = rt.MustUpdate(w, lb)
	if len(asked) > 0 {
		t.Errorf("asked about %+v", asked)
	}
	for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
		more := lb.DeepCopy()
		more.Spec.EnvoyReplicaCount = new(int32(2))
		_, err := rt.Update(w, more, dryRun...)
		forbidden(t, err, "spec.envoy-replica-count")
		more = lb.DeepCopy()
		more.Spec.EnvoyTemplate = template
		_, err = rt.Update(w, more, dryRun...)
		forbidden(t, err, "spec.envoy-template")
	}
	decision = authorizer.DecisionAllow
	lb.Spec.EnvoyReplicaCount, lb.Spec.EnvoyTemplate = new(int32(4)), template
	lb = rt.MustUpdate(w, lb)
	// What it has once it may keep, and reduce.
	decision = authorizer.DecisionDeny
	lb.Spec.DisplayName = "other"
	lb = rt.MustUpdate(w, lb)
	lb.Spec.EnvoyReplicaCount = new(int32(3))
	rt.MustUpdate(w, lb)
}

// A dry run on an exhausted pool is refused as the creation is.
func TestExhaustedPool(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	rt.MustCreate(w, rt.Prefix("small", "203.0.113.0/30", "203.0.113.0/30"))
	rt.MustCreate(w, rt.Group("epic", "small", "small"))
	for i, want := range []string{"203.0.113.1", "203.0.113.2"} {
		lb := rt.MustCreate(w, rt.LoadBalancer("one", fmt.Sprint("lb", i), "small"))
		if lb.Spec.PublicAddress != want {
			t.Errorf("assigned %s, want %s", lb.Spec.PublicAddress, want)
		}
	}
	for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
		_, err := rt.Create(w, rt.LoadBalancer("one", "more", "small"), dryRun...)
		rt.Refused(t, err, "spec.public-address", "IP address allocation failed", "203.0.113.0/30", "is in use")
	}
	// The network and broadcast addresses are for those who ask for them.
	for i, address := range []string{"203.0.113.0", "203.0.113.3"} {
		lb := rt.LoadBalancer("two", fmt.Sprint("lb", i), "small")
		lb.Spec.PublicAddress = address
		rt.MustCreate(w, lb)
	}
	rt.MustDelete(w, rt.LoadBalancer("one", "lb0", "small"))
	if _, err := rt.Create(w, rt.LoadBalancer("one", "more", "small"), metav1.DryRunAll); err != nil {
		t.Errorf("a dry run with an address left: %v", err)
	}
}
