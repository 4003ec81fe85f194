// SPDX-License-Identifier: Apache-2.0

package xds

import (
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/version"
)

const subsystem = "xds"

// meters holds the metrics of a server.
type meters struct {
	connectedPods                 *metrics.Gauge
	envoys                        *versions
	setToAcknowledged             *metrics.HistogramVec
	refusals, bytesSent           *metrics.CounterVec
	resourcesSent                 *metrics.CounterVec
	requestsDelayed, unidentified *metrics.Counter
}

// metered holds the metrics of the servers for proxies.
var metered = newMeters()

// unacknowledged exports the age of responses that pods have not acknowledged.
var unacknowledged = &unacknowledgedCollector{}

func init() {
	legacyregistry.CustomMustRegister(unacknowledged)
	legacyregistry.MustRegister(metered.connectedPods, metered.envoys.gauge, metered.setToAcknowledged, metered.refusals, metered.bytesSent,
		metered.resourcesSent, metered.requestsDelayed, metered.unidentified)
	// Prometheus does not see an increase in the first value of a series.
	for _, t := range resource.Types() {
		metered.refusals.WithLabelValues(t.String())
	}
}

// newMeters returns metrics. They count nothing until they are registered.
func newMeters() *meters {
	return &meters{
		connectedPods: metrics.NewGauge(&metrics.GaugeOpts{
			Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "connected_pods",
			Help:           "Pods of proxies that have a stream to this server.",
			StabilityLevel: metrics.ALPHA,
		}),
		envoys: &versions{gauge: metrics.NewGaugeVec(&metrics.GaugeOpts{
			Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "connected_envoys",
			Help:           "Envoys that have a stream to this server, by the version that they report.",
			StabilityLevel: metrics.ALPHA,
		}, []string{"version"})},
		setToAcknowledged: metrics.NewHistogramVec(&metrics.HistogramOpts{
			Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "set_to_acknowledged_seconds",
			Help:           "Time from when a resource was set until a connected pod acknowledged it.",
			Buckets:        []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 5, 30},
			StabilityLevel: metrics.ALPHA,
		}, []string{"type"}),
		refusals:        counters("refusals_total", "Resources that a pod's Envoy rejected."),
		bytesSent:       counters("sent_bytes_total", "Bytes of responses sent, before TLS."),
		resourcesSent:   counters("sent_resources_total", "Resources sent."),
		requestsDelayed: metrics.NewCounter(counterOpts("requests_delayed_total", "Requests that were delayed because a pod sent too many.")),
		unidentified:    metrics.NewCounter(counterOpts("unidentified_total", "Streams refused because the client did not prove which proxy it is.")),
	}
}

// versions counts Envoys by version. It has no series for a version without an Envoy, so
// versions reported by tenants' images do not accumulate.
type versions struct {
	gauge *metrics.GaugeVec

	mu    sync.Mutex
	count map[version.Version]int
}

// add adds n Envoys of a version.
func (v *versions) add(is version.Version, n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.count == nil {
		v.count = map[version.Version]int{}
	}
	if v.count[is] += n; v.count[is] == 0 {
		delete(v.count, is)
		v.gauge.DeleteLabelValues(is.String())
		return
	}
	v.gauge.WithLabelValues(is.String()).Set(float64(v.count[is]))
}

// counters returns a counter by resource type.
func counters(name, help string) *metrics.CounterVec {
	return metrics.NewCounterVec(counterOpts(name, help), []string{"type"})
}

func counterOpts(name, help string) *metrics.CounterOpts {
	return &metrics.CounterOpts{Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: name, Help: help, StabilityLevel: metrics.ALPHA}
}
