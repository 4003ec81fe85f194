// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
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
