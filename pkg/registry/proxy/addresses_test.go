// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
	rt "github.com/acnodal/epic/pkg/registry/registrytest"
)

func targets(records []epic.DNSEndpoint) string {
	var out []string
	for _, r := range records {
		out = append(out, r.DNSName+"="+r.RecordType+":"+strings.Join(r.Targets, ","))
	}
	return strings.Join(out, " ")
}

func TestAddressesOnCreation(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	p := rt.MustCreate(w, rt.GWProxy("one", "a", "dual"))
	if p.Spec.PublicAddress != "2001:db8::1" || p.Spec.AltAddress != "198.51.100.1" {
		t.Errorf("assigned %s and %s", p.Spec.PublicAddress, p.Spec.AltAddress)
	}
	if got := targets(p.Spec.Endpoints); got != "a.dual.one.example.com=AAAA:2001:db8::1 a.dual.one.example.com=A:198.51.100.1" {
		t.Errorf("records %s", got)
	}
	asked := rt.GWProxy("one", "b", "dual")
	asked.Spec.PublicAddress, asked.Spec.AltAddress = "2001:db8::7", "198.51.100.6"
	if asked = rt.MustCreate(w, asked); asked.Spec.PublicAddress != "2001:db8::7" || asked.Spec.AltAddress != "198.51.100.6" {
		t.Errorf("asked for others than %s and %s", asked.Spec.PublicAddress, asked.Spec.AltAddress)
	}
	if p := rt.MustCreate(w, rt.GWProxy("one", "c", "offered")); p.Spec.AltAddress != "" || len(p.Spec.Endpoints) != 1 {
		t.Errorf("a prefix without an alt-pool gave %q, records %s", p.Spec.AltAddress, targets(p.Spec.Endpoints))
	}
	for name, c := range map[string]struct {
		group, public, alt string
		words              []string
	}{
		"public address of another pool": {"dual", "192.0.2.1", "", []string{"spec.public-address", "not in pool " + rt.Pool6}},
		"public address in use":          {"dual", "2001:db8::7", "", []string{"spec.public-address", "in use"}},
		"alt address of the other prefix": {"dual", "", "192.0.2.1", []string{
			"spec.alt-address", "not in pool " + rt.AltPool}},
		"alt address in use":       {"dual", "", "198.51.100.6", []string{"spec.alt-address", "in use"}},
		"alt address without pool": {"offered", "", "198.51.100.5", []string{"spec.alt-address", "has no alt-pool: leave it out"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := rt.GWProxy("two", "x", c.group)
			o.Spec.PublicAddress, o.Spec.AltAddress = c.public, c.alt
			_, err := rt.Create(w, o, metav1.DryRunAll)
			rt.Refused(t, err, c.words...)
			_, err = rt.Create(w, o)
			rt.Refused(t, err, c.words...)
		})
	}
}

// An alternate address that comes by an update goes through the rules of
// creation: an empty field is no way around them.
func TestAltAddressByUpdate(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	prefix := rt.MustCreate(w, rt.Prefix("late", "203.0.113.1-203.0.113.9", "203.0.113.0/24"))
	rt.MustCreate(w, rt.Group(epic.ConfigNamespace, "late", "late"))
	p := rt.MustCreate(w, rt.GWProxy("one", "a", "late"))
	ask := func(alt string, dryRun ...string) (*epic.GWProxy, error) {
		t.Helper()
		o, err := rt.Get(w, p)
		if err != nil {
			t.Fatal(err)
		}
		o.Spec.AltAddress = alt
		return rt.Update(w, o, dryRun...)
	}
	for _, alt := range []string{"198.51.100.7", "10.96.0.1", "192.0.2.1"} {
		_, err := ask(alt)
		rt.Refused(t, err, "spec.alt-address", "no alt-pool")
		_, err = ask(alt, metav1.DryRunAll)
		rt.Refused(t, err, "spec.alt-address", "no alt-pool")
	}

	prefix.Spec.AltPool = rt.Pool("198.51.100.128-198.51.100.131", "198.51.100.0/24")
	prefix = rt.MustUpdate(w, prefix)
	holder := rt.MustCreate(w, rt.GWProxy("two", "b", "late"))
	if holder.Spec.AltAddress != "198.51.100.128" {
		t.Fatalf("assigned %q", holder.Spec.AltAddress)
	}
	for alt, words := range map[string][]string{
		"198.51.100.128": {"in use"}, // another tenant's
		"198.51.100.1":   {"not in pool"},
		"203.0.113.9":    {"not in pool"},
		"10.96.0.1":      {"not in pool"},
	} {
		_, err := ask(alt)
		rt.Refused(t, err, append(words, "spec.alt-address", alt)...)
		_, err = ask(alt, metav1.DryRunAll)
		rt.Refused(t, err, append(words, "spec.alt-address", alt)...)
	}
	// An address that is left out stays as it is.
	if o, err := ask(""); err != nil || o.Spec.AltAddress != "" {
		t.Errorf("got %q, %v", o.Spec.AltAddress, err)
	}
	o, err := ask("198.51.100.130")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := targets(o.Spec.Endpoints), "a.late.one.example.com=A:203.0.113.1 a.late.one.example.com=A:198.51.100.130"; got != want {
		t.Errorf("records %s, want %s", got, want)
	}
	if o.Generation != p.Generation+1 {
		t.Errorf("generation %d", o.Generation)
	}
	// It is claimed: nobody else gets it, and the pool can't lose it.
	other := rt.GWProxy("two", "c", "late")
	other.Spec.AltAddress = "198.51.100.130"
	_, err = rt.Create(w, other)
	rt.Refused(t, err, "spec.alt-address", "in use")
	prefix.Spec.AltPool.Pool = "198.51.100.128-198.51.100.129"
	_, err = rt.Update(w, prefix)
	rt.Refused(t, err, "198.51.100.130", "in use")
	// And it is fixed.
	for _, alt := range []string{"198.51.100.131", "198.51.100.128"} {
		_, err = ask(alt)
		rt.Refused(t, err, "spec.alt-address", "can't be changed from 198.51.100.130")
	}
}

