// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"

	"github.com/acnodal/epic/pkg/addresspool"
)

func TestPools(t *testing.T) {
	prefix := newPrefix()
	poolOf := func(p *example.Pod) addresspool.Pool {
		q, _ := addresspool.Parse(p.Annotations["pool"])
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
	hold(t, b, take(t, b, poolSpace(four), 1)[0].claim, AddressClaim(addr("198.51.100.77")))
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
