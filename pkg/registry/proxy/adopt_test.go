// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/acnodal/epic/pkg/apis/epic"
	rt "github.com/acnodal/epic/pkg/registry/registrytest"
)

// A release that did not claim DNS names leaves objects without such claims, and
// claims without objects when it runs next to this one.
func TestAdoptDNSNames(t *testing.T) {
	w := rt.New(t)
	nameless(w)
	rt.MustCreate(w, shop("one", "a"))
	rt.MustCreate(w, shop("one", "b"))
	gone := shop("two", "c")
	gone.Spec.DisplayName = "gone"
	rt.MustCreate(w, gone)
	resp, err := w.Etcd.Get(t.Context(), w.Prefix+"/.claims/v1/dns/", clientv3.WithPrefix())
	if err != nil || len(resp.Kvs) != 3 {
		t.Fatalf("%d claims, %v", len(resp.Kvs), err)
	}
	rt.MustDelete(w, gone)
	for _, kv := range resp.Kvs {
		if strings.Contains(string(kv.Value), "/epic-two/") {
			_, err = w.Etcd.Put(t.Context(), string(kv.Key), string(kv.Value))
		} else {
			_, err = w.Etcd.Delete(t.Context(), string(kv.Key))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := w.Problems(); len(got) != 3 {
		t.Fatalf("before: %q", got)
	}
	for range 2 {
		if err := w.Claims.AdoptDNSNames(t.Context(), epic.ResourceLoadBalancers, epic.ResourceGWProxies); err != nil {
			t.Fatal(err)
		}
		if got := w.Problems(); got != nil {
			t.Errorf("after: %q", got)
		}
	}
	_, err = rt.Create(w, shop("two", "d"))
	rt.Refused(t, err, "another account has this DNS name")
}
