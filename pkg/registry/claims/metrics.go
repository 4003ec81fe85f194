// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
)

var (
	retries = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: "epic", Subsystem: "claims", Name: "plan_retries_total",
		Help:           "Writes that were planned again because of a concurrent write. The requests did not fail.",
		StabilityLevel: metrics.ALPHA,
	})
	outdated = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: "epic", Subsystem: "claims", Name: "outdated_memory_total",
		Help:           "Writes that were planned again from etcd, because an object or a quota slot that the server remembered had changed, or because a refusal would have rested on it. The request itself did not fail.",
		StabilityLevel: metrics.ALPHA,
	})
	foreignReleases = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: "epic", Subsystem: "claims", Name: "foreign_releases_total",
		Help:           "Claims that belonged to another object when an object that required them was changed or deleted. A value above 0 indicates damaged data: run an audit.",
		StabilityLevel: metrics.ALPHA,
	})
	auditProblems = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Namespace: "epic", Subsystem: "claims", Name: "audit_problems",
		Help:           "Differences between objects and claims that the last audit found, by type. All values should be 0.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"type"})
	auditTime = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: "epic", Subsystem: "claims", Name: "audit_timestamp_seconds",
		Help:           "Time when the last audit completed, in seconds since 1970.",
		StabilityLevel: metrics.ALPHA,
	})
)

func init() {
	legacyregistry.MustRegister(retries, outdated, foreignReleases, auditProblems, auditTime)
}

func reportForeignReleases(ctx context.Context, o Owner, n int) {
	foreignReleases.Add(float64(n))
	klog.FromContext(ctx).Error(nil, "Claims of an object belong to another object and were not released; run an audit", "object", o.Ref.String(), "count", n)
}
