// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/acnodal/epic/pkg/apis/epic"
)

var seconds = metrics.NewHistogram(&metrics.HistogramOpts{
	Namespace: epic.MetricsNamespace, Subsystem: "validate", Name: "envoy_seconds",
	Help:           "Run time of an Envoy that checked resources before they reach a proxy.",
	Buckets:        []float64{.02, .05, .1, .2, .5, 1, 5, 20},
	StabilityLevel: metrics.ALPHA,
})

func init() { legacyregistry.MustRegister(seconds) }
