// SPDX-License-Identifier: Apache-2.0

package nodes

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/acnodal/epic/pkg/apis/epic"
)

var issued = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: epic.MetricsNamespace, Subsystem: "connector", Name: "node_credential_requests_total",
	Help: "Credential requests from client nodes, by result: issued, refused or failed.",
}, []string{"result"})

func init() {
	metrics.Registry.MustRegister(issued)
	// Prometheus does not see an increase in the first value of a series.
	for _, result := range []string{"issued", "refused", "failed"} {
		issued.WithLabelValues(result)
	}
}
