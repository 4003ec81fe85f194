// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"k8s.io/apiserver/pkg/storage"
)

// TestTurns is invariant 3 on one server, where nothing is skipped: an ID comes
// again only when each other one was assigned after it, or was held in the meantime.
func TestTurns(t *testing.T) {
	const size = 20
	b := newTestBackend(t, newPrefix())
	s := storeFor(t, b, "pods", &idRules{space: Space{name: "tunnel", size: size, minBlock: 1, maxBlock: 6, turns: true}})
	r := rand.New(rand.NewPCG(5, 6))
	mustCreate(t, s, "pods", pod("a"))
	held := map[int32]bool{}
	// since lists, for each ID assigned before, who had a turn after it.
	since := map[int32]map[int32]bool{}
	for round := range 150 {
		p := mustAnnotate(t, s, "pods", "a", wantAnnotation, fmt.Sprint(r.IntN(size/2+1)), "round", fmt.Sprint(round))
		now := map[int32]bool{}
		for _, id := range ids(p) {
			now[id] = true
		}
		for _, id := range ids(p) {
			if held[id] {
				continue
			}
			for other := int32(1); other <= size && since[id] != nil; other++ {
				if other != id && !since[id][other] {
					t.Fatalf("%d is assigned again before %d had its turn", id, other)
				}
			}
			for _, others := range since {
				others[id] = true
			}
			since[id] = map[int32]bool{}
		}
		for id := range now {
			for _, others := range since {
				others[id] = true
			}
		}
		held = now
	}
	clean(t, b)
}

// TestWritersDoNotMeet is invariant 8: writers of objects of their own never plan
// twice because of IDs or addresses, on one server and on two.
func TestWritersDoNotMeet(t *testing.T) {
	for _, servers := range []int{1, 2} {
		t.Run(fmt.Sprint(servers), func(t *testing.T) {
			prefix := newPrefix()
			rules := &idRules{space: TunnelIDs, pool: pool(t, "2001:db8::/64")}
			var stores []storage.Interface
			for range servers {
				stores = append(stores, storeFor(t, newTestBackend(t, prefix), "pods", rules))
			}
			planned := retriesSince(t)
			var wg sync.WaitGroup
			for w := range 16 {
				wg.Go(func() {
					s, name := stores[w%servers], fmt.Sprint("w", w)
					if _, err := create(t.Context(), s, "pods", pod(name, addressAnnotation, "any")); err != nil {
						t.Error(err)
					}
					for i := range 20 {
						if _, err := annotate(t.Context(), s, "pods", name, haveAnnotation, "", wantAnnotation, fmt.Sprint(1+i%5)); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			if n := planned(); n != 0 {
				t.Errorf("planned %v times too often", n)
			}
			if n := rules.planned.Load(); n != 16*21 {
				t.Errorf("planned %d times, want %d", n, 16*21)
			}
			clean(t, stores[0].(*store).b)
		})
	}
}
