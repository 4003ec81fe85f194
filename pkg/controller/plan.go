// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/tunnelstate"
)

// pair identifies one tunnel of an object.
type pair struct{ tenantNode, epicNode netip.Addr }

// compare orders pairs by the client node, then by the gateway node.
func (p pair) compare(q pair) int {
	if c := p.tenantNode.Compare(q.tenantNode); c != 0 {
		return c
	}
	return p.epicNode.Compare(q.epicNode)
}

// plan is the desired status of an object.
type plan struct {
	// wanted is the number of tunnels that are currently needed.
	wanted int
	// pairs are the tunnels that the object gets: those that are needed, up to the limit
	// for one object, and those that linger.
	pairs []pair
	// lingering holds the pairs that are no longer needed.
	lingering      map[pair]bool
	added, removed int
	// reason is the reason of the condition TunnelsReady.
	reason string
	status epicv1.ProxyStatus
}

// planFor decides which tunnels an object gets. It keeps existing tunnels that are
// needed, with their IDs, adds new ones without an ID, and removes the rest after they
// have lingered. Proxies on evicted gateway nodes are gone, with their interfaces. An
// object that is being deleted gets nothing new, and its conditions stay.
func planFor(s *state) *plan {
	p := &plan{}
	infos := runningProxies(s)
	ports := epicNodes(infos)
	tenantNodes := endpoints.Nodes(s.endpoints)
	p.wanted = len(tenantNodes) * len(ports)
	has := existing(s.status)
	p.choose(tenantNodes, slices.SortedFunc(maps.Keys(ports), netip.Addr.Compare), has, s.meta.DeletionTimestamp == nil)
	if s.lingers != nil && s.meta.DeletionTimestamp == nil {
		p.linger(ports, has, func(q pair) bool {
			// A tunnel that is down carries no traffic.
			return s.tunnels.of(has[q], q.epicNode) != tunnelstate.Down && s.lingers(q)
		})
	}

	p.status = *s.status.DeepCopy()
	p.status.ProxyIfInfo = infos
	p.status.GUETunnelEndpoints = tunnelMap(p.pairs, ports, has)
	epicv1.SetDefaults_ProxyStatus(&p.status)
	if s.meta.DeletionTimestamp == nil {
		p.status.ObservedGeneration = s.meta.Generation
	}
	p.setConditions(s, tenantNodes, len(ports))
	return p
}

// choose fills in the pairs, existing ones first. If there are too many, its choice
// depends only on the object, so every controller makes the same.
func (p *plan) choose(tenantNodes, epicNodes []netip.Addr, has map[pair]int32, mayAdd bool) {
	var missing []pair
	for _, tenantNode := range tenantNodes {
		for _, epicNode := range epicNodes {
			q := pair{tenantNode, epicNode}
			if _, ok := has[q]; ok {
				p.pairs = append(p.pairs, q)
			} else {
				missing = append(missing, q)
			}
		}
	}
	p.removed = len(has) - len(p.pairs)
	if mayAdd {
		missing = missing[:min(len(missing), max(0, epic.MaxTunnelsPerObject-len(p.pairs)))]
		p.added = len(missing)
		p.pairs = append(p.pairs, missing...)
		slices.SortFunc(p.pairs, pair.compare)
	}
}

// linger adds existing pairs that are no longer needed because no endpoint is left on the
// client node: requests may still be in progress. No pair lingers to a gateway node
// without a proxy, and lingering pairs never displace needed ones.
func (p *plan) linger(ports map[netip.Addr]epicv1.EndpointPort, has map[pair]int32, lingers func(pair) bool) {
	needed := make(map[pair]bool, len(p.pairs))
	for _, q := range p.pairs {
		needed[q] = true
	}
	p.lingering = map[pair]bool{}
	for _, q := range slices.SortedFunc(maps.Keys(has), pair.compare) {
		if _, runs := ports[q.epicNode]; runs && !needed[q] && has[q] != 0 && lingers(q) && len(p.pairs) < epic.MaxTunnelsPerObject {
			p.pairs, p.lingering[q] = append(p.pairs, q), true
			p.removed--
		}
	}
	slices.SortFunc(p.pairs, pair.compare)
}

// runningProxies returns the interfaces of an object's proxies, except those on evicted
// gateway nodes and those of proxies that are gone.
func runningProxies(s *state) map[string]epicv1.ProxyInterfaceInfo {
	infos := maps.Clone(s.status.ProxyIfInfo)
	maps.DeleteFunc(infos, func(proxy string, _ epicv1.ProxyInterfaceInfo) bool { return s.gone[proxy] })
	if s.lost != nil {
		maps.DeleteFunc(infos, func(_ string, info epicv1.ProxyInterfaceInfo) bool {
			node, ok := address(info.EPICNodeAddress)
			return ok && s.lost(node)
		})
	}
	return infos
}

// epicNodes returns the gateway nodes on which proxies run, with the port on which each
// receives tunnels. The pods of one node should report the same port; if they do not, the
// first by name decides. A pod that names no node has no interface yet.
func epicNodes(infos map[string]epicv1.ProxyInterfaceInfo) map[netip.Addr]epicv1.EndpointPort {
	nodes := map[netip.Addr]epicv1.EndpointPort{}
	for _, pod := range slices.Sorted(maps.Keys(infos)) {
		info := infos[pod]
		node, ok := address(info.EPICNodeAddress)
		if !ok {
			continue
		}
		if _, ok := nodes[node]; !ok {
			nodes[node] = info.EPICPort
		}
	}
	return nodes
}

// existing returns the tunnels in a status, with their IDs.
func existing(status *epicv1.ProxyStatus) map[pair]int32 {
	has := map[pair]int32{}
	for tenantNode, entry := range status.GUETunnelEndpoints {
		for epicNode, tunnel := range entry.EPICEndpoints {
			t, okT := address(tenantNode)
			e, okE := address(epicNode)
			if okT && okE {
				has[pair{t, e}] = tunnel.TunnelID
			}
		}
	}
	return has
}

// tunnelMap returns the pairs in the form in which the server stores them: the fields of
// an entry repeat the pair with the lowest gateway node. The pairs must be sorted.
func tunnelMap(pairs []pair, ports map[netip.Addr]epicv1.EndpointPort, has map[pair]int32) map[string]epicv1.TunnelEndpoint {
	if len(pairs) == 0 {
		return nil
	}
	tunnels := map[string]epicv1.TunnelEndpoint{}
	for _, q := range pairs {
		tenantNode, epicNode := q.tenantNode.String(), q.epicNode.String()
		tunnel := epicv1.GUETunnelEndpoint{EPICAddress: epicNode, EPICPort: ports[q.epicNode], TunnelID: has[q]}
		entry, ok := tunnels[tenantNode]
		if !ok {
			entry = epicv1.TunnelEndpoint{
				EPICAddress: tunnel.EPICAddress, EPICPort: tunnel.EPICPort, TunnelID: tunnel.TunnelID,
				EPICEndpoints: map[string]epicv1.GUETunnelEndpoint{},
			}
		}
		entry.EPICEndpoints[epicNode] = tunnel
		tunnels[tenantNode] = entry
	}
	return tunnels
}

// address parses an address that the server has validated.
func address(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	return a, err == nil && a.Zone() == "" && !a.Is4In6()
}

// counts returns how much of a plan a status has implemented.
func (p *plan) counts(status *epicv1.ProxyStatus) counts {
	c := counts{wanted: p.wanted, reason: p.reason}
	has := existing(status)
	for _, q := range p.pairs {
		if has[q] != 0 && !p.lingering[q] {
			c.assigned++
		}
	}
	return c
}
