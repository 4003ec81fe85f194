// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

func TestParents(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	parents := storeFor(t, b, "parents", &idRules{space: TunnelIDs})
	children := storeFor(t, b, "children", &idRules{space: TunnelIDs, parent: "parents"})
	if _, err := create(t.Context(), children, "children", pod("c", parentAnnotation, "p")); !apierrors.IsBadRequest(err) {
		t.Errorf("a child without its parent: %v", err)
	}
	mustCreate(t, parents, "parents", pod("p"))
	mustCreate(t, children, "children", pod("c", parentAnnotation, "p"))
	if err := remove(t.Context(), parents, "parents", "p"); !apierrors.IsForbidden(err) {
		t.Errorf("a parent goes before its child: %v", err)
	}
	// Marking it for deletion is refused as well.
	err := parents.GuaranteedUpdate(t.Context(), key("parents", "p"), &example.Pod{}, false, nil, storage.SimpleUpdate(func(in runtime.Object) (runtime.Object, error) {
		now := metav1.Now()
		in.(*example.Pod).DeletionTimestamp = &now
		return in, nil
	}), nil)
	if !apierrors.IsForbidden(err) {
		t.Errorf("a parent is marked for deletion before its child goes: %v", err)
	}
	// Changes of the parent are the child's writers' no concern, and the other
	// way round.
	mustAnnotate(t, parents, "parents", "p", wantAnnotation, "1")
	mustAnnotate(t, children, "children", "c", "x", "y")
	clean(t, b)
	if err := remove(t.Context(), children, "children", "c"); err != nil {
		t.Fatal(err)
	}
	if err := remove(t.Context(), parents, "parents", "p"); err != nil {
		t.Fatal(err)
	}
	clean(t, b)
}

// TestParentGoesMeanwhile: between the look at the parent and the write of the
// child the parent is deleted, and made again.
func TestParentGoesMeanwhile(t *testing.T) {
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("again=%v", again), func(t *testing.T) {
			b := newTestBackend(t, newPrefix())
			raw := rawClient(t, etcdEndpoint)
			parents := storeFor(t, b, "parents", &idRules{})
			rules := &idRules{parent: "parents"}
			mustCreate(t, parents, "parents", pod("p"))
			children := storeFor(t, b, "children", &funcRules{
				claims: func(p *example.Pod) *Set { return rules.Claims(p) },
				plan: func(ctx context.Context, p *Plan, _, obj *example.Pod) error {
					if err := rules.Plan(ctx, p, nil, obj); err != nil || rules.planned.Load() > 1 {
						return err
					}
					parent := strings.TrimSuffix(b.layout.root, ".claims/") + "parents/ns/p"
					value, err := raw.Get(ctx, parent)
					if err != nil {
						return err
					}
					if _, err := raw.Delete(ctx, parent); err != nil || !again {
						return err
					}
					_, err = raw.Put(ctx, parent, string(value.Kvs[0].Value))
					return err
				},
			})
			_, err := create(t.Context(), children, "children", pod("c", parentAnnotation, "p"))
			if again && err != nil || !again && !apierrors.IsBadRequest(err) {
				t.Errorf("got %v", err)
			}
			if n := rules.planned.Load(); n != 2 {
				t.Errorf("planned %d times", n)
			}
			clean(t, b)
		})
	}
}

// countRequests counts the requests to etcd of both of a server's clients.
func countRequests(b *Backend) func() int {
	n := &atomic.Int64{}
	kv := &countingKV{KV: b.client.KV, n: n}
	b.client.KV = kv
	return func() int { return int(n.Swap(0)) }
}

type countingKV struct {
	clientv3.KV
	n *atomic.Int64
}

func (c *countingKV) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	c.n.Add(1)
	return c.KV.Get(ctx, key, opts...)
}

func (c *countingKV) Do(ctx context.Context, op clientv3.Op) (clientv3.OpResponse, error) {
	c.n.Add(1)
	return c.KV.Do(ctx, op)
}

func (c *countingKV) Txn(ctx context.Context) clientv3.Txn {
	c.n.Add(1)
	return c.KV.Txn(ctx)
}

