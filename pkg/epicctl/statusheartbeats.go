// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/nodereports"
)

// mostNodes is how many nodes have a line each. Of more, only those that need a
// look have.
const mostNodes = 20

// shownDown is how many tunnels that are down are named.
const shownDown = 5

// readReports reads what gateway nodes report.
func (s *status) readReports(ctx context.Context) {
	list, err := all(ctx, collection[*v1.GatewayNode](epic.ResourceGatewayNodes, epic.ConfigNamespace, s.epicClient.EpicV1().GatewayNodes(epic.ConfigNamespace).List))
	if err != nil {
		s.failed("gateway nodes", right{"list", "gatewaynodes." + v1.GroupName, epic.ConfigNamespace}, err)
		if s.epic == nil {
			return
		}
	}
	s.takeReports(list)
}

func (s *status) takeReports(list []*v1.GatewayNode) {
	s.reports, s.objects = nodereports.Merge(s.epic, list), map[string]*v1.GatewayNode{}
	for _, node := range list {
		s.objects[node.Spec.Address] = node
	}
}

// checkHeartbeats shows what each gateway node reports.
func (s *status) checkHeartbeats() {
	well := 0
	for _, address := range slices.SortedFunc(maps.Keys(s.reports), byAddress) {
		if s.checkHeartbeat("node "+address, s.reports[address], s.objects[address], len(s.reports) <= mostNodes) {
			well++
		}
	}
	if len(s.reports) > mostNodes {
		s.ok("gateway nodes", "%d of %d are well", well, len(s.reports))
	}
}

// checkHeartbeat says whether one node is well, and shows it if it is not or if
// all are to be shown.
func (s *status) checkHeartbeat(check string, node v1.EPICNodeStatus, object *v1.GatewayNode, show bool) bool {
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
		s.warn(check, "see whether the client nodes at the far ends run, and \"epic-node status\" there and on this node",
			"%s: %d of %d tunnels up%s", name, node.TunnelsUp, node.Tunnels, downTunnels(object, time.Now()))
	default:
		if show {
			s.ok(check, "%s: %d of %d tunnels up, heard of %s ago", name, node.TunnelsUp, node.Tunnels, duration.HumanDuration(max(0, since)))
		}
		return true
	}
	return false
}

// downTunnels names the first tunnels of a node that are down, and says why.
func downTunnels(node *v1.GatewayNode, now time.Time) string {
	if node == nil || len(node.Status.DownTunnels) == 0 {
		return ""
	}
	var told []string
	for _, t := range node.Status.DownTunnels[:min(shownDown, len(node.Status.DownTunnels))] {
		why := "it has not answered since the gateway node started"
		if !t.LastAnswer.IsZero() {
			why = "no PING for " + duration.HumanDuration(max(0, now.Sub(t.LastAnswer.Time)))
		}
		told = append(told, fmt.Sprintf("%d to client node %s (%s)", t.TunnelID, orNone(t.TenantNode), why))
	}
	if more := int(node.Status.TunnelsDown) - len(told); more > 0 {
		told = append(told, fmt.Sprintf("and %d more", more))
	}
	return "; down: " + strings.Join(told, ", ")
}

// byAddress is the order of numbers, IPv4 before IPv6, and what is no address first.
func byAddress(a, b string) int {
	x, _ := netip.ParseAddr(a)
	y, _ := netip.ParseAddr(b)
	return x.Compare(y)
}
