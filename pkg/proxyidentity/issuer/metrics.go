// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/acnodal/epic/pkg/apis/epic"
)

const subsystem = "proxy_certificates"

var (
	issued = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "issued_total",
		Help:           "Certificates issued to pods of proxies.",
		StabilityLevel: metrics.ALPHA,
	})
	refusals = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "refused_total",
		Help:           "Certificate requests that were refused, by reason.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"reason"})
	failed = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "failed_total",
		Help:           "Certificate requests that failed before a decision; the pod tries again.",
		StabilityLevel: metrics.ALPHA,
	})
)

func init() { legacyregistry.MustRegister(issued, refusals, failed) }
