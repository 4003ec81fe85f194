// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"google.golang.org/grpc/codes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/component-base/metrics/testutil"
)

const (
	// want asks for a number of IDs, have lists those that were assigned.
	wantAnnotation = "want"
	haveAnnotation = "have"
	// address asks for an address, or is the one assigned.
	addressAnnotation = "address"
	// parent names an object in the same namespace.
	parentAnnotation = "parent"
)

// idRules assign as many tunnel IDs as a pod wants, dropping the oldest when it
// has too many, an address of a pool, and a parent.
type idRules struct {
	space  Space
	pool   Pool
	parent string // resource
	// planned counts the plans.
	planned atomic.Int64
}

var _ Rules = &idRules{}

func ids(pod *example.Pod) []int32 {
	var out []int32
	for f := range strings.FieldsSeq(pod.Annotations[haveAnnotation]) {
		n, err := strconv.ParseInt(f, 10, 32)
		if err != nil {
			panic(err)
		}
		out = append(out, int32(n))
	}
	return out
}

func setIDs(pod *example.Pod, ids []int32) {
	var b strings.Builder
	for _, id := range ids {
		_, _ = fmt.Fprint(&b, id, " ")
	}
	pod.Annotations[haveAnnotation] = b.String()
}

func (r *idRules) parentRef(pod *example.Pod) (Ref, bool) {
	name := pod.Annotations[parentAnnotation]
	return Ref{Resource: r.parent, Namespace: pod.Namespace, Name: name}, name != ""
}

func (r *idRules) Claims(obj runtime.Object) *Set {
	pod := obj.(*example.Pod)
	s := &Set{}
	for _, id := range ids(pod) {
		s.AddID(r.space, id)
	}
	if a, err := netip.ParseAddr(pod.Annotations[addressAnnotation]); err == nil {
		s.AddAddress(a)
	}
	if ref, ok := r.parentRef(pod); ok {
		s.AddParent(ref, string(pod.UID))
	}
	return s
}

func (r *idRules) Plan(ctx context.Context, p *Plan, _, obj runtime.Object) error {
	r.planned.Add(1)
	pod := obj.(*example.Pod)
	if ref, ok := r.parentRef(pod); ok {
		objs, err := p.Read(ctx, ref)
		if err != nil {
			return err
		}
		if objs[0] == nil {
			return apierrors.NewBadRequest("the parent is not there")
		}
		p.DependOnExistence(ref)
	}
	if p.Preview() {
		return nil
	}
	if want, err := strconv.Atoi(pod.Annotations[wantAnnotation]); err == nil {
		have := ids(pod)
		have = have[max(0, len(have)-want):]
		more, err := p.AssignIDs(ctx, r.space, want-len(have))
		if errors.Is(err, ErrExhausted) {
			return apierrors.NewBadRequest("no ID is left")
		}
		if err != nil {
			return err
		}
		setIDs(pod, append(have, more...))
	}
	if pod.Annotations[addressAnnotation] == "any" {
		a, err := p.PickAddress(ctx, r.pool)
		if errors.Is(err, ErrExhausted) {
			return apierrors.NewBadRequest("no address is left")
		}
		if err != nil {
			return err
		}
		pod.Annotations[addressAnnotation] = a.String()
	}
	return nil
}

func (r *idRules) PlanDelete(context.Context, *Plan, runtime.Object) error { return nil }

func (r *idRules) Taken(_ runtime.Object, c Claim, _ Owner) error {
	return apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, c.Kind(), nil)
}

func (r *idRules) HasChildren(obj runtime.Object, child Owner) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, obj.(*example.Pod).Name, fmt.Errorf("%s depends on it", child.Resource))
}

func pod(name string, annotations ...string) *example.Pod {
	p := &example.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name), Annotations: map[string]string{}}}
	for i := 0; i < len(annotations); i += 2 {
		p.Annotations[annotations[i]] = annotations[i+1]
	}
	return p
}

func key(resource, name string) string { return "/" + resource + "/ns/" + name }

func create(ctx context.Context, s storage.Interface, resource string, p *example.Pod) (*example.Pod, error) {
	out := &example.Pod{}
	return out, s.Create(ctx, key(resource, p.Name), p, out, 0)
}

