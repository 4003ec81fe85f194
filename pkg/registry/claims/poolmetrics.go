// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"fmt"
	"sync/atomic"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/addresspool"
)

// PoolUse is the use of one pool.
type PoolUse struct {
	HeldPool
	// Size and InUse are numbers of addresses. Size is at most 1<<62.
	Size, InUse uint64
}

// PoolUse returns the number of addresses in use of every pool.
func (b *Backend) PoolUse(ctx context.Context) ([]PoolUse, error) {
	pools, err := newPlan(b, true, true).Pools(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]PoolUse, 0, len(pools))
	for _, p := range pools {
		first, end := poolKeys(b.layout, p.Pool)
		resp, err := b.client.Get(ctx, first, clientv3.WithRange(end), clientv3.WithCountOnly())
		if err != nil {
			return nil, fmt.Errorf("count the addresses in use: %w", err)
		}
		out = append(out, PoolUse{HeldPool: p, Size: poolSize(p.Pool), InUse: uint64(resp.Count)})
	}
	return out, nil
}

// AddressLeft reports whether the pool has a free address.
func (p *Plan) AddressLeft(ctx context.Context, pool addresspool.Pool) (bool, error) {
	first, end := poolKeys(p.b.layout, pool)
	resp, err := p.b.client.Get(ctx, first, clientv3.WithRange(end), clientv3.WithCountOnly())
	if err != nil {
		return false, fmt.Errorf("count the addresses in use: %w", err)
	}
	return uint64(resp.Count) < poolSize(pool), nil
}

// poolCollector exports the use of pools at each scrape, for the backend that was created
// last: a process has one.
type poolCollector struct {
	metrics.BaseStableCollector
	backend atomic.Pointer[Backend]
}

var (
	poolSizeDesc = metrics.NewDesc("epic_address_pool_size",
		"Addresses in a pool of a service prefix.", []string{"prefix", "pool"}, nil, metrics.ALPHA, "")
	poolInUseDesc = metrics.NewDesc("epic_address_pool_addresses_in_use",
		"Addresses of a pool that are in use by load balancers and gateway proxies.", []string{"prefix", "pool"}, nil, metrics.ALPHA, "")

	poolMetrics = &poolCollector{}
)

func init() { legacyregistry.CustomMustRegister(poolMetrics) }

// DescribeWithStability implements metrics.StableCollector.
func (c *poolCollector) DescribeWithStability(ch chan<- *metrics.Desc) {
	ch <- poolSizeDesc
	ch <- poolInUseDesc
}

// CollectWithStability implements metrics.StableCollector.
func (c *poolCollector) CollectWithStability(ch chan<- metrics.Metric) {
	b := c.backend.Load()
	if b == nil {
		return
	}
	// While etcd does not answer, no address is assigned or released, so the last numbers hold.
	pools, _, err := b.poolUse.Get()
	if err != nil {
		klog.Background().Error(err, "Could not count the addresses in use")
	}
	for _, p := range pools {
		ch <- metrics.NewLazyConstMetric(poolSizeDesc, metrics.GaugeValue, float64(p.Size), p.Owner.Name, p.String())
		ch <- metrics.NewLazyConstMetric(poolInUseDesc, metrics.GaugeValue, float64(p.InUse), p.Owner.Name, p.String())
	}
}
