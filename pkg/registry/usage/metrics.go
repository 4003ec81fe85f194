// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"sync/atomic"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// collector exports what accounts store, from the tracker that was started last: a
// process has one.
type collector struct {
	metrics.BaseStableCollector
	tracker atomic.Pointer[Tracker]
}

var (
	objectsDesc = metrics.NewDesc("epic_account_objects",
		"Objects of this API in an account, without the Account.", []string{"account"}, nil, metrics.ALPHA, "")
	bytesDesc = metrics.NewDesc("epic_account_storage_bytes",
		"Bytes of an account's objects in the database.", []string{"account"}, nil, metrics.ALPHA, "")

	metricsOf = &collector{}
)

func init() { legacyregistry.CustomMustRegister(metricsOf) }

// DescribeWithStability implements metrics.StableCollector.
func (*collector) DescribeWithStability(ch chan<- *metrics.Desc) {
	ch <- objectsDesc
	ch <- bytesDesc
}

// CollectWithStability implements metrics.StableCollector.
func (c *collector) CollectWithStability(ch chan<- metrics.Metric) {
	t := c.tracker.Load()
	if t == nil {
		return
	}
	t.each(func(account string, u use) {
		ch <- metrics.NewLazyConstMetric(objectsDesc, metrics.GaugeValue, float64(u.objects), account)
		ch <- metrics.NewLazyConstMetric(bytesDesc, metrics.GaugeValue, float64(u.bytes), account)
	})
}
