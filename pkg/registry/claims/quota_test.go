// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
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
