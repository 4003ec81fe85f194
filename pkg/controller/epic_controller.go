// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/events"
	"github.com/acnodal/epic/pkg/nodereports"
)

// newEPICs returns the reconciler of the EPIC object. It reports whether gateway nodes
// are ready and pools have addresses.
func newEPICs(c *caches, p *pace) *conditionReconciler {
	j := newConditionReconciler("epics", p, statusWriter(c.client.EpicV1().EPICs))
	prefixes, nodes := c.kinds.ServicePrefixes(), c.kinds.GatewayNodes()
	j.find = func(key cache.ObjectName) (*subject, error) {
		installation, err := c.kinds.EPICs().Lister().EPICs(key.Namespace).Get(key.Name)
		if err != nil {
			return nil, err
		}
		all, err := prefixes.Lister().ServicePrefixes(epic.ConfigNamespace).List(labels.Everything())
		if err != nil {
			return nil, err
		}
		own, err := nodes.Lister().GatewayNodes(epic.ConfigNamespace).List(labels.Everything())
		if err != nil {
			return nil, err
		}
		reports := nodereports.Merge(installation, own)
		s := &subject{meta: &installation.ObjectMeta, observed: installation.Status.ObservedGeneration, conditions: installation.Status.Conditions}
		s.found, s.again = installationConditions(reports, all, time.Now())
		if count := int32(len(reports)); installation.Status.GatewayNodes == nil || *installation.Status.GatewayNodes != count {
			s.extra = map[string]any{"gateway-nodes": count}
		}
		return s, nil
	}
	watch(j.reconciler, c.kinds.EPICs().Informer(), itself[*epicv1.EPIC])
	// A timely heartbeat alone changes nothing here.
	watchThat(j.reconciler, nodes.Informer(), healthChanged, func(*epicv1.GatewayNode) []cache.ObjectName {
		return []cache.ObjectName{cache.NewObjectName(epic.ConfigNamespace, epic.ConfigName)}
	})
	watchThat(j.reconciler, prefixes.Informer(), availabilityChanged, func(*epicv1.ServicePrefix) []cache.ObjectName {
		return []cache.ObjectName{cache.NewObjectName(epic.ConfigNamespace, epic.ConfigName)}
	})
	return j
}

// healthChanged reports whether a gateway node has become ready or unready, or had been
// stale.
func healthChanged(old, node *epicv1.GatewayNode) bool {
	before, now := meta.FindStatusCondition(old.Status.Conditions, ConditionReady), meta.FindStatusCondition(node.Status.Conditions, ConditionReady)
	if before == nil || now == nil {
		return before != now || old.Status.HeartbeatTime.IsZero()
	}
	return !events.Unchanged(before, now) ||
		node.Status.HeartbeatTime.Sub(old.Status.HeartbeatTime.Time) > epic.NodeSilentAfter/2
}

// installationConditions returns the conditions of the EPIC object, and the time after
// which they may change without an event. The object is Ready if at least one gateway
// node is ready and a prefix exists: the conditions of other nodes report their problems.
func installationConditions(reports map[string]epicv1.EPICNodeStatus, prefixes []*epicv1.ServicePrefix, now time.Time) (found []metav1.Condition, again time.Duration) {
	nodes, well, again := nodesReady(reports, now)
	addresses := addressesAvailable(prefixes)
	ready := withReady()[0]
	switch {
	case well == 0:
		ready = nodes
	case len(prefixes) == 0:
		ready = addresses
	}
	ready.Type = ConditionReady
	return []metav1.Condition{nodes, addresses, ready}, again
}

// nodesReady returns the condition for the gateway nodes, by their last reports. well is
// the number of ready nodes.
func nodesReady(nodes map[string]epicv1.EPICNodeStatus, now time.Time) (c metav1.Condition, well int, again time.Duration) {
	var silent, notReady []string
	for _, address := range slices.Sorted(maps.Keys(nodes)) {
		node := nodes[address]
		left := epic.NodeSilentAfter - now.Sub(node.HeartbeatTime.Time)
		if left < 0 {
			silent = append(silent, address)
			continue
		}
		// Stored times are rounded to seconds.
		if left += time.Second; again == 0 || left < again {
			again = left
		}
		if said := meta.FindStatusCondition(node.Conditions, ConditionReady); said != nil && said.Status != metav1.ConditionTrue {
			notReady = append(notReady, fmt.Sprintf("%s (%s)", address, said.Reason))
			continue
		}
		well++
	}
	var told []string
	reason := ReasonAllReady
	if len(notReady) > 0 {
		reason = ReasonNodesNotReady
		told = append(told, fmt.Sprintf("These gateway nodes are not ready: %s: run \"epic-node status\" there", tell(notReady)))
	}
	if len(silent) > 0 {
		reason = ReasonNodesSilent
		told = append(told, fmt.Sprintf("These gateway nodes have sent no heartbeat for %s: %s: check whether they are up, and check the node program's log", epic.NodeSilentAfter, tell(silent)))
	}
	switch {
	case len(nodes) == 0:
		return condition(ConditionNodesReady, false, ReasonNoNodes, "No gateway node has sent a heartbeat: install the node program on one"), 0, 0
	case len(told) > 0:
		return condition(ConditionNodesReady, false, reason, "%s", tell(told)), well, again
	}
	return condition(ConditionNodesReady, true, reason, "All gateway nodes send heartbeats and are ready"), well, again
}

// addressesAvailable returns the condition for all prefixes together.
func addressesAvailable(prefixes []*epicv1.ServicePrefix) metav1.Condition {
	for _, prefix := range prefixes {
		if availability(prefix).Status == metav1.ConditionTrue {
			return condition(ConditionAddressesAvailable, true, ReasonAvailable, "At least one ServicePrefix has addresses left")
		}
	}
	if len(prefixes) == 0 {
		return condition(ConditionAddressesAvailable, false, ReasonNoPrefix, "There is no ServicePrefix, so no proxy can get an address: create one in namespace %s", epic.ConfigNamespace)
	}
	return condition(ConditionAddressesAvailable, false, ReasonExhausted, "No ServicePrefix has addresses left: make a pool larger, or create another ServicePrefix in namespace %s", epic.ConfigNamespace)
}
