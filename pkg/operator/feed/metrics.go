// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/envoy/resource"
)

const subsystem = "validate"

var (
	unchecked = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "unchecked_total",
		Help:           "Translations that were sent to proxies unchecked because no validator was available.",
		StabilityLevel: metrics.ALPHA,
	})
	checkSeconds = metrics.NewHistogram(&metrics.HistogramOpts{
		Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "check_seconds",
		Help:           "Time for which a translation waited for the validator.",
		Buckets:        []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 5, 10},
		StabilityLevel: metrics.ALPHA,
	})
	refusals = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "refusals_total",
		Help:           "Resources that the validator rejected.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"type"})
)

func init() {
	legacyregistry.MustRegister(unchecked, checkSeconds, refusals)
	// Prometheus does not see an increase in the first value of a series.
	for _, t := range resource.Types() {
		refusals.WithLabelValues(t.String())
	}
}