func mustCreate(t testing.TB, s storage.Interface, resource string, p *example.Pod) *example.Pod {
	t.Helper()
	out, err := create(t.Context(), s, resource, p)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// annotate sets annotations of a stored pod.
func annotate(ctx context.Context, s storage.Interface, resource, name string, annotations ...string) (*example.Pod, error) {
	out := &example.Pod{}
	err := s.GuaranteedUpdate(ctx, key(resource, name), out, false, nil, storage.SimpleUpdate(func(in runtime.Object) (runtime.Object, error) {
		p := in.(*example.Pod)
		if p.Annotations == nil {
			p.Annotations = map[string]string{}
		}
		for i := 0; i < len(annotations); i += 2 {
			p.Annotations[annotations[i]] = annotations[i+1]
		}
		return p, nil
	}), nil)
	return out, err
}

func mustAnnotate(t testing.TB, s storage.Interface, resource, name string, annotations ...string) *example.Pod {
	t.Helper()
	out, err := annotate(t.Context(), s, resource, name, annotations...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func remove(ctx context.Context, s storage.Interface, resource, name string) error {
	return s.Delete(ctx, key(resource, name), &example.Pod{}, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{})
}

func counter(t testing.TB, read func() (float64, error)) func() float64 {
	t.Helper()
	value := func() float64 {
		v, err := read()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	before := value()
	return func() float64 { return value() - before }
}

func retriesSince(t testing.TB) func() float64 {
	return counter(t, func() (float64, error) { return testutil.GetCounterMetricValue(retries) })
}

func foreignSince(t testing.TB) func() float64 {
	return counter(t, func() (float64, error) { return testutil.GetCounterMetricValue(foreignReleases) })
}

func TestLifeOfAnObject(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	rules := &idRules{space: TunnelIDs}
	s := storeFor(t, b, "pods", rules)
	before := dump(t, b)
	p := mustCreate(t, s, "pods", pod("a", wantAnnotation, "3"))
	if got := ids(p); !slices.Equal(got, []int32{1, 2, 3}) {
		t.Errorf("got %v", got)
	}
	clean(t, b)
	p = mustAnnotate(t, s, "pods", "a", wantAnnotation, "2")
	if got := ids(p); !slices.Equal(got, []int32{2, 3}) {
		t.Errorf("got %v", got)
	}
	p = mustAnnotate(t, s, "pods", "a", wantAnnotation, "4")
	if got := ids(p); !slices.Equal(got, []int32{2, 3, 4, 5}) {
		t.Errorf("got %v", got)
	}
	clean(t, b)
	if last, err := b.Last(t.Context(), TunnelIDs, GroupIDs); err != nil || !slices.Equal(last, []int32{5, 0}) {
		t.Errorf("last is %v, %v", last, err)
	}
	// What changes nothing writes nothing.
	same := mustAnnotate(t, s, "pods", "a", wantAnnotation, "4")
	if same.ResourceVersion != p.ResourceVersion {
		t.Error("an update without a change was written")
	}
	if err := remove(t.Context(), s, "pods", "a"); err != nil {
		t.Fatal(err)
	}
	clean(t, b)
	for k := range dump(t, b) {
		if _, ok := before[k]; !ok && !strings.HasSuffix(k, "/cursor/tunnel") && !strings.HasSuffix(k, "/last/tunnel") {
			t.Errorf("%s is left behind", k)
		}
	}
}

// TestLimits: 1,024 tunnels gained, lost and swapped in one write, also where
// their IDs lie apart.
func TestLimits(t *testing.T) {
	for _, fragmented := range []bool{false, true} {
		t.Run(fmt.Sprintf("fragmented=%v", fragmented), func(t *testing.T) {
			t.Parallel()
			b := newTestBackend(t, newPrefix())
			rules := &idRules{space: Space{name: "tunnel", size: MaxID, minBlock: 4096, maxBlock: 4096, turns: true}}
			if fragmented {
				// Pieces of 25, which the write takes 41 of, after many too short.
				rules.space.size = 4096
				var puts []clientv3.Op
				for n := uint64(1); n <= 4096; n++ {
					if n <= 1000 && n%2 == 0 || n > 1000 && n%26 == 0 {
						puts = append(puts, clientv3.OpPut(b.layout.claim(Claim{kind: "tunnel", number: n}), "pods/ns/other/uid"))
					}
				}
				for chunk := range slices.Chunk(puts, 128) {
					if _, err := b.client.Txn(t.Context()).Then(chunk...).Commit(); err != nil {
						t.Fatal(err)
					}
				}
			}
			s := storeFor(t, b, "pods", rules)
			mustCreate(t, s, "pods", pod("a"))
			p := mustAnnotate(t, s, "pods", "a", wantAnnotation, "1024")
			gained := ids(p)
			if len(gained) != 1024 {
				t.Fatalf("%d gained", len(gained))
			}
			held := func() (n int) {
				for _, v := range dump(t, b) {
					if v == "pods/ns/a/uid-a" {
						n++
					}
				}
				return n
			}
			if n := held(); n != 1024 {
				t.Errorf("%d claims", n)
			}
			// All are exchanged for others in one write.
			p = mustAnnotate(t, s, "pods", "a", haveAnnotation, "")
			swapped := ids(p)
			for _, id := range swapped {
				if slices.Contains(gained, id) {
					t.Fatalf("%d is kept", id)
				}
			}
			if n := held(); n != 1024 || len(swapped) != 1024 {
				t.Errorf("%d claims of %d", n, len(swapped))
			}
			// Of every two one goes: the rest is all in pieces, and so is what goes.
			var odd []int32
			for i, id := range swapped {
				if i%2 == 0 {
					odd = append(odd, id)
				}
			}
			p = mustAnnotate(t, s, "pods", "a", wantAnnotation, "512", haveAnnotation, strings.Trim(fmt.Sprint(odd), "[]"))
			if n := held(); n != 512 || len(ids(p)) != 512 {
				t.Errorf("%d claims of %d", n, len(ids(p)))
			}
			mustAnnotate(t, s, "pods", "a", wantAnnotation, "1024")
			if n := held(); n != 1024 {
				t.Errorf("%d claims", n)
			}
			p = mustAnnotate(t, s, "pods", "a", wantAnnotation, "0")
			if n := held(); n != 0 || len(ids(p)) != 0 {
				t.Errorf("%d claims of %d", n, len(ids(p)))
			}
			mustAnnotate(t, s, "pods", "a", wantAnnotation, "1024")
			if err := remove(t.Context(), s, "pods", "a"); err != nil {
				t.Fatal(err)
			}
			if n := held(); n != 0 {
				t.Errorf("%d claims", n)
			}
		})
	}
}

// TestScattered: 1,024 IDs of which no two follow each other can be lost and
// exchanged in one write.
func TestScattered(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	rules := &idRules{space: TunnelIDs}
	s := storeFor(t, b, "pods", rules)
	other := mustCreate(t, s, "pods", pod("other", wantAnnotation, "1024"))
	a := mustCreate(t, s, "pods", pod("a", wantAnnotation, "1024"))
	// Both drop one half each and gain it again, until a holds 1,024 odd IDs.
	_ = other
	var odd []int32
	for _, id := range ids(a) {
		if id%2 == 1 {
			odd = append(odd, id)
		}
	}
	p := mustAnnotate(t, s, "pods", "a", haveAnnotation, strings.Trim(fmt.Sprint(odd), "[]"))
	odd = odd[:0]
	for _, id := range ids(p) {
		if id%2 == 1 {
			odd = append(odd, id)
		}
	}
	p = mustAnnotate(t, s, "pods", "a", haveAnnotation, strings.Trim(fmt.Sprint(odd), "[]"))
	if len(ids(p)) != 1024 {
		t.Fatalf("%d IDs", len(ids(p)))
	}
	p = mustAnnotate(t, s, "pods", "a", haveAnnotation, "")
	if len(ids(p)) != 1024 {
		t.Fatalf("%d IDs", len(ids(p)))
	}
	clean(t, b)
}

// TestFullTransaction: with all conditions that a write may have, it can still
// release claims in any number of pieces.
func TestFullTransaction(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	rules := &idRules{space: TunnelIDs}
	more := 0
	s := storeFor(t, b, "pods", &funcRules{
		claims: func(p *example.Pod) *Set { return rules.Claims(p) },
		planDelete: func(_ context.Context, p *Plan, _ *example.Pod) error {
			for i := range more {
				k := fmt.Sprint("/none/", i)
				p.conditions = append(p.conditions, condition{
					cmp: clientv3.Compare(clientv3.CreateRevision(k), "=", 0), key: k,
					failed: func(kvs []keyValue) bool { return len(kvs) > 0 }, err: stale("never"),
				})
			}
			return nil
		},
	})
	var apart string
	mustCreate(t, s, "pods", pod("a"))
	for i := range 120 {
		apart += fmt.Sprint(2*i+1, " ")
		if i%40 == 39 {
			mustAnnotate(t, s, "pods", "a", haveAnnotation, apart)
		}
	}
	// Beside these stand those of the object, the schema and the children.
	more = maxOps - 3 + 1
	if err := remove(t.Context(), s, "pods", "a"); err == nil || !strings.Contains(err.Error(), "conditions") {
		t.Errorf("got %v", err)
	}
	more = maxOps - 3
	if err := remove(t.Context(), s, "pods", "a"); err != nil {
		t.Error(err)
	}
	clean(t, b)
}

func TestTooManyPieces(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	s := storeFor(t, b, "pods", &idRules{space: TunnelIDs})
	var apart []string
	for i := range 100 {
		apart = append(apart, fmt.Sprint(2*i+1))
	}
	before := dump(t, b)
	if _, err := create(t.Context(), s, "pods", pod("a", haveAnnotation, strings.Join(apart, " "))); err == nil || !strings.Contains(err.Error(), "conditions") {
		t.Errorf("got %v", err)
	}
	if after := dump(t, b); len(after) != len(before) {
		t.Errorf("left behind: %v", after)
	}
}

func TestTakenClaims(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	rules := &idRules{space: TunnelIDs, pool: pool(t, "192.0.2.0/30")}
	s := storeFor(t, b, "pods", rules)
	mustCreate(t, s, "pods", pod("a", addressAnnotation, "192.0.2.1"))
	before := dump(t, b)
	if _, err := create(t.Context(), s, "pods", pod("b", addressAnnotation, "192.0.2.1")); !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
	// A number that was assigned beside the refused address is not lost.
	if _, err := create(t.Context(), s, "pods", pod("b", addressAnnotation, "192.0.2.1", wantAnnotation, "1")); !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
	if _, err := create(t.Context(), s, "pods", pod("b", haveAnnotation, "7 7")); !apierrors.IsInvalid(err) {
		t.Errorf("an object that claims one thing twice: got %v", err)
	}
	after := dump(t, b)
	delete(after, b.layout.cursor(TunnelIDs))
	if len(after) != len(before) {
		t.Errorf("left behind: %v", after)
	}
	if got := ids(mustCreate(t, s, "pods", pod("c", wantAnnotation, "1"))); !slices.Equal(got, []int32{1}) {
		t.Errorf("got %v", got)
	}
	// The object that exists is told before its claims are.
	if _, err := create(t.Context(), s, "pods", pod("a", addressAnnotation, "192.0.2.1")); !storage.IsExist(err) {
		t.Errorf("got %v", err)
	}
	if _, err := annotate(t.Context(), s, "pods", "c", addressAnnotation, "192.0.2.1"); !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
	clean(t, b)
}

// TestPickedAddressWasTaken: somebody asks for an address that lies in the block
// which a server has reserved. The server's next pick must get past it.
func TestPickedAddressWasTaken(t *testing.T) {
	prefix := newPrefix()
	a, b := newTestBackend(t, prefix), newTestBackend(t, prefix)
	rules := &idRules{pool: pool(t, "192.0.2.0/28")}
	sa, sb := storeFor(t, a, "pods", rules), storeFor(t, b, "pods", rules)
	if _, _, err := a.allocator.take(t.Context(), Space{name: rules.pool.space().name, size: 16, minBlock: 8, maxBlock: 8, pool: &rules.pool}, 1); err != nil {
		t.Fatal(err)
	}
	for i := 1; i < 8; i++ {
		mustCreate(t, sb, "pods", pod(fmt.Sprint("asked", i), addressAnnotation, fmt.Sprint("192.0.2.", i)))
	}
	n := retriesSince(t)
	p := mustCreate(t, sa, "pods", pod("picked", addressAnnotation, "any"))
	if got := p.Annotations[addressAnnotation]; got != "192.0.2.8" {
		t.Errorf("got %s", got)
	}
	if n() != 7 {
		t.Errorf("planned %v times too often, want 7", n())
	}
	// All others are to be had as well, and then there is none.
	for i := range 8 {
		mustCreate(t, sa, "pods", pod(fmt.Sprint("rest", i), addressAnnotation, "any"))
	}
	for _, s := range []storage.Interface{sa, sb} {
		if _, err := create(t.Context(), s, "pods", pod("more", addressAnnotation, "any")); !apierrors.IsBadRequest(err) {
			t.Errorf("got %v", err)
		}
	}
	if err := remove(t.Context(), sa, "pods", "asked3"); err != nil {
		t.Fatal(err)
	}
	if got := mustCreate(t, sb, "pods", pod("more", addressAnnotation, "any")).Annotations[addressAnnotation]; got != "192.0.2.3" {
		t.Errorf("got %s", got)
	}
	clean(t, a)
}

// TestLapsedNumbers: a write that took numbers which lapsed before it landed
// takes others.
func TestLapsedNumbers(t *testing.T) {
	prefix := newPrefix()
	a, b := newTestBackend(t, prefix), newTestBackend(t, prefix)
	rules := &idRules{space: Space{name: "tunnel", size: 10, minBlock: 5, maxBlock: 5, turns: true}}
	sa := storeFor(t, a, "pods", rules)
	mustCreate(t, sa, "pods", pod("a", wantAnnotation, "1"))
	take(t, b, rules.space, 5)
	take(t, b, rules.space, 1) // 2 of the next turn: 1 is in use
	n := retriesSince(t)
	p := mustCreate(t, sa, "pods", pod("b", wantAnnotation, "1"))
	if got := ids(p); !slices.Equal(got, []int32{6}) {
		t.Errorf("got %v, want 6: 2 to 5 had another turn meanwhile", got)
	}
	if n() != 1 {
		t.Errorf("planned %v times too often", n())
	}
	clean(t, a)
}

// TestCursorMadeAgainMeanwhile: between the assignment of a number and the write
// the numbering was deleted with its owner, and begun again for another.
func TestCursorMadeAgainMeanwhile(t *testing.T) {
	prefix := newPrefix()
	b, other := newTestBackend(t, prefix), newTestBackend(t, prefix)
	space := ServiceIDs(testAccount)
	times := 0
	s := storeFor(t, b, "pods", &funcRules{
		claims: func(p *example.Pod) *Set {
			s := &Set{}
			for _, id := range ids(p) {
				s.AddID(space, id)
			}
			return s
		},
		plan: func(ctx context.Context, p *Plan, _, obj *example.Pod) error {
			got, err := p.AssignIDs(ctx, space, 1)
			if err != nil {
				return err
			}
			setIDs(obj, got)
			if times++; times > 1 {
				return nil
			}
			if _, err := b.client.Delete(ctx, b.layout.cursor(space)); err != nil {
				return err
			}
			_, _, err = other.allocator.take(ctx, space, 1)
			return err
		},
	})
	if got := ids(mustCreate(t, s, "pods", pod("a"))); !slices.Equal(got, []int32{2}) || times != 2 {
		t.Errorf("got %v after %d plans; 1 is another's", got, times)
	}
}

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

func TestForeignClaimIsNotReleased(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	s := storeFor(t, b, "pods", &idRules{space: TunnelIDs})
	mustCreate(t, s, "pods", pod("a", haveAnnotation, "1 3 5 8"))
	foreign := Claim{kind: "tunnel", number: 3}
	hold(t, b, foreign)
	n := foreignSince(t)
	// An update that keeps it is none the wiser.
	mustAnnotate(t, s, "pods", "a", haveAnnotation, "1 3 5")
	if n() != 0 {
		t.Errorf("%v foreign releases", n())
	}
	if err := remove(t.Context(), s, "pods", "a"); err != nil {
		t.Fatal(err)
	}
	if n() != 1 {
		t.Errorf("%v foreign releases", n())
	}
	var left []string
	for k := range dump(t, b) {
		if strings.Contains(k, "/.claims/v1/") {
			left = append(left, k)
		}
	}
	if want := []string{b.layout.claim(foreign)}; !slices.Equal(left, want) {
		t.Errorf("left are %v, want %v", left, want)
	}
}

func TestSchema(t *testing.T) {
	prefix := newPrefix()
	b := newTestBackend(t, prefix)
	s := storeFor(t, b, "pods", &idRules{space: TunnelIDs})
	mustCreate(t, s, "pods", pod("a", wantAnnotation, "1"))
	raw := rawClient(t, etcdEndpoint)
	open := func() error {
		other, err := NewBackend(t.Context(), storagebackend.Config{Prefix: prefix, Transport: storagebackend.TransportConfig{ServerList: []string{etcdEndpoint}}})
		if err == nil {
			return other.Close()
		}
		return err
	}
	if err := errors.Join(b.Ready(t.Context()), open()); err != nil {
		t.Fatal(err)
	}
	for found, want := range map[string]string{"2": `etcd holds claim schema "2"`, "": "the claim schema key is missing"} {
		if _, err := raw.Delete(t.Context(), b.layout.schema()); err != nil {
			t.Fatal(err)
		}
		if found != "" {
			if _, err := raw.Put(t.Context(), b.layout.schema(), found); err != nil {
				t.Fatal(err)
			}
		}
		before := dump(t, b)
		_, creation := create(t.Context(), s, "pods", pod("b", wantAnnotation, "1"))
		_, update := annotate(t.Context(), s, "pods", "a", "x", "y"+found)
		deletion := remove(t.Context(), s, "pods", "a")
		for what, err := range map[string]error{"create": creation, "update": update, "delete": deletion} {
			if !apierrors.IsServiceUnavailable(err) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s beside schema %q: %v", what, found, err)
			}
		}
		for what, err := range map[string]error{"ready": b.Ready(t.Context()), "start": open()} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s beside schema %q: %v", what, found, err)
			}
		}
		if after := dump(t, b); len(after) != len(before) {
			t.Errorf("left behind: %v", after)
		}
	}
}

func TestEmptyPrefixIsClaimedOnce(t *testing.T) {
	prefix := newPrefix()
	raw := rawClient(t, etcdEndpoint)
	// Another's data beside the prefix does not matter.
	if _, err := raw.Put(t.Context(), prefix+"other/key", "x"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { newTestBackend(t, prefix) })
	}
	wg.Wait()
	resp, err := raw.Get(t.Context(), prefix+"/", clientv3.WithPrefix())
	if err != nil || len(resp.Kvs) != 1 || resp.Kvs[0].Version != 1 || string(resp.Kvs[0].Value) != SchemaVersion {
		t.Errorf("got %v, %v", resp.Kvs, err)
	}
}

