// SPDX-License-Identifier: Apache-2.0

package xds

import (
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/acnodal/epic/pkg/apis/epic"
)

const subsystem = "xds"

var (
	connectedPods = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "connected_pods",
		Help:           "Pods of proxies that have a stream to this server.",
		StabilityLevel: metrics.ALPHA,
	})
	setToAcknowledged = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "set_to_acknowledged_seconds",
		Help:           "Time from when a resource was set until a connected pod acknowledged it.",
		Buckets:        []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 5, 30},
		StabilityLevel: metrics.ALPHA,
	}, []string{"type"})
	refusals = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "refusals_total",
		Help:           "Resources that a pod's Envoy refused.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"type"})
	bytesSent = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "sent_bytes_total",
		Help:           "Bytes of responses sent, before TLS.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"type"})
	resourcesSent = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "sent_resources_total",
		Help:           "Resources sent.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"type"})
	requestsDelayed = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "requests_delayed_total",
		Help:           "Requests of pods that had to wait because the pod sends too many.",
		StabilityLevel: metrics.ALPHA,
	})
	unidentified = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "unidentified_total",
		Help:           "Streams refused because the client did not prove which proxy it is.",
		StabilityLevel: metrics.ALPHA,
	})
)

func init() {
	legacyregistry.MustRegister(connectedPods, setToAcknowledged, refusals, bytesSent, resourcesSent, requestsDelayed, unidentified)
}
