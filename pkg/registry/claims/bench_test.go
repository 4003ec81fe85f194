// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/acnodal/epic/pkg/addresspool"
)

// benchObject is as large as a load balancer with a few tunnels.
var benchObject = []byte(strings.Repeat("x", 2<<10))

// BenchmarkWrites compares the transaction of an object with four claims (two
// tunnel IDs, an address, a unique name) with a plain put of the same object, on
// one etcd that writes to disk, in turn. It reports the rate of both and their
// ratio.
func BenchmarkWrites(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			endpoint := ownEtcd(b, func(cfg *embed.Config) { cfg.UnsafeNoFsync = false })
			be, err := NewBackend(b.Context(), storagebackend.Config{Prefix: "/bench", Transport: storagebackend.TransportConfig{ServerList: []string{endpoint}}})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = be.Close() })
			space := pool(b, "2001:db8::/64")
			ctx := context.WithoutCancel(b.Context())
			var serial atomic.Int64
			put := func() error {
				_, err := be.client.Put(ctx, fmt.Sprint("/bench/plain/", serial.Add(1)), string(benchObject))
				return err
			}
			claim := func() error { return benchClaim(ctx, be, space, fmt.Sprint(serial.Add(1))) }
			var plain, claims time.Duration
			// In turn, so what else the machine does hits both.
			const turns = 4
			per := (b.N + turns - 1) / turns
			b.ResetTimer()
			for range turns {
				plain += benchRun(b, writers, per, put)
				claims += benchRun(b, writers, per, claim)
			}
			b.StopTimer()
			n := float64(per * turns)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(n/plain.Seconds(), "puts/s")
			b.ReportMetric(n/claims.Seconds(), "claimed-writes/s")
			b.ReportMetric(plain.Seconds()/claims.Seconds(), "ratio")
		})
	}
}

// benchClaim writes a new object with four claims.
func benchClaim(ctx context.Context, be *Backend, space addresspool.Pool, name string) error {
	p := newPlan(be, false, false)
	ids, err := p.AssignIDs(ctx, TunnelIDs, 2)
	if err != nil {
		return err
	}
	a, err := p.PickAddress(ctx, space, space)
	if err != nil {
		return err
	}
	set := &Set{}
	for _, id := range ids {
		set.AddID(TunnelIDs, id)
	}
	set.AddAddress(a)
	set.AddUnique("name", name)
	w := &pending{
		ready: true, kind: &kind{}, plan: p, adds: set.Sorted(),
		owner: Owner{Ref: Ref{Resource: "loadbalancers", Namespace: "epic-bench", Name: name}, UID: "5b3f1a52-9f9d-4f4e-9d0c-2f6f6a3c1d11"},
	}
	resp, err := be.kube.Kubernetes.OptimisticPut(withPending(ctx, w), "/bench/loadbalancers/epic-bench/"+name, benchObject, 0, kubernetes.PutOptions{})
	if err == nil && !resp.Succeeded {
		err = fmt.Errorf("%s exists", name)
	}
	return err
}

// benchRun does n writes by so many writers, and returns how long it took.
func benchRun(b *testing.B, writers, n int, write func() error) time.Duration {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(n))
	var wg sync.WaitGroup
	start := time.Now()
	for range writers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := write(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}
