// SPDX-License-Identifier: Apache-2.0

package serviceprefix_test

import (
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	rt "github.com/acnodal/epic/pkg/registry/registrytest"
)

// No two prefixes share an address, whichever of their pools it is in.
func TestPoolsDoNotOverlap(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	both := func(public, alt string) *epic.ServicePrefix {
		p := rt.Prefix("new", public, "0.0.0.0/0")
		p.Spec.PublicPool.Aggregation = "/32"
		if alt != "" {
			p.Spec.AltPool = rt.Pool(alt, "0.0.0.0/0")
			p.Spec.AltPool.Aggregation = "/32"
		}
		return p
	}
	for name, c := range map[string]struct {
		prefix *epic.ServicePrefix
		words  []string
	}{
		"public in public":     {both("192.0.2.14-192.0.2.20", ""), []string{"spec.public-pool.pool", "overlaps pool " + rt.PublicPool + " of service prefix default"}},
		"public in alternate":  {both("198.51.100.0-198.51.100.1", ""), []string{"spec.public-pool.pool", "service prefix dual"}},
		"alternate in public":  {both("203.0.113.1-203.0.113.2", "192.0.2.0/24"), []string{"spec.alt-pool.pool", "service prefix default"}},
		"the very same":        {both(rt.PublicPool, ""), []string{"spec.public-pool.pool", "service prefix default"}},
		"alternate, the same":  {both("203.0.113.1-203.0.113.2", rt.AltPool), []string{"spec.alt-pool.pool", "service prefix dual"}},
		"one inside the other": {both("192.0.2.5-192.0.2.6", ""), []string{"spec.public-pool.pool", "service prefix default"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rt.Create(w, c.prefix, metav1.DryRunAll)
			rt.Refused(t, err, c.words...)
			_, err = rt.Create(w, c.prefix)
			rt.Refused(t, err, c.words...)
		})
	}
	p := rt.MustCreate(w, both("192.0.2.15-192.0.2.20", ""))
	p.Spec.PublicPool.Pool = "192.0.2.14-192.0.2.20"
	_, err := rt.Update(w, p)
	rt.Refused(t, err, "spec.public-pool.pool", "service prefix default")
	p.Spec.PublicPool.Pool = "192.0.2.16-192.0.2.30" // its own addresses are no obstacle
	p = rt.MustUpdate(w, p)
	p.Spec.PublicPool.MultusBridge = "br1"
	p = rt.MustUpdate(w, p)
	rt.MustDelete(w, p)
	rt.MustCreate(w, both("192.0.2.15-192.0.2.20", ""))
}

// A pool keeps the addresses that are in use, in the field where they are.
func TestPoolsKeepAddressesInUse(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	four := rt.Prefix("four", "203.0.113.1-203.0.113.9", "203.0.113.0/24")
	four.Spec.AltPool = rt.Pool("203.0.113.17-203.0.113.25", "203.0.113.0/24")
	four = rt.MustCreate(w, four)
	rt.MustCreate(w, rt.Group("epic", "four", "four"))
	gwp := rt.GWProxy("one", "a", "four")
	gwp.Spec.PublicAddress, gwp.Spec.AltAddress = "203.0.113.5", "203.0.113.20"
	rt.MustCreate(w, gwp)
	for name, c := range map[string]struct {
		public, alt string
		words       []string
	}{
		"the public pool begins behind it":    {"203.0.113.6-203.0.113.9", "203.0.113.17-203.0.113.25", []string{"spec.public-pool.pool", "203.0.113.5", "in use"}},
		"the public pool ends before it":      {"203.0.113.1-203.0.113.4", "203.0.113.17-203.0.113.25", []string{"spec.public-pool.pool", "203.0.113.5", "in use"}},
		"the alternate pool begins behind it": {"203.0.113.1-203.0.113.9", "203.0.113.21-203.0.113.25", []string{"spec.alt-pool.pool", "203.0.113.20", "in use"}},
		"no alternate pool":                   {"203.0.113.1-203.0.113.9", "", []string{"spec.alt-pool.pool", "203.0.113.20", "in use"}},
		"no public pool":                      {"", "203.0.113.17-203.0.113.25", []string{"spec.public-pool.pool", "203.0.113.5", "in use"}},
		// Each address would be in a pool, but not in one that its proxy may use.
		"the pools change places": {"203.0.113.17-203.0.113.25", "203.0.113.1-203.0.113.9", []string{"pool", "in use"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := four.DeepCopy()
			p.Spec = epic.ServicePrefixSpec{}
			if c.public != "" {
				p.Spec.PublicPool = rt.Pool(c.public, "203.0.113.0/24")
			}
			if c.alt != "" {
				p.Spec.AltPool = rt.Pool(c.alt, "203.0.113.0/24")
			}
			_, err := rt.Update(w, p, metav1.DryRunAll)
			rt.Refused(t, err, c.words...)
			_, err = rt.Update(w, p)
			rt.Refused(t, err, c.words...)
		})
	}
	four.Spec.PublicPool.Pool, four.Spec.AltPool.Pool = "203.0.113.5-203.0.113.5", "203.0.113.20-203.0.113.21"
	four = rt.MustUpdate(w, four)
	rt.Refused(t, rt.Delete(w, four), "others depend on it", "lbservicegroup epic/four")
	rt.MustDelete(w, gwp)
	four.Spec.PublicPool, four.Spec.AltPool = rt.Pool("203.0.113.20-203.0.113.21", "203.0.113.0/24"), rt.Pool("203.0.113.5-203.0.113.5", "203.0.113.0/24")
	rt.MustUpdate(w, four)
}

// A pool that is created again starts over: nothing of the former one is kept.
func TestPoolsAreForgotten(t *testing.T) {
	for _, c := range []struct{ pool, subnet, smaller, first string }{
		{"203.0.113.1-203.0.113.9", "203.0.113.0/24", "203.0.113.1-203.0.113.8", "203.0.113.1"},
		{"203.0.113.0/28", "203.0.113.0/24", "203.0.113.0/29", "203.0.113.1"},
		{"203.0.113.16/28", "203.0.113.0/24", "203.0.113.16/29", "203.0.113.16"},
	} {
		t.Run(c.pool, func(t *testing.T) { poolIsForgotten(t, c.pool, c.subnet, c.smaller, c.first) })
	}
}

func poolIsForgotten(t *testing.T, pool, subnet, smaller, first string) {
	t.Helper()
	w := rt.New(t)
	rt.Standard(w)
	kept := func() int64 {
		t.Helper()
		resp, err := w.Etcd.Get(t.Context(), w.Prefix+"/.claims/cursor/address/", clientv3.WithPrefix())
		if err != nil {
			t.Fatal(err)
		}
		return resp.Count
	}
	for round := range 2 {
		p := rt.MustCreate(w, rt.Prefix("new", pool, subnet))
		group := rt.MustCreate(w, rt.Group("epic", "new", "new"))
		lb := rt.MustCreate(w, rt.LoadBalancer("one", "a", "new"))
		if lb.Spec.PublicAddress != first || kept() != 1 {
			t.Errorf("round %d: %s, %d pools kept", round, lb.Spec.PublicAddress, kept())
		}
		rt.MustDelete(w, lb)
		p.Spec.PublicPool.Pool = smaller
		p = rt.MustUpdate(w, p)
		if kept() != 0 {
			t.Errorf("round %d: %d pools kept after a change", round, kept())
		}
		rt.MustDelete(w, group)
		rt.MustDelete(w, p)
		if kept() != 0 {
			t.Errorf("round %d: %d pools kept after deletion", round, kept())
		}
	}
}
