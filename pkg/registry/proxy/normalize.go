// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// NormalizeStatus brings a status that is being written into the one shape in which
// it is kept, whichever of the shapes that clients know it was written in:
//
//   - each tunnel is an entry of epic-endpoints, and the fields of the tenant
//     node's entry repeat the one with the lowest EPIC address;
//   - a tunnel that the object has already keeps its ID where the ID was left
//     out, and a new one has none yet;
//   - proxy-ifindex and proxy-ifname repeat the first of proxy-if-info;
//   - a writer that does not know this status keeps the tunnels and interfaces.
//
// What can't be read, and IDs that the client made up, are left for validation
// to refuse.
func NormalizeStatus(status, old *epic.ProxyStatus) {
	keepUnknown(status, old)
	// Only the server gives places.
	status.QuotaPlace = old.QuotaPlace
	for node, tunnel := range status.GUETunnelEndpoints {
		status.GUETunnelEndpoints[node] = normalizeTunnel(tunnel, old.GUETunnelEndpoints[node])
	}
	normalizeInterface(status, old)
}

// keepUnknown carries over what a writer left out that does not know this status.
// To programs that were published for tunnels in the spec, and to external-dns,
// the status is an observedGeneration and no more, and a PUT of that must not
// remove tunnels in use. Such a writer leaves quota-place out, which every object
// has and which every writer that knows the status sends back.
func keepUnknown(status, old *epic.ProxyStatus) {
	if status.QuotaPlace != 0 || old.QuotaPlace == 0 {
		return
	}
	if status.GUETunnelEndpoints == nil {
		status.GUETunnelEndpoints = maps.Clone(old.GUETunnelEndpoints)
	}
	if status.ProxyPlacements == nil {
		status.ProxyPlacements = maps.Clone(old.ProxyPlacements)
	}
	if status.Envoy == nil {
		status.Envoy = old.Envoy.DeepCopy()
	}
	if status.Listeners == nil {
		status.Listeners = slices.Clone(old.Listeners)
	}
	if status.ProxyIfInfo == nil {
		status.ProxyIfInfo = maps.Clone(old.ProxyIfInfo)
		if status.ProxyIfIndex == 0 && status.ProxyIfName == "" {
			status.ProxyIfIndex, status.ProxyIfName = old.ProxyIfIndex, old.ProxyIfName
		}
	}
}

func normalizeTunnel(t, old epic.TunnelEndpoint) epic.TunnelEndpoint {
	if len(t.EPICEndpoints) == 0 {
		// An empty map, as opposed to none, removes what was there.
		removed := t.EPICEndpoints != nil && len(old.EPICEndpoints) > 0
		if t.EPICAddress == "" || removed {
			if removed && t.TunnelID == old.TunnelID {
				t.TunnelID = 0
			}
			t.EPICAddress, t.EPICEndpoints = "", nil
			return t
		}
		t.EPICEndpoints = map[string]epic.GUETunnelEndpoint{
			t.EPICAddress: {EPICAddress: t.EPICAddress, EPICPort: t.EPICPort, TunnelID: t.TunnelID},
		}
	}
	pairs := make(map[string]epic.GUETunnelEndpoint, len(t.EPICEndpoints))
	for key, pair := range t.EPICEndpoints {
		if pair.EPICAddress == "" {
			pair.EPICAddress = key
		}
		if pair.TunnelID == 0 {
			pair.TunnelID = old.EPICEndpoints[key].TunnelID
		}
		pairs[key] = pair
	}
	own := t.TunnelID
	first := pairs[lowest(pairs)]
	t = epic.TunnelEndpoint{EPICAddress: first.EPICAddress, EPICPort: first.EPICPort, TunnelID: first.TunnelID, EPICEndpoints: pairs}
	if !plausible(own, old, pairs) {
		t.TunnelID = own
	}
	return t
}

// plausible reports whether an entry's own ID can be a copy of one that the server
// gave, perhaps of a tunnel that is no longer the lowest.
func plausible(own int32, old epic.TunnelEndpoint, pairs map[string]epic.GUETunnelEndpoint) bool {
	if own == 0 || own == old.TunnelID {
		return true
	}
	for _, pair := range pairs {
		if own == pair.TunnelID {
			return true
		}
	}
	return false
}

// lowest is the first of the addresses in the order of numbers, IPv4 before
// IPv6.
func lowest(pairs map[string]epic.GUETunnelEndpoint) string {
	return slices.SortedFunc(maps.Keys(pairs), compareAddresses)[0]
}

func compareAddresses(a, b string) int {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	if errX != nil || errY != nil {
		return strings.Compare(a, b)
	}
	return x.Compare(y)
}

func normalizeInterface(status, old *epic.ProxyStatus) {
	if len(status.ProxyIfInfo) > 0 {
		first := status.ProxyIfInfo[slices.Min(slices.Collect(maps.Keys(status.ProxyIfInfo)))]
		status.ProxyIfIndex, status.ProxyIfName = first.Index, first.Name
		return
	}
	if len(old.ProxyIfInfo) > 0 && status.ProxyIfIndex == old.ProxyIfIndex && status.ProxyIfName == old.ProxyIfName {
		// The last interface went, and these were its copies.
		status.ProxyIfIndex, status.ProxyIfName = 0, ""
	}
}

// Replicas is a number of Envoy pods, or otherwise if it was left out. Older
// programs leave it out by a 0.
func Replicas(n, otherwise *int32) *int32 {
	if n == nil || *n == 0 {
		return otherwise
	}
	return n
}
