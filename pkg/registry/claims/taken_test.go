// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/storage"
)

func TestTakenClaims(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	rules := &idRules{space: TunnelIDs, pool: pool(t, "192.0.2.0/30")}
	s := storeFor(t, b, "pods", rules)
	mustCreate(t, s, "pods", pod("a", addressAnnotation, "192.0.2.1"))
	before := dump(t, b)
	if _, err := create(t.Context(), s, "pods", pod("b", addressAnnotation, "192.0.2.1")); !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
	// A number that was assigned next to the refused address is not lost.
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
	if _, _, err := a.allocator.take(t.Context(), Space{name: poolSpace(rules.pool).name, size: 16, minBlock: 8, maxBlock: 8, pool: &rules.pool}, 1); err != nil {
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
	// All others can be allocated as well; then the range is exhausted.
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

// TestForeignClaimInsideARun: an object takes a run of IDs, of which one in the middle
// is another's. All of the run have to be free, not only the first.
func TestForeignClaimInsideARun(t *testing.T) {
	for _, middle := range []uint64{1, 2, 3} {
		b := newTestBackend(t, newPrefix())
		s := storeFor(t, b, "pods", &idRules{space: TunnelIDs})
		hold(t, b, Claim{kind: TunnelIDs.name, number: middle})
		if out, err := create(t.Context(), s, "pods", pod("a", haveAnnotation, "1 2 3")); !apierrors.IsInvalid(err) {
			t.Errorf("%d is another's, and yet: %v, %v", middle, out.Annotations, err)
		}
		if resp, err := b.client.Get(t.Context(), b.layout.claims(), clientv3.WithPrefix()); err != nil || len(resp.Kvs) != 1 {
			t.Errorf("%d is another's: the refused write left %v, %v", middle, resp.Kvs, err)
		}
	}
}

// TestForeignClaimInsideABlock: the same for IDs that the server assigns, when one of
// the block that it reserved is taken in the meantime.
func TestForeignClaimInsideABlock(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	s := storeFor(t, b, "pods", &idRules{space: TunnelIDs})
	mustCreate(t, s, "pods", pod("first", wantAnnotation, "1"))
	foreign := Claim{kind: TunnelIDs.name, number: 3}
	hold(t, b, foreign)
	out := mustCreate(t, s, "pods", pod("a", wantAnnotation, "3"))
	for _, id := range ids(out) {
		if id == 3 {
			t.Errorf("got %v, and 3 is another's", ids(out))
		}
	}
	if resp, err := b.client.Get(t.Context(), b.layout.claim(foreign)); err != nil || string(resp.Kvs[0].Value) == "pods/ns/a/uid-a" {
		t.Errorf("the claim went to another: %v, %v", resp, err)
	}
}
