// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// mostNodes is how many nodes have a line each. Of more, only those that need a
// look have.
const mostNodes = 20

// checkHeartbeats shows what each gateway node said of itself last.
func (s *status) checkHeartbeats() {
	if s.epic == nil {
		return
	}
	nodes := s.epic.Status.Nodes
	well := 0
	for _, address := range slices.SortedFunc(maps.Keys(nodes), byAddress) {
		if s.checkHeartbeat("node "+address, nodes[address], len(nodes) <= mostNodes) {
			well++
		}
	}
	if len(nodes) > mostNodes {
		s.ok("gateway nodes", "%d of %d are well", well, len(nodes))
	}
}

// checkHeartbeat says whether one node is well, and shows it if it is not or if
// all are to be shown.
func (s *status) checkHeartbeat(check string, node v1.EPICNodeStatus, show bool) bool {
	name := node.Name
	if name == "" {
		name = "without a name"
	}
	if node.Version != "" {
		name += ", version " + node.Version
	}
	since := time.Since(node.HeartbeatTime.Time)
	switch c := meta.FindStatusCondition(node.Conditions, readyCondition); {
	case node.HeartbeatTime.IsZero():
		s.warn(check, "see the node program's log", "%s: it has never reported", name)
	case since > epic.NodeSilentAfter:
		s.warn(check, "see whether the node is up, and its program's log; one that is gone for good the controller gives up by itself, after an hour unless its --node-timeout says otherwise",
			"%s: stale, it has not been heard of for %s", name, duration.HumanDuration(since))
	case c != nil && c.Status != metav1.ConditionTrue:
		s.warn(check, "run \"epic-node status\" on the node", "%s: it is not Ready: %s: %s", name, c.Reason, c.Message)
	case node.TunnelsUp < node.Tunnels:
		s.warn(check, "run \"epic-node status\" on the node; the far ends of the others do not answer", "%s: %d of %d tunnels up", name, node.TunnelsUp, node.Tunnels)
	default:
		if show {
			s.ok(check, "%s: %d of %d tunnels up, heard of %s ago", name, node.TunnelsUp, node.Tunnels, duration.HumanDuration(max(0, since)))
		}
		return true
	}
	return false
}

// byAddress is the order of numbers, IPv4 before IPv6, and what is no address first.
func byAddress(a, b string) int {
	x, _ := netip.ParseAddr(a)
	y, _ := netip.ParseAddr(b)
	return x.Compare(y)
}
