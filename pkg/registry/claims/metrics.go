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
		Help:           "Writes that were planned again because another writer was faster. The request itself did not fail.",
		StabilityLevel: metrics.ALPHA,
	})
	outdated = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: "epic", Subsystem: "claims", Name: "outdated_memory_total",
		Help:           "Writes that were planned again from etcd, because an object or a quota slot that the server remembered had changed, or because a refusal would have rested on it. The request itself did not fail.",
		StabilityLevel: metrics.ALPHA,
	})
	foreignReleases = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: "epic", Subsystem: "claims", Name: "foreign_releases_total",
		Help:           "Claims that an object should have held at its change or deletion, and another did. More than 0 means damaged data: run an audit.",
		StabilityLevel: metrics.ALPHA,
	})
	auditProblems = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Namespace: "epic", Subsystem: "claims", Name: "audit_problems",
		Help:           "Differences between objects and claims that the last audit found, by type. All 0 is well.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"type"})
	auditTime = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: "epic", Subsystem: "claims", Name: "audit_timestamp_seconds",
		Help:           "When the last audit ended, in seconds since 1970.",
		StabilityLevel: metrics.ALPHA,
	})
)

func init() {
	legacyregistry.MustRegister(retries, outdated, foreignReleases, auditProblems, auditTime)
}

func reportForeignReleases(ctx context.Context, o Owner, n int) {
	foreignReleases.Add(float64(n))
	klog.FromContext(ctx).Error(nil, "Claims of an object were not its own and stay; run an audit", "object", o.Ref.String(), "count", n)
}
