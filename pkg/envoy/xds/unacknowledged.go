// SPDX-License-Identifier: Apache-2.0

package xds

import (
	"sync/atomic"
	"time"

	"k8s.io/component-base/metrics"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// unacknowledgedCollector exports the age of the oldest response that a pod has not acknowledged,
// for the server that was created last, because a process has one. set_to_acknowledged_seconds
// does not include an Envoy that never responds. The collector computes the value at each scrape
// from the open streams, so a closed stream leaves nothing behind.
type unacknowledgedCollector struct {
	metrics.BaseStableCollector
	server atomic.Pointer[Server]
}

var unacknowledgedDesc = metrics.NewDesc("epic_xds_oldest_unacknowledged_seconds",
	"Age of the oldest configuration that a connected pod has neither accepted nor rejected; 0 if there is none.",
	[]string{"type"}, nil, metrics.ALPHA, "")

// DescribeWithStability implements metrics.StableCollector.
func (*unacknowledgedCollector) DescribeWithStability(ch chan<- *metrics.Desc) {
	ch <- unacknowledgedDesc
}

// CollectWithStability implements metrics.StableCollector.
func (c *unacknowledgedCollector) CollectWithStability(ch chan<- metrics.Metric) {
	s := c.server.Load()
	if s == nil {
		return
	}
	oldest := s.oldestUnanswered()
	now := s.options.now()
	for _, t := range resource.Types() {
		var age time.Duration
		if since := oldest[t]; !since.IsZero() {
			age = max(now.Sub(since), 0)
		}
		ch <- metrics.NewLazyConstMetric(unacknowledgedDesc, metrics.GaugeValue, age.Seconds(), t.String())
	}
}

// oldestUnanswered returns, for each type, when the oldest response was sent that a pod has
// neither acknowledged nor rejected, or zero if there is none.
func (s *Server) oldestUnanswered() (oldest [resource.TypeCount]time.Time) {
	for _, p := range s.all() {
		p.mu.Lock()
		for _, stream := range p.streams {
			for _, t := range resource.Types() {
				since := stream.session.Unanswered(t)
				if !since.IsZero() && (oldest[t].IsZero() || since.Before(oldest[t])) {
					oldest[t] = since
				}
			}
		}
		p.mu.Unlock()
	}
	return oldest
}