// familyRules make children of a parent whose annotation "limit" bounds them, and
// that go into the first of two groups that exists.
func familyRules() *funcRules {
	account := func(p *example.Pod) Ref { return Ref{Resource: "parents", Namespace: p.Namespace, Name: "account"} }
	return &funcRules{
		claims: func(p *example.Pod) *Set {
			s := &Set{}
			if n, err := strconv.ParseInt(p.Annotations["place"], 10, 32); err == nil {
				s.AddSlot(account(p), int32(n))
			}
			s.AddParent(account(p), string(p.UID))
			if g := p.Annotations["group"]; g != "" {
				s.AddParent(Ref{Resource: "parents", Namespace: p.Namespace, Name: g}, string(p.UID))
			}
			return s
		},
		plan: func(ctx context.Context, p *Plan, old, obj *example.Pod) error {
			if old != nil {
				return nil
			}
			objs, err := p.Read(ctx, account(obj))
			if err != nil {
				return err
			}
			if objs[0] == nil {
				return apierrors.NewBadRequest("there is no account")
			}
			p.DependOnContent(account(obj))
			groups := []Ref{{Resource: "parents", Namespace: obj.Namespace, Name: "own"}, {Resource: "parents", Namespace: obj.Namespace, Name: "offered"}}
			group, which, err := p.ReadFirst(ctx, groups...)
			if err != nil {
				return err
			}
			if group == nil {
				return apierrors.NewBadRequest("there is no group")
			}
			p.DependOnExistence(groups[which])
			obj.Annotations["group"] = groups[which].Name
			obj.Annotations["template"] = group.(*example.Pod).Annotations["template"]
			limit, err := strconv.ParseInt(objs[0].(*example.Pod).Annotations["limit"], 10, 32)
			if err != nil {
				return err
			}
			place, err := p.PickSlot(ctx, account(obj), int32(limit))
			if errors.Is(err, ErrExhausted) {
				return apierrors.NewForbidden(schema.GroupResource{}, obj.Name, err)
			}
			if err != nil {
				return err
			}
			obj.Annotations["place"] = fmt.Sprint(place)
			ids, err := p.AssignIDs(ctx, TunnelIDs, 1)
			if err != nil {
				return err
			}
			obj.Annotations["id"] = fmt.Sprint(ids[0])
			return nil
		},
		hasChildren: func(obj *example.Pod, _ Owner) error {
			return apierrors.NewForbidden(schema.GroupResource{}, obj.Name, errors.New("it has children"))
		},
	}
}

type family struct {
	b                 *Backend
	parents, children storage.Interface
}

func newFamily(t testing.TB, prefix string) *family {
	b := newTestBackend(t, prefix)
	return &family{b: b, parents: storeFor(t, b, "parents", &funcRules{hasChildren: familyRules().hasChildren}), children: storeFor(t, b, "children", familyRules())}
}

func TestCreateIsOneRequest(t *testing.T) {
	f := newFamily(t, newPrefix())
	requests := countRequests(f.b)
	mustCreate(t, f.parents, "parents", pod("account", "limit", "300"))
	mustCreate(t, f.parents, "parents", pod("offered"))
	mustCreate(t, f.children, "children", pod("first"))
	requests()
	const n = 100
	for i := range n {
		mustCreate(t, f.children, "children", pod(fmt.Sprint("c", i)))
	}
	// Next to the transactions there are reservations of blocks of IDs, which grow.
	if got := requests(); got > n+10 {
		t.Errorf("%d requests to etcd for %d creates", got, n)
	}
	// A parent of the first choice appears, which nobody has read.
	mustCreate(t, f.parents, "parents", pod("own"))
	if c := mustCreate(t, f.children, "children", pod("own-one")); c.Annotations["group"] != "own" {
		t.Errorf("it went into group %q, which comes after one that exists", c.Annotations["group"])
	}
	requests()
	mustCreate(t, f.children, "children", pod("own-two"))
	if got := requests(); got > 2 {
		t.Errorf("%d requests to etcd for one create", got)
	}
	clean(t, f.b)
}

