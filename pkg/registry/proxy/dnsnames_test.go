// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"fmt"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	rt "github.com/acnodal/epic/pkg/registry/registrytest"
)

// nameless makes a group whose template makes the same name for every account.
func nameless(w *rt.World) {
	rt.Standard(w)
	group := rt.Group("epic", "shared", "default")
	group.Spec.EndpointTemplate.DNSName = "{{.PureLBServiceName}}.example.net"
	rt.MustCreate(w, group)
}

func shop(account, name string) *epic.LoadBalancer {
	lb := rt.LoadBalancer(account, name, "shared")
	lb.Spec.DisplayName = "shop"
	return lb
}

// A DNS name belongs to one account, of which several objects may have it.
func TestDNSNamesBelongToAccounts(t *testing.T) {
	w := rt.New(t)
	nameless(w)
	first := rt.MustCreate(w, shop("one", "a"))
	words := []string{"spec.endpoints[0].dnsName", "shop.example.net", "another account has this DNS name",
		"spec.endpoint-template.dnsName of LBServiceGroup epic/shared", "{{.Account}}"}
	for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
		_, err := rt.Create(w, shop("two", "b"), dryRun...)
		rt.Refused(t, err, words...)
		proxy := rt.GWProxy("two", "c", "shared")
		proxy.Spec.DisplayName = "Shop" // case does not matter in DNS
		_, err = rt.Create(w, proxy, dryRun...)
		rt.Refused(t, err, "shop.example.net", "another account")
	}
	second := rt.GWProxy("one", "d", "shared")
	second.Spec.DisplayName = "shop"
	second = rt.MustCreate(w, second)
	rt.MustDelete(w, first)
	_, err := rt.Create(w, shop("two", "b"))
	rt.Refused(t, err, words...)

	// By an update, too.
	other := shop("two", "b")
	other.Spec.DisplayName = "store"
	other = rt.MustCreate(w, other)
	other.Spec.DisplayName = "shop"
	for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
		_, err = rt.Update(w, other, dryRun...)
		rt.Refused(t, err, words...)
	}
	rt.MustDelete(w, second)
	rt.MustUpdate(w, other)
	// The name that it had is free again, and the one that it has is not.
	store := shop("one", "e")
	store.Spec.DisplayName = "store"
	rt.MustCreate(w, store)
	_, err = rt.Create(w, shop("one", "f"))
	rt.Refused(t, err, words...)
}

// Writers of two accounts that want one name at once: one account gets it.
func TestDNSNamesAmongWriters(t *testing.T) {
	w := rt.New(t)
	nameless(w)
	var wg sync.WaitGroup
	for i := range 8 {
		for _, account := range []string{"one", "two"} {
			o := shop(account, fmt.Sprint("lb", i))
			o.Spec.DisplayName = fmt.Sprint("shop", i/4)
			wg.Go(func() {
				_, _ = w.REST(o).Create(rt.Request(o.Namespace), o, nil, &metav1.CreateOptions{})
			})
		}
	}
	wg.Wait()
	for i := range 2 {
		holders := map[string]bool{}
		for j := range 4 {
			for _, account := range []string{"one", "two"} {
				if _, err := rt.Get(w, shop(account, fmt.Sprint("lb", i*4+j))); err == nil {
					holders[account] = true
				}
			}
		}
		if len(holders) != 1 {
			t.Errorf("shop%d has the accounts %v", i, holders)
		}
	}
}
