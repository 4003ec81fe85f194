// SPDX-License-Identifier: Apache-2.0

package overview

import (
	"cmp"
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

const (
	// NodeDaemonSet is the name of the node program's DaemonSet in the manifests.
	NodeDaemonSet = "epic-node"

	// mostNodes is the maximum number of nodes that have a line each. If there are more,
	// only those with a problem do.
	mostNodes = 20
	// shownDown is the maximum number of down tunnels that are named.
	shownDown = 5
)

// checkGatewayNodes checks the node program's DaemonSet and the report of each gateway
// node.
func (i *Installation) checkGatewayNodes(c *checks) {
	if i.GatewayNodes == nil {
		return
	}
	if u := i.GatewayNodes.Unread; u != nil {
		c.unread("gateway nodes", u)
	}
	var reports map[string]v1.EPICNodeStatus
	if i.GatewayNodes.Unread == nil || i.epic() != nil {
		reports = nodereports.Merge(i.epic(), i.GatewayNodes.Objects)
	}
	i.checkNodeProgram(c, reports)
	objects := map[string]*v1.GatewayNode{}
	for _, node := range i.GatewayNodes.Objects {
		objects[node.Spec.Address] = node
	}
	well := 0
	for _, address := range slices.SortedFunc(maps.Keys(reports), byAddress) {
		if i.checkHeartbeat(c, address, reports[address], objects[address], len(reports) <= mostNodes) {
			well++
		}
	}
	if len(reports) > mostNodes {
		c.ok("gateway nodes", "%d of %d are healthy", well, len(reports))
	}
}

// checkNodeProgram checks how many nodes of the gateway cluster run the node program.
func (i *Installation) checkNodeProgram(c *checks, reports map[string]v1.EPICNodeStatus) {
	const (
		name = "nodes"
		fix  = "check the pods of the DaemonSet epic-node and their logs"
	)
	switch d := i.NodeProgram; {
	case d == nil || d.Absent:
		countNodes(c, name, reports)
	case d.Unread != nil:
		c.unread(name, d.Unread)
	case d.Desired == 0:
		c.warn(name, "label nodes so that the DaemonSet epic-node selects them", "no node runs the node program")
	case d.Ready == 0:
		c.fail(name, fix, "the node program is ready on none of %d nodes", d.Desired)
	case d.Ready < d.Desired:
		c.warn(name, fix, "the node program is ready on %d of %d nodes", d.Ready, d.Desired)
	default:
		c.ok(name, "the node program is ready on %d of %d nodes", d.Ready, d.Desired)
	}
}

// countNodes counts the nodes that report, if no DaemonSet runs the program.
func countNodes(c *checks, name string, reports map[string]v1.EPICNodeStatus) {
	switch n := len(reports); {
	case reports == nil:
		c.ok(name, "unknown: their reports can't be read")
	case n > 0:
		c.ok(name, "%s, without the DaemonSet %s", count(n, "gateway node reports", "gateway nodes report"), NodeDaemonSet)
	default:
		c.ok(name, "no gateway node yet; docs/node.md describes how to run one")
	}
}

// checkHeartbeat reports whether a node is healthy, and adds a line if it is not or if
// all nodes are shown.
func (i *Installation) checkHeartbeat(c *checks, address string, node v1.EPICNodeStatus, object *v1.GatewayNode, show bool) bool {
	check := "node " + address
	name := cmp.Or(node.Name, "without a name")
	if node.Version != "" {
		name += ", version " + node.Version
	}
	h := judgeNode(i.Now.Time, &node)
	switch h.reason {
	case "":
		if show {
			c.ok(check, "%s: %d of %d tunnels up, last heartbeat %s ago", name, node.TunnelsUp, node.Tunnels, duration.HumanDuration(max(0, i.Now.Sub(node.HeartbeatTime.Time))))
		}
		return true
	case reasonTunnelsDown:
		c.warn(check, h.fix, "%s: %s%s", name, h.message, downTunnels(object, i.Now.Time))
	default:
		c.warn(check, h.fix, "%s: %s", name, h.message)
	}
	return false
}

// Reasons why a gateway node is not healthy, in addition to that of its condition Ready.
const (
	reasonNeverReported = "NeverReported"
	reasonSilent        = "NodesSilent"
	reasonTunnelsDown   = "SomeTunnelsDown"
)

// health is why a gateway node is not healthy; the reason is empty if it is.
type health struct{ reason, message, fix string }

// judgeNode evaluates the report of a node.
func judgeNode(now time.Time, node *v1.EPICNodeStatus) health {
	since := now.Sub(node.HeartbeatTime.Time)
	switch c := meta.FindStatusCondition(node.Conditions, readyCondition); {
	case node.HeartbeatTime.IsZero():
		return health{reasonNeverReported, "it has never sent a heartbeat", "check the node program's log"}
	case since > epic.NodeSilentAfter:
		return health{reasonSilent, "stale, no heartbeat for " + duration.HumanDuration(since),
			"check whether the node is up, and check its program's log; the controller evicts a lost node after --node-timeout, an hour by default"}
	case c != nil && c.Status != metav1.ConditionTrue:
		return health{c.Reason, fmt.Sprintf("it is not Ready: %s: %s", c.Reason, c.Message), "run \"epic-node status\" on the node"}
	case node.TunnelsUp < node.Tunnels:
		return health{reasonTunnelsDown, fmt.Sprintf("%d of %d tunnels up", node.TunnelsUp, node.Tunnels),
			"check whether the client nodes at the far ends are up, and run \"epic-node status\" there and on this node"}
	}
	return health{}
}

// downTunnels returns the first down tunnels of a node, with the reason.
func downTunnels(node *v1.GatewayNode, now time.Time) string {
	if node == nil || len(node.Status.DownTunnels) == 0 {
		return ""
	}
	var named []string
	for _, t := range node.Status.DownTunnels[:min(shownDown, len(node.Status.DownTunnels))] {
		named = append(named, fmt.Sprintf("%d to client node %s (%s)", t.TunnelID, cmp.Or(t.TenantNode, none), silence(&t, now)))
	}
	if more := int(node.Status.TunnelsDown) - len(named); more > 0 {
		named = append(named, fmt.Sprintf("and %d more", more))
	}
	return "; down: " + strings.Join(named, ", ")
}

// silence returns for how long the far end of a tunnel has not responded.
func silence(t *v1.DownTunnel, now time.Time) string {
	if t.LastAnswer.IsZero() {
		return "it has not answered since the gateway node started"
	}
	return "no PING for " + duration.HumanDuration(max(0, now.Sub(t.LastAnswer.Time)))
}

// byAddress orders addresses numerically, IPv4 before IPv6, and invalid ones first.
func byAddress(a, b string) int {
	x, _ := netip.ParseAddr(a)
	y, _ := netip.ParseAddr(b)
	return cmp.Or(x.Compare(y), strings.Compare(a, b))
}
