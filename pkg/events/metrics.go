// SPDX-License-Identifier: Apache-2.0

package events

import (
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/acnodal/epic/pkg/apis/epic"
)

var (
	recorded = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: epic.MetricsNamespace, Subsystem: "events", Name: "recorded_total",
		Help:           "Events that were recorded. Equal events are combined into one object with a count.",
		StabilityLevel: metrics.ALPHA,
	})
	suppressed = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: epic.MetricsNamespace, Subsystem: "events", Name: "suppressed_total",
		Help:           "Events that were dropped, by the limit that was reached: object, namespace or program.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"limit"})
)

func init() { legacyregistry.MustRegister(recorded, suppressed) }
