// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// Metrics in addition to those of controller-runtime for queues and reconcilers.
var (
	writes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: epic.MetricsNamespace, Subsystem: "connector", Name: "writes_total",
		Help: "Writes to EPIC, by kind and operation: apply or delete.",
	}, []string{"kind", "operation"})
	refusals = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: epic.MetricsNamespace, Subsystem: "connector", Name: "refused_objects",
		Help: "Local objects that EPIC currently refuses, by kind.",
	}, []string{"kind"})
	statusWrites = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: epic.MetricsNamespace, Subsystem: "connector", Name: "status_writes_total",
		Help: "Status writes to local objects, by kind.",
	}, []string{"kind"})
)

func init() { metrics.Registry.MustRegister(writes, refusals, statusWrites) }

// kindOf returns the kind of an object, by its Go type.
func kindOf(o any) string {
	name := fmt.Sprintf("%T", o)
	return name[strings.LastIndexByte(name, '.')+1:]
}
