// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/acnodal/epic/pkg/apis/epic"
)

var seconds = metrics.NewHistogram(&metrics.HistogramOpts{
	Namespace: epic.MetricsNamespace, Subsystem: "validate", Name: "envoy_seconds",
	Help:           "Time that an Envoy took to check resources before they reach a proxy.",
	Buckets:        []float64{.02, .05, .1, .2, .5, 1, 5, 20},
	StabilityLevel: metrics.ALPHA,
})

var checkSeconds = metrics.NewHistogram(&metrics.HistogramOpts{
	Namespace: epic.MetricsNamespace, Subsystem: "validate", Name: "check_seconds",
	Help:           "Time that a translation waited for the check of resources that had no answer yet.",
	Buckets:        []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 5, 20},
	StabilityLevel: metrics.ALPHA,
})

var refusals = metrics.NewCounterVec(&metrics.CounterOpts{
	Namespace: epic.MetricsNamespace, Subsystem: "validate", Name: "refusals_total",
	Help:           "Resources that an Envoy refused before they reached a proxy.",
	StabilityLevel: metrics.ALPHA,
}, []string{"type"})

func init() { legacyregistry.MustRegister(seconds, checkSeconds, refusals) }