// TestRememberedParents: whatever another server does to parents that this one
// remembers, writes come out as if it had read them.
func TestRememberedParents(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(t *testing.T, other *family)
		check  func(*example.Pod, error) bool
	}{
		"limit raised": {
			func(t *testing.T, f *family) { mustAnnotate(t, f.parents, "parents", "account", "limit", "3") },
			func(_ *example.Pod, err error) bool { return err == nil },
		},
		"limit lowered": {
			func(t *testing.T, f *family) { mustAnnotate(t, f.parents, "parents", "account", "limit", "1") },
			func(_ *example.Pod, err error) bool { return apierrors.IsForbidden(err) },
		},
		"the last slot is taken": {
			func(t *testing.T, f *family) { mustCreate(t, f.children, "children", pod("theirs")) },
			func(_ *example.Pod, err error) bool { return apierrors.IsForbidden(err) },
		},
		"a slot is freed": {
			func(t *testing.T, f *family) {
				mustCreate(t, f.children, "children", pod("theirs"))
				for _, name := range []string{"theirs", "mine"} {
					if err := remove(t.Context(), f.children, "children", name); err != nil {
						t.Fatal(err)
					}
				}
			},
			func(_ *example.Pod, err error) bool { return err == nil },
		},
		"template changed": {
			func(t *testing.T, f *family) { mustAnnotate(t, f.parents, "parents", "own", "template", "new") },
			func(p *example.Pod, err error) bool { return err == nil && p.Annotations["template"] == "new" },
		},
		"group gone, another offered": {
			func(t *testing.T, f *family) {
				mustCreate(t, f.parents, "parents", pod("offered"))
				for _, e := range [][2]string{{"children", "mine"}, {"parents", "own"}} {
					if err := remove(t.Context(), map[string]storage.Interface{"children": f.children, "parents": f.parents}[e[0]], e[0], e[1]); err != nil {
						t.Fatal(err)
					}
				}
			},
			func(p *example.Pod, err error) bool { return err == nil && p.Annotations["group"] == "offered" },
		},
		"group gone": {
			func(t *testing.T, f *family) {
				for _, e := range [][2]string{{"children", "mine"}, {"parents", "own"}} {
					if err := remove(t.Context(), map[string]storage.Interface{"children": f.children, "parents": f.parents}[e[0]], e[0], e[1]); err != nil {
						t.Fatal(err)
					}
				}
			},
			func(_ *example.Pod, err error) bool { return apierrors.IsBadRequest(err) },
		},
		"group gone and made again": {
			func(t *testing.T, f *family) {
				for _, e := range [][2]string{{"children", "mine"}, {"parents", "own"}} {
					if err := remove(t.Context(), map[string]storage.Interface{"children": f.children, "parents": f.parents}[e[0]], e[0], e[1]); err != nil {
						t.Fatal(err)
					}
				}
				mustCreate(t, f.parents, "parents", pod("own", "template", "again"))
			},
			func(p *example.Pod, err error) bool { return err == nil && p.Annotations["template"] == "again" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			prefix := newPrefix()
			this, other := newFamily(t, prefix), newFamily(t, prefix)
			mustCreate(t, this.parents, "parents", pod("account", "limit", "2"))
			mustCreate(t, this.parents, "parents", pod("own"))
			mustCreate(t, this.children, "children", pod("mine"))
			tc.change(t, other)
			out, err := create(t.Context(), this.children, "children", pod("next"))
			if !tc.check(out, err) {
				t.Errorf("got %v, %v", out.Annotations, err)
			}
			clean(t, this.b)
		})
	}
}

// TestRefusalRestsOnNoMemory: what is remembered forbids the write, and what is in
// etcd allows it.
func TestRefusalRestsOnNoMemory(t *testing.T) {
	prefix := newPrefix()
	this, other := newFamily(t, prefix), newFamily(t, prefix)
	mustCreate(t, this.parents, "parents", pod("account", "limit", "1"))
	mustCreate(t, this.parents, "parents", pod("own"))
	mustCreate(t, this.children, "children", pod("mine"))
	if _, err := create(t.Context(), this.children, "children", pod("second")); !apierrors.IsForbidden(err) {
		t.Fatalf("got %v", err)
	}
	mustAnnotate(t, other.parents, "parents", "account", "limit", "2")
	since := retriesSince(t)
	mustCreate(t, this.children, "children", pod("second"))
	if n := since(); n != 0 {
		t.Errorf("%v plans lost a race", n)
	}
}

func TestParentCacheIsBounded(t *testing.T) {
	c := newParentCache(1600)
	ref := func(n int) Ref { return Ref{Name: fmt.Sprint(n)} }
	for n := range 100 {
		c.add(ref(n), pod(fmt.Sprint(n)), revisions{mod: 5}, 100)
		c.get(ref(0))
	}
	if c.bytes > 1600 || len(c.entries) != 16 || c.order.Len() != 16 {
		t.Errorf("%d bytes, %d entries", c.bytes, len(c.entries))
	}
	if _, _, ok := c.get(ref(0)); !ok {
		t.Error("what is used all the time was dropped")
	}
	c.add(ref(99), pod("older"), revisions{mod: 4}, 100)
	if obj, _, ok := c.get(ref(99)); !ok || obj.(*example.Pod).Name != "99" {
		t.Error("an older answer replaced a newer one")
	}
	obj, _, _ := c.get(ref(99))
	obj.(*example.Pod).Name = "changed"
	if obj, _, _ := c.get(ref(99)); obj.(*example.Pod).Name != "99" {
		t.Error("a reader changed what is remembered")
	}
	c.add(ref(99), pod("large"), revisions{mod: 6}, 101)
	if _, _, ok := c.get(ref(99)); ok {
		t.Error("an object that is too large is remembered")
	}
	c.drop(ref(0), ref(1), ref(99))
	if c.bytes != 100*len(c.entries) || c.order.Len() != len(c.entries) {
		t.Errorf("%d bytes, %d entries, %d in order", c.bytes, len(c.entries), c.order.Len())
	}
}

