// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"fmt"
	"net/netip"

	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/acnodal/epic/pkg/bgpcommunity"
)

// applyRoutes updates the routes.
func (s *Speaker) applyRoutes(want Settings) error {
	wanted := map[netip.Prefix]bool{}
	var add, remove []netip.Prefix
	again := !s.local.sameRoutes(want.Local)
	for _, route := range want.Routes {
		if !wanted[route] && (again || !s.running.routes[route]) {
			add = append(add, route)
		}
		wanted[route] = true
	}
	for route := range s.running.routes {
		if !wanted[route] {
			remove = append(remove, route)
		}
	}
	// Withdraw first, because proxies wait for that before they end.
	if len(remove) > 0 {
		paths, err := libraryPaths(remove, nil)
		if err == nil {
			err = s.running.DeletePath(apiutil.DeletePathRequest{Paths: paths})
		}
		if err != nil {
			return fmt.Errorf("withdraw routes: %w", err)
		}
		for _, route := range remove {
			delete(s.running.routes, route)
		}
	}
	if len(add) > 0 {
		paths, err := libraryPaths(add, want.Local.Communities)
		if err == nil {
			_, err = s.running.AddPath(apiutil.AddPathRequest{Paths: paths})
		}
		if err != nil {
			return fmt.Errorf("announce routes: %w", err)
		}
		for _, route := range add {
			s.running.routes[route] = true
		}
	}
	return nil
}

// libraryPaths converts routes for the library. Their next hop is the local address of
// each session.
func libraryPaths(routes []netip.Prefix, communities []bgpcommunity.Community) ([]*apiutil.Path, error) {
	attributes := []bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(bgp.BGP_ORIGIN_ATTR_TYPE_IGP)}
	var plain []uint32
	var large []*bgp.LargeCommunity
	for _, c := range communities {
		if c.Large {
			large = append(large, bgp.NewLargeCommunity(c.Parts[0], c.Parts[1], c.Parts[2]))
		} else {
			plain = append(plain, c.Value)
		}
	}
	if len(plain) > 0 {
		attributes = append(attributes, bgp.NewPathAttributeCommunities(plain))
	}
	if len(large) > 0 {
		attributes = append(attributes, bgp.NewPathAttributeLargeCommunities(large))
	}
	paths := make([]*apiutil.Path, 0, len(routes))
	for _, route := range routes {
		prefix, err := bgp.NewIPAddrPrefix(route)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", route, err)
		}
		path := &apiutil.Path{Family: bgp.RF_IPv4_UC, Nlri: prefix}
		if route.Addr().Is4() {
			hop, err := bgp.NewPathAttributeNextHop(netip.IPv4Unspecified())
			if err != nil {
				return nil, fmt.Errorf("%s: %w", route, err)
			}
			path.Attrs = append(path.Attrs, hop)
		} else {
			path.Family = bgp.RF_IPv6_UC
			reach, err := bgp.NewPathAttributeMpReachNLRI(path.Family, []bgp.PathNLRI{{NLRI: prefix}}, netip.IPv6Unspecified())
			if err != nil {
				return nil, fmt.Errorf("%s: %w", route, err)
			}
			path.Attrs = append(path.Attrs, reach)
		}
		path.Attrs = append(path.Attrs, attributes...)
		paths = append(paths, path)
	}
	return paths, nil
}
