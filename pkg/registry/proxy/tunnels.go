// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"slices"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
)

// pair identifies one tunnel of an object.
type pair struct{ tenantNode, epicNode string }

// assignTunnels allocates an ID for every tunnel without one, in the order of the nodes'
// addresses, so the numbers are easy to follow.
func assignTunnels(ctx context.Context, p *claims.Plan, status *epic.ProxyStatus) error {
	var missing []pair
	for tenantNode, entry := range status.GUETunnelEndpoints {
		for epicNode, tunnel := range entry.EPICEndpoints {
			if tunnel.TunnelID == 0 {
				missing = append(missing, pair{tenantNode, epicNode})
			}
		}
	}
	if len(missing) == 0 || p.Preview() {
		return nil
	}
	slices.SortFunc(missing, func(a, b pair) int {
		if c := compareAddresses(a.tenantNode, b.tenantNode); c != 0 {
			return c
		}
		return compareAddresses(a.epicNode, b.epicNode)
	})
	ids, err := p.AssignIDs(ctx, claims.TunnelIDs, len(missing))
	if err != nil {
		return err
	}
	for i, m := range missing {
		entry := status.GUETunnelEndpoints[m.tenantNode]
		tunnel := entry.EPICEndpoints[m.epicNode]
		tunnel.TunnelID = ids[i]
		entry.EPICEndpoints[m.epicNode] = tunnel
		// The entry's own fields repeat the pair with the lowest address.
		if entry.EPICAddress == tunnel.EPICAddress {
			entry.TunnelID = tunnel.TunnelID
		}
		status.GUETunnelEndpoints[m.tenantNode] = entry
	}
	return nil
}
