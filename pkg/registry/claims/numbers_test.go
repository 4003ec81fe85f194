// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

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

// idsOf are claims of the numbers that a pod has of a space.
func idsOf(space Space) func(*example.Pod) *Set {
	return func(p *example.Pod) *Set {
		s := &Set{}
		for _, id := range ids(p) {
			s.AddID(space, id)
		}
		return s
	}
}

// TestCursorMadeAgainMeanwhile: between the assignment of a number and the write
// the numbering was deleted with its owner, and begun again for another.
func TestCursorMadeAgainMeanwhile(t *testing.T) {
	prefix := newPrefix()
	b, other := newTestBackend(t, prefix), newTestBackend(t, prefix)
	space := ServiceIDs(testAccount)
	times := 0
	s := storeFor(t, b, "pods", &funcRules{
		claims: idsOf(space),
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

// TestForgetSpace: an account that goes takes its numbering along, and the next
// of its name begins at 1 again.
func TestForgetSpace(t *testing.T) {
	prefix := newPrefix()
	space := ServiceIDs(testAccount)
	rules := &funcRules{
		claims: idsOf(space),
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
