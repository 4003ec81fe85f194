// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"sync"

	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// Results of a reconciliation.
const (
	resultUnchanged = "unchanged"
	resultWritten   = "written"
	resultConflict  = "conflict"
	resultError     = "error"
)

const subsystem = "controller"

var (
	reconciles = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "reconciles_total",
		Help:           "Reconciliations, by result: unchanged, written, conflict (retried with a newer version), error (retried later).",
		StabilityLevel: metrics.ALPHA,
	}, []string{"kind", "result"})
	nodesRemoved = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "gateway_nodes_removed_total",
		Help:           "Gateway nodes that were evicted because they sent no heartbeat.",
		StabilityLevel: metrics.ALPHA,
	})
	tunnelsWanted = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "tunnels_wanted",
		Help:           "Tunnels that are currently required.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"kind"})
	tunnelsAssigned = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "tunnels_assigned",
		Help:           "Required tunnels that have an ID.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"kind"})
	tunnelsUnassigned = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "tunnels_unassigned",
		Help:           "Required tunnels without an ID, because a write failed or the object would have too many.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"kind"})
	objects = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Namespace: epic.MetricsNamespace, Subsystem: subsystem, Name: "objects",
		Help:           "Load balancers and gateway proxies, by the reason of their condition TunnelsReady.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"kind", "reason"})
)

func init() {
	legacyregistry.MustRegister(nodesRemoved, reconciles, tunnelsWanted, tunnelsAssigned, tunnelsUnassigned, objects)
}

// counts is the contribution of one object to the gauges.
type counts struct {
	wanted, assigned int
	reason           string
}

// tally sums the gauges of one kind.
type tally struct {
	kind string
	mu   sync.Mutex
	of   map[cache.ObjectName]counts
}

func newTally(kind string) *tally { return &tally{kind: kind, of: map[cache.ObjectName]counts{}} }

// set replaces the contribution of an object.
func (t *tally) set(key cache.ObjectName, c counts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(t.of[key], -1)
	t.of[key] = c
	t.add(c, 1)
}

// forget removes the contribution of an object that was deleted.
func (t *tally) forget(key cache.ObjectName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(t.of[key], -1)
	delete(t.of, key)
}

func (t *tally) add(c counts, sign float64) {
	tunnelsWanted.WithLabelValues(t.kind).Add(sign * float64(c.wanted))
	tunnelsAssigned.WithLabelValues(t.kind).Add(sign * float64(c.assigned))
	tunnelsUnassigned.WithLabelValues(t.kind).Add(sign * float64(c.wanted-c.assigned))
	if c.reason != "" {
		objects.WithLabelValues(t.kind, c.reason).Add(sign)
	}
}
