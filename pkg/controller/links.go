// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/tunnelstate"
)

// stateFunc returns the state of the tunnel with an ID, as reported by the gateway node
// on which it ends. A nil stateFunc knows nothing.
type stateFunc func(tunnel int32, gatewayNode netip.Addr) tunnelstate.State

func (f stateFunc) of(tunnel int32, gatewayNode netip.Addr) tunnelstate.State {
	if f == nil || tunnel == 0 {
		return tunnelstate.Unknown
	}
	return f(tunnel, gatewayNode)
}

// links is the state of the tunnels that an object uses.
type links struct {
	up, unknown int
	down        []pair
	// of holds the number of tunnels of each client node, and how many of them are down.
	of map[netip.Addr]linkCount
}

type linkCount struct{ all, down int }

// linksTo returns the tunnels of some proxies that lead to the given client nodes, which
// are sorted.
func linksTo(nodes []netip.Addr, state stateFunc, proxies ...*epicv1.ProxyStatus) *links {
	meant := func(node netip.Addr) bool {
		_, found := slices.BinarySearchFunc(nodes, node, netip.Addr.Compare)
		return found
	}
	l := &links{of: map[netip.Addr]linkCount{}}
	for _, status := range proxies {
		for q, tunnel := range existing(status) {
			if tunnel == 0 || !meant(q.tenantNode) {
				// The condition TunnelsReady reports tunnels without an ID.
				continue
			}
			n := l.of[q.tenantNode]
			n.all++
			switch state.of(tunnel, q.epicNode) {
			case tunnelstate.Up:
				l.up++
			case tunnelstate.Down:
				l.down = append(l.down, q)
				n.down++
			case tunnelstate.Unknown:
				l.unknown++
			}
			l.of[q.tenantNode] = n
		}
	}
	slices.SortFunc(l.down, pair.compare)
	l.down = slices.Compact(l.down)
	return l
}

// cutOff reports whether no endpoint can be reached because every tunnel that leads to
// one is down.
func (l *links) cutOff(all []endpoints.Endpoint) bool {
	down := false
	for i := range all {
		if all[i].Unreadable {
			continue
		}
		n := l.of[all[i].Node]
		if n.all == 0 || n.down < n.all {
			// This includes an endpoint that does not need a tunnel, or has none yet.
			return false
		}
		down = true
	}
	return down
}

// tunnelsUp returns the condition for the tunnels. It returns false if no gateway node
// ever reported on a tunnel of the object.
func (l *links) tunnelsUp(cutOff bool, has []metav1.Condition) (metav1.Condition, bool) {
	known := l.up + len(l.down)
	had := meta.FindStatusCondition(has, ConditionTunnelsUp) != nil
	switch {
	case known == 0 && !had:
		return metav1.Condition{}, false
	case known+l.unknown == 0:
		return condition(ConditionTunnelsUp, true, ReasonNotNeeded, "No tunnel is required"), true
	case known == 0:
		c := condition(ConditionTunnelsUp, false, ReasonNotReported, "No gateway node reports on the tunnels: see the condition NodesReady of the EPIC object")
		c.Status = metav1.ConditionUnknown
		return c, true
	case len(l.down) == 0:
		return condition(ConditionTunnelsUp, true, ReasonUp, "No tunnel is down"), true
	}
	reason, which := ReasonSomeTunnelsDown, "Some tunnels are"
	if cutOff {
		reason, which = ReasonAllTunnelsDown, "No endpoint can be reached: its tunnels are"
	}
	return condition(ConditionTunnelsUp, false, reason, "%s down: %s: %s", which, tellPairs(l.down), downWayOut), true
}

// downWayOut is the suggested fix for a tunnel that is down.
const downWayOut = "check whether the client node is up, whether its address is correct, whether the node program runs there, and whether its UDP packets reach the gateway node"

// tellPairs returns the first tunnels as one message.
func tellPairs(pairs []pair) string {
	told := make([]string, 0, min(len(pairs), shownProblems+1))
	for _, q := range pairs[:min(len(pairs), shownProblems)] {
		told = append(told, fmt.Sprintf("client node %s to gateway node %s", q.tenantNode, q.epicNode))
	}
	if len(pairs) > shownProblems {
		told = append(told, fmt.Sprintf("and %d more", len(pairs)-shownProblems))
	}
	return strings.Join(told, "; ")
}

// withLinks inserts the condition for the tunnels before Ready, the last of an object's
// conditions, which is false if no endpoint can be reached.
func withLinks(all []metav1.Condition, l *links, found []endpoints.Endpoint, has []metav1.Condition) []metav1.Condition {
	cutOff := l.cutOff(found)
	c, is := l.tunnelsUp(cutOff, has)
	if !is {
		return all
	}
	if ready := len(all) - 1; cutOff && isReady(all) {
		all[ready] = c
		all[ready].Type = ConditionReady
	}
	return slices.Insert(all, len(all)-1, c)
}

// tunnelUp returns the condition for the tunnels to the node of one endpoint, of which
// there is at least one.
func (l *links) tunnelUp() metav1.Condition {
	known := l.up + len(l.down)
	switch {
	case known == 0:
		return condition(ConditionTunnelReady, true, ReasonAssigned, "A tunnel leads to the endpoint's node")
	case len(l.down) == 0:
		return condition(ConditionTunnelReady, true, ReasonUp, "A tunnel leads to the endpoint's node, and the node answers")
	case l.up+l.unknown == 0:
		return condition(ConditionTunnelReady, false, ReasonAllTunnelsDown, "The endpoint's node does not answer: the tunnels are down from %s: %s", tellPairs(l.down), downWayOut)
	}
	return condition(ConditionTunnelReady, true, ReasonSomeTunnelsDown, "The endpoint's node answers some gateway nodes only: the tunnels are down from %s: %s", tellPairs(l.down), downWayOut)
}
