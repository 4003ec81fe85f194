// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/apis/example"
)

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
	// Next to these stand those of the object, the schema and the children.
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
	if err := retry(ctx, func(bool) error { return &staleError{} }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