func TestWriteWithoutPlanIsRefused(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	s := storeFor(t, b, "pods", &idRules{space: TunnelIDs})
	inner := s.(*store).Interface
	before := dump(t, b)
	if err := inner.Create(t.Context(), key("pods", "a"), pod("a"), &example.Pod{}, 0); !errors.Is(err, errNoPlan) {
		t.Errorf("got %v", err)
	}
	// A plan serves one write.
	w := &pending{}
	if err := s.(*store).prepare(t.Context(), w, nil, &Set{}, pod("a")); err != nil {
		t.Fatal(err)
	}
	ctx := withPending(t.Context(), w)
	if err := inner.Create(ctx, key("pods", "a"), pod("a"), &example.Pod{}, 0); err != nil {
		t.Fatal(err)
	}
	if err := inner.Create(ctx, key("pods", "b"), pod("b"), &example.Pod{}, 0); !errors.Is(err, errNoPlan) {
		t.Errorf("got %v", err)
	}
	if err := inner.Delete(t.Context(), key("pods", "a"), &example.Pod{}, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{}); !errors.Is(err, errNoPlan) {
		t.Errorf("got %v", err)
	}
	if after := dump(t, b); len(after) != len(before)+1 {
		t.Errorf("left behind: %v", after)
	}
}

func TestNothingExpires(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	s := storeFor(t, b, "pods", &idRules{space: TunnelIDs})
	if err := s.Create(t.Context(), key("pods", "a"), pod("a"), &example.Pod{}, 1); err == nil || !strings.Contains(err.Error(), "expire") {
		t.Errorf("got %v", err)
	}
	mustCreate(t, s, "pods", pod("a"))
	ttl := uint64(1)
	err := s.GuaranteedUpdate(t.Context(), key("pods", "a"), &example.Pod{}, false, nil, func(in runtime.Object, _ storage.ResponseMeta) (runtime.Object, *uint64, error) {
		return in, &ttl, nil
	}, nil)
	if err == nil || !strings.Contains(err.Error(), "expire") {
		t.Errorf("got %v", err)
	}
	if _, err := b.kube.Kubernetes.OptimisticPut(t.Context(), "/x", nil, 0, kubernetes.PutOptions{LeaseID: 1}); err == nil || !strings.Contains(err.Error(), "expire") {
		t.Errorf("got %v", err)
	}
}