// Two proxies that ask for one alternate address at once: one of them gets it.
func TestAltAddressIsClaimed(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	for _, account := range []string{"one", "two"} {
		o := rt.GWProxy(account, "a", "dual")
		o.Spec.AltAddress = "198.51.100.3"
		_, err := rt.Create(w, o)
		if account == "one" && err != nil {
			t.Fatal(err)
		}
		if account == "two" {
			rt.Refused(t, err, "spec.alt-address", "198.51.100.3", "in use")
		}
	}
}

// Of a CIDR all addresses are assigned but those that are the subnet's own network and
// broadcast addresses, which are for those who ask for them.
func TestAddressesOfACIDR(t *testing.T) {
	for _, c := range []struct {
		name, pool, subnet, first, last string
		number                          int
		spared                          []string
	}{
		{"start", "203.0.113.0/29", "203.0.113.0/24", "203.0.113.1", "203.0.113.7", 7, []string{"203.0.113.0"}},
		{"inside", "203.0.113.8/29", "203.0.113.0/24", "203.0.113.8", "203.0.113.15", 8, nil},
		{"end", "203.0.113.248/29", "203.0.113.0/24", "203.0.113.248", "203.0.113.254", 7, []string{"203.0.113.255"}},
		{"whole", "203.0.114.0/29", "203.0.114.0/29", "203.0.114.1", "203.0.114.6", 6, []string{"203.0.114.0", "203.0.114.7"}},
		{"six", "2001:db8:1::8/125", "2001:db8:1::/64", "2001:db8:1::8", "2001:db8:1::f", 8, nil},
		{"six-start", "2001:db8:1::/125", "2001:db8:1::/64", "2001:db8:1::1", "2001:db8:1::7", 7, []string{"2001:db8:1::"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := rt.New(t)
			rt.Standard(w)
			rt.MustCreate(w, rt.Prefix("cidr", c.pool, c.subnet))
			rt.MustCreate(w, rt.Group("epic", "cidr", "cidr"))
			var got []string
			for n := range c.number {
				if _, err := rt.Create(w, rt.LoadBalancer("one", "dry", "cidr"), metav1.DryRunAll); err != nil {
					t.Errorf("a dry run with %d in use: %v", n, err)
				}
				got = append(got, rt.MustCreate(w, rt.LoadBalancer("one", fmt.Sprint("lb", n), "cidr")).Spec.PublicAddress)
			}
			if got[0] != c.first || got[len(got)-1] != c.last {
				t.Errorf("assigned %v", got)
			}
			for _, dryRun := range [][]string{{metav1.DryRunAll}, nil} {
				_, err := rt.Create(w, rt.LoadBalancer("one", "beyond", "cidr"), dryRun...)
				rt.Refused(t, err, "spec.public-address", "every address of pool "+c.pool)
			}
			for n, a := range c.spared {
				asked := rt.LoadBalancer("one", fmt.Sprint("asked", n), "cidr")
				asked.Spec.PublicAddress = a
				rt.MustCreate(w, asked)
			}
		})
	}
}

// A restored snapshot passes over half of the addresses of a CIDR that it does not know
// to have been used: the cursor that the restore advances is the one that is used.
func TestRestoreAdvancesTheCursorOfACIDR(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	rt.MustCreate(w, rt.Prefix("cidr", "203.0.113.0/28", "203.0.113.0/28"))
	rt.MustCreate(w, rt.Group("epic", "cidr", "cidr"))
	rt.MustCreate(w, rt.LoadBalancer("one", "lb", "cidr"))
	cursors := func() map[string]string {
		t.Helper()
		resp, err := w.Etcd.Get(t.Context(), w.Prefix+"/.claims/cursor/address/", clientv3.WithPrefix())
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, kv := range resp.Kvs {
			out[string(kv.Key)] = string(kv.Value)
		}
		return out
	}
	before := cursors()
	if len(before) != 1 {
		t.Fatalf("the cursors of pools are %v", before)
	}
	if _, err := w.Etcd.Put(t.Context(), w.Prefix+"/.claims/schema", claims.MarkRestored(claims.SchemaVersion)); err != nil {
		t.Fatal(err)
	}
	if err := w.Claims.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := cursors()
	for key, was := range before {
		n, err := strconv.Atoi(after[key])
		if err != nil || n < 9 || n > 15 {
			t.Errorf("the cursor went from %s to %q, %v", was, after[key], err)
		}
	}
}

// A prefix without a pool gives no address, and says so.
func TestNoPool(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	p := rt.Prefix("none", "203.0.113.1-203.0.113.9", "203.0.113.0/24")
	p.Spec.PublicPool = nil
	rt.MustCreate(w, p)
	rt.MustCreate(w, rt.Group("epic", "none", "none"))
	for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
		_, err := rt.Create(w, rt.LoadBalancer("one", "a", "none"), dryRun...)
		rt.Refused(t, err, "spec.public-address", "ServicePrefix none has no public-pool")
		asked := rt.GWProxy("one", "a", "none")
		asked.Spec.PublicAddress = "203.0.113.1"
		_, err = rt.Create(w, asked, dryRun...)
		rt.Refused(t, err, "spec.public-address", "ServicePrefix none has no public-pool")
	}
}
