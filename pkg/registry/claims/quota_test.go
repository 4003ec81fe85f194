// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// quotaRules give each pod one place.
func quotaRules(limit *atomic.Int32) *funcRules {
	place := func(p *example.Pod) int32 {
		n, _ := strconv.ParseInt(p.Annotations["place"], 10, 32)
		return int32(n)
	}
	return &funcRules{
		claims: func(p *example.Pod) *Set {
			s := &Set{}
			s.AddSlot(testAccount, place(p))
			return s
		},
		plan: func(ctx context.Context, p *Plan, old, obj *example.Pod) error {
			if old != nil {
				return nil
			}
			n, err := p.PickSlot(ctx, testAccount, limit.Load())
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
	plan := newPlan(b, false, false)
	// A huge quota costs what is in use.
	n, err := plan.PickSlot(t.Context(), testAccount, MaxID)
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
		n, err := plan.PickSlot(t.Context(), testAccount, tc.limit)
		if n != tc.want || (n == 0) != errors.Is(err, ErrExhausted) {
			t.Errorf("limit %d: got %d, %v, want %d", tc.limit, n, err, tc.want)
		}
		if left, err := plan.PlaceLeft(t.Context(), testAccount, tc.limit); err != nil || left != (tc.want > 0) {
			t.Errorf("limit %d: left is %v, %v", tc.limit, left, err)
		}
	}
}

// TestQuotaIsNeverExceeded runs creators, deleters and an administrator who changes
// the limit on two servers that remember free slots, and then looks at every
// revision that etcd had: a write that takes a slot leaves at most as many held as
// the account allows at that moment.
func TestQuotaIsNeverExceeded(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			prefix := newPrefix()
			events := record(t, prefix)
			servers := []*family{newFamily(t, prefix), newFamily(t, prefix)}
			mustCreate(t, servers[0].parents, "parents", pod("account", "limit", "6"))
			mustCreate(t, servers[0].parents, "parents", pod("own"))
			var wg sync.WaitGroup
			for worker := range 6 {
				r := rand.New(rand.NewPCG(seed, uint64(worker)))
				f := servers[worker%2]
				wg.Go(func() {
					for range 60 {
						name := fmt.Sprint("c", r.IntN(14))
						var err error
						switch n := r.IntN(20); {
						case n == 0:
							_, err = annotate(t.Context(), f.parents, "parents", "account", "limit", fmt.Sprint(r.IntN(12)))
						case n < 8:
							err = remove(t.Context(), f.children, "children", name)
						default:
							p := pod(name)
							p.UID = uuid.NewUUID()
							_, err = create(t.Context(), f.children, "children", p)
						}
						if !expected(err) {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			clean(t, servers[0].b)
			limit, most, taken := 0, 0, 0
			held := map[string]bool{}
			for _, revision := range events() {
				took := false
				for _, e := range revision {
					switch k := string(e.Kv.Key); {
					case strings.Contains(k, "/.claims/v1/place/"):
						if e.Type == mvccpb.Event_DELETE {
							delete(held, k)
						} else {
							held[k], took = true, true
						}
					case strings.HasSuffix(k, "/parents/ns/account"):
						var account example.Pod
						if err := runtime.DecodeInto(codec, e.Kv.Value, &account); err != nil {
							t.Fatal(err)
						}
						limit, _ = strconv.Atoi(account.Annotations["limit"])
					}
				}
				if took {
					taken++
					most = max(most, len(held))
					if len(held) > limit {
						t.Errorf("revision %d: %d slots are held, %d are allowed", revision[0].Kv.ModRevision, len(held), limit)
					}
				}
			}
			t.Logf("%d slots were taken, at most %d held", taken, most)
		})
	}
}
