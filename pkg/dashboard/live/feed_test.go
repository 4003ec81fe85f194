// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned/fake"
	"github.com/acnodal/epic/pkg/overview"
)

// patience is how long anything may take on a loaded machine.
const patience = time.Minute

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "test"}}}
}

func balancer(namespace, name, address string) *v1.LoadBalancer {
	return &v1.LoadBalancer{ObjectMeta: named(namespace, name), Spec: v1.LoadBalancerSpec{PublicAddress: address}}
}

// run runs a feed until the test ends.
func run(t *testing.T, o Options) *Feed {
	t.Helper()
	if o.Contact == nil {
		o.Contact = func(context.Context) error { return nil }
	}
	o.Explain = func(verb, resource, namespace string, err error) overview.Unread {
		if apierrors.IsForbidden(err) {
			return overview.Unread{Missing: verb + " " + resource + " in " + namespace}
		}
		return overview.Unread{Message: err.Error()}
	}
	f := New(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		f.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return f
}

// await waits for a snapshot.
func await(t *testing.T, f *Feed, what string, is func(*Snapshot) bool) *Snapshot {
	t.Helper()
	deadline := time.After(patience)
	for {
		now, changed := f.Now()
		if is(now) {
			return now
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("No snapshot has %s: %+v, %+v", what, now, now.Model.Unread)
		}
	}
}

// proxies names all proxies.
func proxies(s *Snapshot) (out []string) {
	for _, a := range s.Model.Accounts {
		for _, p := range a.Proxies {
			out = append(out, a.Name+"/"+p.Name+"="+strings.Join(p.Addresses, ","))
		}
	}
	return out
}

func has(want ...string) func(*Snapshot) bool {
	return func(s *Snapshot) bool { return s.Loaded && slices.Equal(proxies(s), want) }
}

// An administrator sees everything, and what changes.
func TestFeed(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: named("epic-a", "one-1")}
	pod.Labels = map[string]string{epic.PartOfLabel: epic.ProductName, epic.ComponentLabel: epic.EnvoyComponent, epic.OwningLoadBalancerLabel: "one"}
	client := fake.NewClientset(balancer("epic-a", "one", "192.0.2.1"), balancer("epic-b", "two", "192.0.2.2"),
		&v1.EPIC{ObjectMeta: named(epic.ConfigNamespace, epic.ConfigName)}, &v1.Account{ObjectMeta: named("epic-a", "a")})
	var surveys, audits atomic.Int32
	f := run(t, Options{
		Epic: client, Kube: kubefake.NewClientset(pod),
		Survey: func(context.Context) *overview.Installation {
			surveys.Add(1)
			return &overview.Installation{Now: metav1.Now(), Server: overview.Server{Standalone: true}}
		},
		Audit: func(context.Context) *overview.Claims {
			audits.Add(1)
			return &overview.Claims{Clean: true}
		},
	})
	s := await(t, f, "both", has("a/one=192.0.2.1", "b/two=192.0.2.2"))
	if pods := s.Model.Accounts[0].Proxies[0].Pods; len(pods) != 1 || pods[0].Name != "one-1" {
		t.Errorf("%+v", pods)
	}
	await(t, f, "the checks", func(s *Snapshot) bool {
		return slices.ContainsFunc(s.Model.Checks, func(c overview.Check) bool { return c.Name == "claims" && c.Verdict == overview.OK })
	})
	ctx, lbs := t.Context(), client.EpicV1().LoadBalancers("epic-a")
	if _, err := lbs.Create(ctx, balancer("epic-a", "three", "192.0.2.3"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, f, "the new one", has("a/one=192.0.2.1", "a/three=192.0.2.3", "b/two=192.0.2.2"))
	if _, err := lbs.Update(ctx, balancer("epic-a", "one", "192.0.2.9"), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := lbs.Delete(ctx, "three", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, f, "both changes", has("a/one=192.0.2.9", "b/two=192.0.2.2"))
	if surveys.Load() != 1 || audits.Load() != 1 {
		t.Errorf("%d surveys, %d audits", surveys.Load(), audits.Load())
	}
	before, _ := f.Now()
	f.Touch()
	if after, _ := f.Now(); after.Sequence <= before.Sequence {
		t.Error("Touch changes nothing")
	}
}

// A tenant sees its own account, and the rest is named.
func TestFeedOfTenant(t *testing.T) {
	client := fake.NewClientset(balancer("epic-a", "one", "192.0.2.1"), balancer("epic-b", "two", "192.0.2.2"))
	client.PrependReactor("*", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if action.GetNamespace() == "epic-a" && action.GetResource().Resource != "accounts" {
			return false, nil, nil
		}
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: action.GetResource().Resource}, "", errors.New("no"))
	})
	f := run(t, Options{Epic: client, Namespaces: []string{"epic-a"}})
	s := await(t, f, "its own", has("a/one=192.0.2.1"))
	if s.Model.Accounts[0].Known {
		t.Error("The account is known")
	}
	var missing []string
	for _, u := range s.Model.Unread {
		missing = append(missing, u.Missing)
	}
	slices.Sort(missing)
	want := []string{"list accounts.epic.acnodal.io in epic-a", "list gatewaynodes.epic.acnodal.io in epic", "list lbservicegroups.epic.acnodal.io in epic"}
	if !slices.Equal(missing, want) {
		t.Errorf("%q, want %q", missing, want)
	}
	for _, action := range client.Actions() {
		if ns := action.GetNamespace(); ns != "epic-a" && ns != epic.ConfigNamespace {
			t.Errorf("%s %s in %q was asked for", action.GetVerb(), action.GetResource().Resource, ns)
		}
	}
}