// TestPlansShareReads: a plan that misses a parent which another plan reads just now
// waits for that read, and makes one of its own where that did not help.
func TestPlansShareReads(t *testing.T) {
	ref := Ref{Resource: "parents", Namespace: "ns", Name: "p"}
	for name, c := range map[string]struct {
		// there indicates that the parent is there before the first plan reads it. Else it
		// is created after that, before the first plan has the answer.
		there bool
		// fails indicates that the first plan's read fails.
		fails bool
		// fresh indicates that the second plan is a fresh one.
		fresh bool
		// requests are those of both plans.
		requests int
	}{
		"there":                 {there: true, requests: 1},
		"created in between":    {requests: 2},
		"the first read fails":  {there: true, fails: true, requests: 2},
		"a fresh one reads now": {there: true, fresh: true, requests: 2},
	} {
		for _, first := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, first of several: %v", name, first), func(t *testing.T) {
				prefix := newPrefix()
				parents := storeFor(t, newTestBackend(t, prefix), "parents", &idRules{})
				if c.there {
					mustCreate(t, parents, "parents", pod("p"))
				}
				b := newTestBackend(t, prefix)
				storeFor(t, b, "parents", &idRules{})
				faulty := breakEtcd(b)
				requests := countRequests(b)
				has, release := make(chan struct{}), make(chan struct{})
				releaseOnce := sync.OnceFunc(func() { close(release) })
				defer releaseOnce()
				var once atomic.Bool
				faulty.set(nil, func(resp *clientv3.TxnResponse, err error) (*clientv3.TxnResponse, error) {
					if once.Swap(true) {
						return resp, err
					}
					close(has)
					<-release
					if c.fails {
						return nil, errors.New("no answer")
					}
					return resp, err
				})
				read := func(p *Plan) (runtime.Object, error) {
					if first {
						obj, _, err := p.ReadFirst(t.Context(), Ref{Resource: "parents", Namespace: "ns", Name: "nobody"}, ref)
						return obj, err
					}
					objs, err := p.Read(t.Context(), ref)
					if err != nil {
						return nil, err
					}
					return objs[0], nil
				}
				one, two := make(chan error, 1), make(chan error, 1)
				go func() {
					obj, err := read(newPlan(b, false, false))
					if err == nil && (obj != nil) != c.there {
						err = fmt.Errorf("the first plan has %v", obj)
					}
					one <- err
				}()
				<-has
				go func() {
					p := newPlan(b, false, c.fresh)
					obj, err := read(p)
					if err == nil && (obj == nil || p.seen[ref].mod == 0 || p.relies() != (c.requests == 1)) {
						err = fmt.Errorf("the second plan has %v; %+v", obj, p.seen)
					}
					two <- err
				}()
				if c.fresh {
					select {
					case err := <-two:
						if err != nil {
							t.Error(err)
						}
					case <-time.After(20 * time.Second):
						t.Fatal("a fresh plan waits for another's read")
					}
				}
				// Time for the second plan to come while the first has no answer.
				time.Sleep(10 * time.Millisecond)
				if !c.there {
					mustCreate(t, parents, "parents", pod("p"))
				}
				releaseOnce()
				if err := <-one; (err != nil) != c.fails {
					t.Errorf("the first plan: %v", err)
				}
				if !c.fresh {
					if err := <-two; err != nil {
						t.Error(err)
					}
				}
				if n := requests(); n != c.requests {
					t.Errorf("%d requests, want %d", n, c.requests)
				}
			})
		}
	}
}

// TestWaitForReadEnds: a plan that waits for another's read ends with its request.
func TestWaitForReadEnds(t *testing.T) {
	c := newParentCache(1600)
	refs := []Ref{{Name: "a"}, {Name: "b"}}
	done, waited, err := c.lead(t.Context(), refs)
	if waited || err != nil {
		t.Fatalf("waited is %v, %v", waited, err)
	}
	other, waited, err := c.lead(t.Context(), refs[:1])
	if waited || err != nil {
		t.Fatalf("what nobody reads: waited is %v, %v", waited, err)
	}
	other()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := c.lead(ctx, refs); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	done()
	if done, waited, err = c.lead(t.Context(), refs); waited || err != nil {
		t.Errorf("after the end: waited is %v, %v", waited, err)
	}
	done()
}
