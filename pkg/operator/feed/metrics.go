// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/acnodal/epic/pkg/apis/epic"
)

var unchecked = metrics.NewCounter(&metrics.CounterOpts{
	Namespace: epic.MetricsNamespace, Subsystem: "validate", Name: "unchecked_total",
	Help:           "Translations that proxies got unchecked, because no Envoy could be asked.",
	StabilityLevel: metrics.ALPHA,
})

func init() { legacyregistry.MustRegister(unchecked) }
