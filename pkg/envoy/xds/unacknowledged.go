// SPDX-License-Identifier: Apache-2.0

package xds

import (
	"sync/atomic"
	"time"

	"k8s.io/component-base/metrics"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// unacknowledgedCollector shows how long pods have owed an answer to the server that was
// made last, because a process has one. set_to_acknowledged_seconds can't show it: it has
// nothing of an Envoy that never answers. The value is computed at each scrape from the
// streams that are open, so a stream that ends leaves nothing behind.
type unacknowledgedCollector struct {
	metrics.BaseStableCollector
	server atomic.Pointer[Server]
}

var unacknowledgedDesc = metrics.NewDesc("epic_xds_oldest_unacknowledged_seconds",
	"Time for which a connected pod has neither accepted nor rejected what it was sent, of the pod that has taken longest; 0 if no pod owes an answer.",
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

// oldestUnanswered returns, for each type, when the response was sent whose answer is
// overdue for longest, or zero if every pod has answered.
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