// TestUnknownResult: etcd commits, and the server hears an error. The numbers
// are used, so they must not be handed out again.
func TestUnknownResult(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	s := storeFor(t, b, "pods", &idRules{space: TunnelIDs})
	mustCreate(t, s, "pods", pod("first", wantAnnotation, "1"))
	f := breakEtcd(b)
	f.set(nil, func(resp *clientv3.TxnResponse, err error) (*clientv3.TxnResponse, error) {
		return nil, context.DeadlineExceeded
	})
	if _, err := create(t.Context(), s, "pods", pod("a", wantAnnotation, "2")); !apierrors.IsTimeout(err) {
		t.Fatalf("got %v", err)
	}
	if _, err := annotate(t.Context(), s, "pods", "first", wantAnnotation, "2"); !apierrors.IsTimeout(err) {
		t.Fatalf("got %v", err)
	}
	f.set(nil, nil)
	n := retriesSince(t)
	if got := ids(mustCreate(t, s, "pods", pod("b", wantAnnotation, "1"))); !slices.Equal(got, []int32{5}) {
		t.Errorf("got %v, want 5", got)
	}
	if n() != 0 {
		t.Errorf("planned %v times too often: a number in use was handed out", n())
	}
	clean(t, b)
}

// TestNumbersGoBack: what a write took before it failed for certain is the next
// one's.
func TestNumbersGoBack(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	rules := &idRules{space: TunnelIDs}
	s := storeFor(t, b, "pods", rules)
	mustCreate(t, s, "pods", pod("a"))
	for name, fail := range map[string]func() error{
		"precondition": func() error {
			return s.GuaranteedUpdate(t.Context(), key("pods", "a"), &example.Pod{}, false, &storage.Preconditions{UID: new(types.UID)}, storage.SimpleUpdate(func(in runtime.Object) (runtime.Object, error) {
				return pod("a", wantAnnotation, "1"), nil
			}), nil)
		},
		"exists": func() error {
			_, err := create(t.Context(), s, "pods", pod("a", wantAnnotation, "1"))
			return err
		},
		"can't be written": func() error {
			_, err := create(t.Context(), s, "pods", pod("big", wantAnnotation, "1", "x", strings.Repeat("x", 1<<20+1<<19)))
			return err
		},
		"can't be written, in an update": func() error {
			_, err := annotate(t.Context(), s, "pods", "a", wantAnnotation, "1", "x", strings.Repeat("x", 3<<20))
			return err
		},
	} {
		if err := fail(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	// A conflict takes the number again with the next attempt.
	first := true
	_ = s.GuaranteedUpdate(t.Context(), key("pods", "a"), &example.Pod{}, false, nil, storage.SimpleUpdate(func(in runtime.Object) (runtime.Object, error) {
		if first {
			first = false
			mustAnnotate(t, s, "pods", "a", "x", "y")
		}
		in.(*example.Pod).Annotations = map[string]string{wantAnnotation: "1"}
		return in, nil
	}), nil)
	out := mustAnnotate(t, s, "pods", "a", "x", "z")
	if got := ids(out); !slices.Equal(got, []int32{1}) && !slices.Equal(got, []int32{3}) {
		t.Errorf("got %v", got)
	}
	clean(t, b)
}

func TestTooLarge(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	s := storeFor(t, b, "pods", &idRules{space: TunnelIDs})
	for _, size := range []int{1<<20 + 1<<19, 2 << 20, 4 << 20} {
		_, err := create(t.Context(), s, "pods", pod("big", "x", strings.Repeat("x", size)))
		if !apierrors.IsRequestEntityTooLargeError(err) {
			t.Errorf("%d bytes: got %v", size, err)
		}
		// The API server's handlers know it by this.
		if c, ok := err.(interface{ Code() codes.Code }); !ok || c.Code() != 3 || err.Error() != "etcdserver: request is too large" {
			t.Errorf("%d bytes: got %T %v", size, err, err)
		}
	}
	mustCreate(t, s, "pods", pod("big", "x", strings.Repeat("x", 1<<20)))
}

// TestUnreadableObjects can't be deleted through the API: nobody knows what
// they claim.
func TestUnreadableObjects(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	s := storeFor(t, b, "pods", &idRules{space: TunnelIDs})
	mustCreate(t, s, "pods", pod("a"))
	err := s.Delete(t.Context(), key("pods", "a"), &example.Pod{}, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{ExpectTransformOrDecodeError: true})
	if !apierrors.IsBadRequest(err) {
		t.Errorf("got %v", err)
	}
}

// TestStorms: a write whose plan never holds ends, with an error on which the
// client tries again.
func TestStorms(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	rules := &funcRules{plan: func(_ context.Context, p *Plan, _, _ *example.Pod) error {
		p.conditions = append(p.conditions, condition{
			cmp: clientv3.Compare(clientv3.CreateRevision("/never"), ">", 0), key: "/never",
			failed: func(kvs []keyValue) bool { return len(kvs) == 0 }, err: stale("never"),
		})
		return nil
	}}
	s := storeFor(t, b, "pods", rules)
	n := retriesSince(t)
	_, err := create(t.Context(), s, "pods", pod("a"))
	if !apierrors.IsTimeout(err) || n() != attempts {
		t.Errorf("got %v after %v", err, n())
	}
	if seconds, ok := apierrors.SuggestsClientDelay(err); !ok || seconds != 1 {
		t.Errorf("the client is not told to wait: %v", err)
	}
	// It ends with the request as well.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := retry(ctx, func() error { return &staleError{} }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestSilentRules: rules that have no error for what they refuse must not let
// the etcd store take the write for landed.
func TestSilentRules(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	s := storeFor(t, b, "pods", &funcRules{
		claims: func(*example.Pod) *Set { s := &Set{}; s.AddUnique("x", "y"); return s },
		taken:  func(*example.Pod, Claim, Owner) error { return nil },
	})
	mustCreate(t, s, "pods", pod("a"))
	if _, err := create(t.Context(), s, "pods", pod("b")); err == nil || storage.IsExist(err) {
		t.Errorf("got %v", err)
	}
	hold(t, b, Claim{kind: childKind(Ref{"pods", "ns", "a"}), name: "uid"})
	if err := remove(t.Context(), s, "pods", "a"); err == nil || storage.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
	if err := b.PreviewDelete(t.Context(), "pods", pod("a")); err == nil {
		t.Error("the dry run says that it can be deleted")
	}
}

func TestPreview(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	parents := storeFor(t, b, "parents", &idRules{})
	children := storeFor(t, b, "children", &idRules{space: TunnelIDs, parent: "parents", pool: pool(t, "192.0.2.0/24")})
	mustCreate(t, parents, "parents", pod("p"))
	c := mustCreate(t, children, "children", pod("c", parentAnnotation, "p", addressAnnotation, "192.0.2.1"))
	before := dump(t, b)
	for name, tc := range map[string]struct {
		old, obj *example.Pod
		want     func(error) bool
	}{
		"fine":            {nil, pod("d", parentAnnotation, "p", addressAnnotation, "192.0.2.2", wantAnnotation, "3"), nil},
		"its own address": {c, pod("c", parentAnnotation, "p", addressAnnotation, "192.0.2.1"), nil},
		"taken address":   {nil, pod("d", addressAnnotation, "192.0.2.1"), apierrors.IsInvalid},
		"twice":           {nil, pod("d", haveAnnotation, "9 9"), apierrors.IsInvalid},
		"no parent":       {nil, pod("d", parentAnnotation, "x"), apierrors.IsBadRequest},
	} {
		var old runtime.Object
		if tc.old != nil {
			old = tc.old
		}
		err := b.Preview(t.Context(), "children", old, tc.obj)
		if tc.want == nil && err != nil || tc.want != nil && !tc.want(err) {
			t.Errorf("%s: got %v", name, err)
		}
		if tc.obj.Annotations[wantAnnotation] != "" && tc.obj.Annotations[haveAnnotation] != "" {
			t.Errorf("%s: a preview promises %s", name, tc.obj.Annotations[haveAnnotation])
		}
	}
	if err := b.PreviewDelete(t.Context(), "parents", pod("p")); !apierrors.IsForbidden(err) {
		t.Errorf("got %v", err)
	}
	if err := b.PreviewDelete(t.Context(), "children", c); err != nil {
		t.Errorf("got %v", err)
	}
	if after := dump(t, b); len(after) != len(before) {
		t.Errorf("left behind: %v", after)
	}
	if err := b.Preview(t.Context(), "unknown", nil, pod("x")); err == nil {
		t.Error("an unknown resource has a preview")
	}
	// Nothing can be assigned in one.
	if _, err := newPlan(b, true).AssignIDs(t.Context(), TunnelIDs, 1); err == nil {
		t.Error("a preview assigned a number")
	}
}

// TestPreviewPlansAgain: a change that a preview meets is not its caller's
// fault, and what the lost attempt did to the object is undone.
func TestPreviewPlansAgain(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	parents := storeFor(t, b, "parents", &idRules{})
	mustCreate(t, parents, "parents", pod("p"))
	ref := Ref{Resource: "parents", Namespace: "ns", Name: "p"}
	times := 0
	storeFor(t, b, "children", &funcRules{plan: func(ctx context.Context, p *Plan, _, obj *example.Pod) error {
		times++
		obj.Annotations["times"] += "x"
		if _, err := p.Read(ctx, ref); err != nil {
			return err
		}
		p.DependOnContent(ref)
		if times == 1 {
			mustAnnotate(t, parents, "parents", "p", "x", "y")
		}
		return nil
	}})
	c := pod("c")
	if err := b.Preview(t.Context(), "children", nil, c); err != nil || times != 2 {
		t.Errorf("got %v after %d", err, times)
	}
	if got := c.Annotations["times"]; got != "x" {
		t.Errorf("the object shows %q of the attempts", got)
	}
}

// quotaRules give each pod one place.
func quotaRules(limit *atomic.Int32) *funcRules {
	place := func(p *example.Pod) int32 {
		n, _ := strconv.ParseInt(p.Annotations["place"], 10, 32)
		return int32(n)
	}
	return &funcRules{
		claims: func(p *example.Pod) *Set {
			s := &Set{}
			s.AddPlace(testAccount, place(p))
			return s
		},
		plan: func(ctx context.Context, p *Plan, old, obj *example.Pod) error {
			if old != nil {
				return nil
			}
			n, err := p.PickPlace(ctx, testAccount, limit.Load())
			if errors.Is(err, ErrExhausted) {
				return apierrors.NewForbidden(schema.GroupResource{}, obj.Name, err)
			}
			if err != nil {
				return err
			}
			obj.Annotations["place"] = fmt.Sprint(n)
			return nil
		},
	}
}

// TestQuota: many creators on two servers get exactly as many places as there
// are, also where the limit was higher once.
func TestQuota(t *testing.T) {
	prefix := newPrefix()
	var limit atomic.Int32
	limit.Store(10)
	servers := []storage.Interface{
		storeFor(t, newTestBackend(t, prefix), "pods", quotaRules(&limit)),
		storeFor(t, newTestBackend(t, prefix), "pods", quotaRules(&limit)),
	}
	var mu sync.Mutex
	var names []string
	storm := func(round string, want int) {
		t.Helper()
		var wg sync.WaitGroup
		before := len(names)
		for i := range 40 {
			wg.Go(func() {
				name := fmt.Sprint(round, i)
				_, err := create(t.Context(), servers[i%2], "pods", pod(name))
				switch {
				case err == nil:
					mu.Lock()
					names = append(names, name)
					mu.Unlock()
				case !apierrors.IsForbidden(err):
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		wg.Wait()
		if got := len(names) - before; got != want {
			t.Errorf("%s: %d got a place, want %d", round, got, want)
		}
	}
	drop := func(n int) {
		t.Helper()
		for _, name := range names[:n] {
			if err := remove(t.Context(), servers[0], "pods", name); err != nil {
				t.Fatal(err)
			}
		}
		names = names[n:]
	}
	storm("first", 10)
	drop(3)
	storm("again", 3)
	limit.Store(20)
	storm("raised", 10)
	drop(6)
	// 14 hold places all over 1 to 20.
	limit.Store(8)
	storm("lowered", 0)
	drop(5)
	storm("still more than allowed", 0)
	drop(4)
	storm("room again", 3)
	limit.Store(0)
	storm("none", 0)
	clean(t, servers[0].(*store).b)
}

func TestPlaces(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	kind := placeKind(testAccount)
	plan := newPlan(b, false)
	// A huge quota costs what is in use.
	n, err := plan.PickPlace(t.Context(), testAccount, MaxID)
	if err != nil || n < 1 {
		t.Errorf("got %d, %v", n, err)
	}
	var puts []clientv3.Op
	for place := uint64(1); place <= 1000; place++ {
		if place != 700 {
			puts = append(puts, clientv3.OpPut(b.layout.claim(Claim{kind: kind, number: place}), "pods/ns/other/uid"))
		}
	}
	for chunk := range slices.Chunk(puts, 128) {
		if _, err := b.client.Txn(t.Context()).Then(chunk...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		limit, want int32
	}{{1000, 700}, {999, 0}, {700, 0}, {1, 0}, {0, 0}, {-1, 0}} {
		n, err := plan.PickPlace(t.Context(), testAccount, tc.limit)
		if n != tc.want || (n == 0) != errors.Is(err, ErrExhausted) {
			t.Errorf("limit %d: got %d, %v, want %d", tc.limit, n, err, tc.want)
		}
		if left, err := plan.PlaceLeft(t.Context(), testAccount, tc.limit); err != nil || left != (tc.want > 0) {
			t.Errorf("limit %d: left is %v, %v", tc.limit, left, err)
		}
	}
}

func TestPools(t *testing.T) {
	prefix := newPrefix()
	poolOf := func(p *example.Pod) Pool {
		q, _ := ParsePool(p.Annotations["pool"])
		return q
	}
	rules := &funcRules{
		claims: func(p *example.Pod) *Set {
			s := &Set{}
			s.AddPool(poolOf(p))
			return s
		},
		plan: func(ctx context.Context, p *Plan, old, obj *example.Pod) error {
			held, err := p.Pools(ctx)
			if err != nil {
				return err
			}
			for _, h := range held {
				if h.Owner.Name != obj.Name && h.Overlaps(poolOf(obj)) {
					return apierrors.NewBadRequest("overlaps " + h.String())
				}
			}
			if old == nil {
				return nil
			}
			for _, gone := range poolOf(old).Minus(poolOf(obj)) {
				p.RequireUnused(gone, func(inUse netip.Addr) error { return apierrors.NewBadRequest(inUse.String() + " is in use") })
			}
			return nil
		},
		planDelete: func(_ context.Context, p *Plan, obj *example.Pod) error {
			p.RequireUnused(poolOf(obj), func(inUse netip.Addr) error { return apierrors.NewBadRequest(inUse.String() + " is in use") })
			p.ForgetPool(poolOf(obj))
			return nil
		},
	}
	b := newTestBackend(t, prefix)
	servers := []storage.Interface{storeFor(t, b, "pods", rules), storeFor(t, newTestBackend(t, prefix), "pods", rules)}
	// Of many that overlap exactly one gets in, from whichever server.
	var wg sync.WaitGroup
	var in atomic.Int32
	for i := range 16 {
		wg.Go(func() {
			_, err := create(t.Context(), servers[i%2], "pods", pod(fmt.Sprint("p", i), "pool", fmt.Sprintf("192.0.2.0-192.0.2.%d", 200+i)))
			switch {
			case err == nil:
				in.Add(1)
			case !apierrors.IsBadRequest(err):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if in.Load() != 1 {
		t.Errorf("%d overlapping pools", in.Load())
	}
	mustCreate(t, servers[0], "pods", pod("six", "pool", "2001:db8::/64"))
	use := mustCreate(t, servers[0], "pods", pod("four", "pool", "198.51.100.0/24"))
	clean(t, b)

	four := pool(t, "198.51.100.0/24")
	hold(t, b, take(t, b, four.space(), 1)[0].claim, AddressClaim(addr("198.51.100.77")))
	pools, err := b.PoolUse(t.Context())
	if err != nil || len(pools) != 3 {
		t.Fatalf("got %v, %v", pools, err)
	}
	for _, u := range pools {
		if u.Owner.Name == "four" && (u.InUse != 2 || u.Size != 256) {
			t.Errorf("%d of %d in use", u.InUse, u.Size)
		}
	}
	if _, err := annotate(t.Context(), servers[1], "pods", "four", "pool", "198.51.100.0/26"); !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "198.51.100.77") {
		t.Errorf("a pool shrinks over an address in use: %v", err)
	}
	if err := b.PreviewDelete(t.Context(), "pods", use); !apierrors.IsBadRequest(err) {
		t.Errorf("got %v", err)
	}
	mustAnnotate(t, servers[1], "pods", "four", "pool", "198.51.100.0/25")
	if err := remove(t.Context(), servers[1], "pods", "four"); !apierrors.IsBadRequest(err) {
		t.Errorf("a pool goes while its addresses are in use: %v", err)
	}
	if _, err := b.client.Delete(t.Context(), b.layout.claims()+kindAddress+"/", clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	if err := remove(t.Context(), servers[1], "pods", "four"); err != nil {
		t.Error(err)
	}
	clean(t, b)
}

func TestPoolClaims(t *testing.T) {
	for _, s := range []string{"192.0.2.0/24", "2001:db8::/64", "192.0.2.7/32"} {
		var set Set
		set.AddPool(pool(t, s))
		h, err := parsePoolClaim(set.Sorted()[0].name, []byte("serviceprefixes/epic/x/uid"))
		if err != nil || h.Pool != pool(t, s) || h.Owner.Name != "x" {
			t.Errorf("%s: got %v, %v", s, h, err)
		}
	}
	for _, name := range []string{"", "x", "x-y", "00-00", strings.Repeat("0", 32), strings.Repeat("0", 32) + "-"} {
		if h, err := parsePoolClaim(name, []byte("a/b/c/d")); err == nil {
			t.Errorf("%q: got %v", name, h)
		}
	}
	if _, err := parsePoolClaim(strings.Repeat("0", 32)+"-"+strings.Repeat("0", 32), []byte("x")); err == nil {
		t.Error("a pool of nobody")
	}
}

// TestForgetSpace: an account that goes takes its numbering along, and the next
// of its name begins anew.
func TestForgetSpace(t *testing.T) {
	prefix := newPrefix()
	space := ServiceIDs(testAccount)
	rules := &funcRules{
		claims: func(p *example.Pod) *Set {
			s := &Set{}
			for _, id := range ids(p) {
				s.AddID(space, id)
			}
			return s
		},
		plan: func(ctx context.Context, p *Plan, _, obj *example.Pod) error {
			got, err := p.AssignIDs(ctx, space, 1)
			if err == nil {
				setIDs(obj, got)
			}
			return err
		},
		planDelete: func(_ context.Context, p *Plan, _ *example.Pod) error {
			p.ForgetSpace(space)
			return nil
		},
	}
	a, b := newTestBackend(t, prefix), newTestBackend(t, prefix)
	sa, sb := storeFor(t, a, "pods", rules), storeFor(t, b, "pods", rules)
	for range 3 {
		for _, s := range []storage.Interface{sa, sb} {
			if got := ids(mustCreate(t, s, "pods", pod("a"))); !slices.Equal(got, []int32{1}) {
				t.Errorf("got %v", got)
			}
			if err := remove(t.Context(), s, "pods", "a"); err != nil {
				t.Fatal(err)
			}
			for k := range dump(t, a) {
				if !strings.HasSuffix(k, "/schema") {
					t.Errorf("%s is left behind", k)
				}
			}
		}
	}
}