// If the API is away, the last state stays; when it is back, so is the newest state.
func TestFeedAway(t *testing.T) {
	client := fake.NewClientset(balancer("epic-a", "one", "192.0.2.1"))
	var away atomic.Bool
	client.PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		return away.Load(), nil, errors.New("connection refused")
	})
	f := run(t, Options{Epic: client, Contact: func(context.Context) error {
		if away.Load() {
			return errors.New("can't reach the server")
		}
		return nil
	}})
	await(t, f, "the object", has("a/one=192.0.2.1"))
	away.Store(true)
	s := await(t, f, "that it is away", func(s *Snapshot) bool { return !s.Connected })
	if s.Error != "can't reach the server" || s.LastAnswer.IsZero() || !has("a/one=192.0.2.1")(s) {
		t.Errorf("%+v, %v", s, proxies(s))
	}
	away.Store(false)
	if _, err := client.EpicV1().LoadBalancers("epic-a").Create(t.Context(), balancer("epic-a", "two", "192.0.2.2"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, f, "the new object", func(s *Snapshot) bool {
		return s.Connected && s.Error == "" && has("a/one=192.0.2.1", "a/two=192.0.2.2")(s)
	})
}

// A kind that can't be read at first is read as soon as that is possible.
func TestFeedRetries(t *testing.T) {
	client := fake.NewClientset(balancer("epic-a", "one", "192.0.2.1"))
	var failures atomic.Int32
	client.PrependReactor("list", "loadbalancers", func(clienttesting.Action) (bool, runtime.Object, error) {
		return failures.Add(1) <= 2, nil, errors.New("etcd is slow")
	})
	f := run(t, Options{Epic: client})
	await(t, f, "why", func(s *Snapshot) bool {
		return slices.ContainsFunc(s.Model.Unread, func(u overview.Unread) bool { return strings.Contains(u.Message, "etcd is slow") })
	})
	s := await(t, f, "the object", has("a/one=192.0.2.1"))
	if len(s.Model.Unread) != 0 {
		t.Errorf("%+v", s.Model.Unread)
	}
}

// What a reader loses the right to see goes.
func TestFailed(t *testing.T) {
	f := New(Options{Epic: fake.NewClientset()})
	w := f.kinds[0]
	if err := w.store.Add(balancer("epic-a", "one", "")); err != nil {
		t.Fatal(err)
	}
	if w.failed(&overview.Unread{Message: "away"}, false); len(w.store.List()) != 1 {
		t.Error("It is gone when the API is away")
	}
	if w.failed(&overview.Unread{Missing: "list"}, true); len(w.store.List()) != 0 {
		t.Error("It stays without the right to see it")
	}
}

func TestSlim(t *testing.T) {
	f := New(Options{Epic: fake.NewClientset()})
	n := &notifying{Store: f.kinds[0].store, watched: f.kinds[0]}
	if err := n.Replace([]any{balancer("epic-a", "one", "")}, "1"); err != nil {
		t.Fatal(err)
	}
	if o, ok := n.List()[0].(*v1.LoadBalancer); !ok || len(o.ManagedFields) != 0 {
		t.Errorf("%+v", o)
	}
}
