// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// NormalizeStatus converts a status that is being written from any of the forms that
// clients use to the form in which it is stored:
//
//   - Each tunnel is an entry of epic-endpoints, and the fields of the client
//     node's entry repeat the one with the lowest EPIC address.
//   - A tunnel that the object already has keeps its ID if the ID is left out,
//     and a new one has none yet.
//   - proxy-ifindex and proxy-ifname repeat the first of proxy-if-info.
//   - A writer that does not know this status keeps the tunnels and interfaces.
//
// It leaves unreadable values, and IDs that the client made up, for validation to reject.
func NormalizeStatus(status, old *epic.ProxyStatus) {
	keepUnknown(status, old)
	// Only the server assigns quota slots.
	status.QuotaPlace = old.QuotaPlace
	for node, tunnel := range status.GUETunnelEndpoints {
		status.GUETunnelEndpoints[node] = normalizeTunnel(tunnel, old.GUETunnelEndpoints[node])
	}
	normalizeInterface(status, old)
}

// keepUnknown restores the fields that a writer without knowledge of this status left
// out. For programs that were published for tunnels in the spec, and for external-dns,
// the status only has an observedGeneration, and their PUT must not remove tunnels in
// use. Such a writer leaves quota-place out, which every object has and which every
// writer that knows the status sends.
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
		// An empty map, as opposed to none, removes the tunnels.
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
// assigned, possibly to a tunnel that is no longer the lowest.
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

// lowest returns the first of the addresses in numeric order, IPv4 before IPv6.
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
		// The last interface was removed, and these were its copies.
		status.ProxyIfIndex, status.ProxyIfName = 0, ""
	}
}

// Replicas returns the number of Envoy pods n, or otherwise if it was left out. Older
// programs leave it out by sending 0.
func Replicas(n, otherwise *int32) *int32 {
	if n == nil || *n == 0 {
		return otherwise
	}
	return n
}
