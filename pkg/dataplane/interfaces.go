// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"net/netip"
)

// Tunnels manages the tunnels of this node.
type Tunnels interface {
	// Put adds or changes tunnels in batches. A tunnel without a Remote keeps its current
	// one. ErrMapFull indicates that not all of them fit; the error names those that do
	// not.
	Put(tunnels ...Tunnel) error
	// Delete removes tunnels and their counters. Missing tunnels are not an error.
	Delete(ids ...uint32) error
	// SetRemote changes the verified remote of a tunnel, which must exist.
	SetRemote(id uint32, remote netip.AddrPort) error
	// SetCookies changes the cookies of a tunnel, which must exist. Other changes of the
	// tunnel do not affect them.
	SetCookies(id uint32, cookies Cookies) error
	// Cookies returns how all tunnels use cookies.
	Cookies() map[uint32]CookieUse
	// List returns all tunnels, by ID.
	List() ([]Tunnel, error)
	// Counters returns the counters of the given tunnels, or of all tunnels if none is
	// given.
	Counters(ids ...uint32) (map[uint32]Counters, error)
	// EachCounters calls see with the counters of each tunnel, in any order. The data
	// plane is locked during the call: see must not call it, or wait for anything that
	// may.
	EachCounters(see func(id uint32, c Counters)) error
}

// Proxies manages the interfaces of the proxies on a gateway node.
type Proxies interface {
	// Put adds or changes interfaces, and attaches the programs to them.
	Put(proxies ...Proxy) error
	// Delete detaches the programs, and removes the interfaces with their services,
	// openings and direct endpoints.
	Delete(interfaces ...int) error
	// List returns all interfaces, by index.
	List() ([]Proxy, error)
}

// Services manages the endpoints that are reachable through tunnels.
type Services interface {
	// Put adds services in batches.
	Put(services ...Service) error
	// Delete removes services. Missing services are not an error.
	Delete(services ...Service) error
	// List returns all services.
	List() ([]Service, error)
}

// Openings manages the published ports of the proxies on a gateway node.
type Openings interface {
	// Put adds openings in batches. If their interface has not been put yet, they take
	// effect when it is.
	Put(openings ...Opening) error
	// Delete removes openings. Missing openings are not an error.
	Delete(openings ...Opening) error
	// List returns all openings.
	List() ([]Opening, error)
}

// Directs manages the endpoints that the proxies on a gateway node reach without a
// tunnel, by the node's own routes.
type Directs interface {
	// Put adds direct endpoints in batches.
	Put(directs ...Direct) error
	// Delete removes direct endpoints, even with open connections. Missing ones are not
	// an error.
	Delete(directs ...Direct) error
	// List returns all direct endpoints.
	List() ([]Direct, error)
}

// Repairer restores the desired state in the kernel.
type Repairer interface {
	// Repair compares maps and attachments with what was put and not deleted since the
	// data plane was opened, restores what was removed, removes what was not put, and
	// returns the number of repairs. After a restart, it removes leftovers, so it must
	// not be called before everything wanted has been put.
	Repair() (int, error)
}

// Underlay manages the interfaces through which tunnels reach the far ends.
type Underlay interface {
	// Attach attaches the programs to an interface, by native XDP if possible, otherwise
	// by tcx, otherwise by clsact.
	Attach(index int) error
	// Detach detaches them. It is not an error if the interface does not exist.
	Detach(index int) error
	// Attached returns the interfaces and how the programs are attached to them
	// ("xdp", "tcx", "clsact").
	Attached() (map[int]string, error)
}

// Observer shows the activity of the data plane.
type Observer interface {
	// Drops returns how many packets were dropped, by reason. It includes reasons that
	// never occurred.
	Drops() (map[DropReason]uint64, error)
	// FlowCounts returns how often flows of proxies were recorded and not found, for each
	// address that several pods on this gateway node have, sorted by address.
	FlowCounts() ([]AddressCounts, error)
	// FragmentCounts returns how often first fragments were recorded and not found, for
	// each address of a proxy on this gateway node, sorted by address.
	FragmentCounts() ([]AddressCounts, error)
	// Trace calls show for each packet of a tunnel until the context ends.
	Trace(ctx context.Context, tunnel uint32, show func(TraceEvent)) error
}
