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
		Help:           "Translations that proxies got unchecked, because no Envoy could be asked.",
		StabilityLevel: metrics.ALPHA,
	})
	checkSeconds = metrics.NewHistogram(&metrics.HistogramOpts{
		Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "check_seconds",
		Help:           "Time that a translation waited until an Envoy had checked what it yields.",
		Buckets:        []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 5, 10},
		StabilityLevel: metrics.ALPHA,
	})
	refusals = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "refusals_total",
		Help:           "Resources that an Envoy refused before proxies got them.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"type"})
)

func init() {
	legacyregistry.MustRegister(unchecked, checkSeconds, refusals)
	// Prometheus sees no increase in the first value of a series.
	for _, t := range resource.Types() {
		refusals.WithLabelValues(t.String())
	}
}
