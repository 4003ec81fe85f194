// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/acnodal/epic/pkg/addresspool"
)

// poolSeries gathers all metrics, and returns those of pools, and how long that took.
func poolSeries(t *testing.T) (series string, took time.Duration) {
	t.Helper()
	began := time.Now()
	families, err := legacyregistry.DefaultGatherer.Gather()
	took = time.Since(began)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "epic_address_pool_") {
			continue
		}
		for _, m := range f.GetMetric() {
			all = append(all, fmt.Sprintf("%s %v", f.GetName(), m.GetGauge().GetValue()))
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", "), took
}

// While etcd is down, metrics are gathered all the same, and pools are as they were last.
func TestPoolMetricsWithoutEtcd(t *testing.T) {
	endpoint, stop := stoppableEtcd(t, nil)
	b, err := NewBackend(t.Context(), storagebackend.Config{
		Prefix: newPrefix(), Transport: storagebackend.TransportConfig{ServerList: []string{endpoint}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	store := storeFor(t, b, "pods", &funcRules{claims: func(p *example.Pod) *Set {
		q, _ := addresspool.Parse(p.Annotations["pool"])
		s := &Set{}
		s.AddPool(q)
		return s
	}})
	mustCreate(t, store, "pods", pod("four", "pool", "198.51.100.0/24"))
	hold(t, b, take(t, b, poolSpace(pool(t, "198.51.100.0/24")), 1)[0].claim)
	const want = "epic_address_pool_addresses_in_use 1, epic_address_pool_size 256"
	if got, _ := poolSeries(t); got != want {
		t.Fatalf("with etcd: %s", got)
	}
	stop()
	for range 3 {
		if got, took := poolSeries(t); got != want || took > time.Second {
			t.Errorf("without etcd, after %s: %s", took, got)
		}
	}
}
