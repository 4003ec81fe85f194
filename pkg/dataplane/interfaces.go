// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"net/netip"
)

// Tunnels are the tunnels of this node.
type Tunnels interface {
	// Put adds or changes tunnels in batches. A tunnel without a Remote keeps the
	// one that it has. ErrMapFull indicates that not all of them fit; which ones did
	// not is in the error.
	Put(tunnels ...Tunnel) error
	// Delete removes tunnels and their counters. Those that are absent are not an
	// error.
	Delete(ids ...uint32) error
	// SetRemote moves the verified remote of a tunnel, which has to exist.
	SetRemote(id uint32, remote netip.AddrPort) error
	// SetCookies changes the cookies of a tunnel, which has to exist. They last until it
	// is deleted, whatever else of it is changed.
	SetCookies(id uint32, cookies Cookies) error
	// Cookies returns how all tunnels use cookies.
	Cookies() map[uint32]CookieUse
	// List returns all tunnels, by ID.
	List() ([]Tunnel, error)
	// Counters returns what the given tunnels have carried; all tunnels if none is
	// given.
	Counters(ids ...uint32) (map[uint32]Counters, error)
	// EachCounters calls see with what each tunnel has carried, in no order. The data
	// plane is locked during the call: see must not call it, or wait for anything that may.
	EachCounters(see func(id uint32, c Counters)) error
}

// Proxies are the interfaces of the proxies on a gateway node.
type Proxies interface {
	// Put adds or changes interfaces, and attaches the programs to them.
	Put(proxies ...Proxy) error
	// Delete detaches the programs, and removes the interfaces with their services,
	// openings and direct endpoints.
	Delete(interfaces ...int) error
	// List returns all interfaces, by index.
	List() ([]Proxy, error)
}

// Services are the endpoints that may be reached through tunnels.
type Services interface {
	// Put adds services in batches.
	Put(services ...Service) error
	// Delete removes services. Those that are absent are not an error.
	Delete(services ...Service) error
	// List returns all services.
	List() ([]Service, error)
}

// Openings are the published ports of the proxies on a gateway node.
type Openings interface {
	// Put adds openings in batches. They take effect when their interface is put, if
	// it is not there yet.
	Put(openings ...Opening) error
	// Delete removes openings. Those that are absent are not an error.
	Delete(openings ...Opening) error
	// List returns all openings.
	List() ([]Opening, error)
}

// Directs are the endpoints that the proxies on a gateway node reach without a tunnel, by
// the node's own routes.
type Directs interface {
	// Put adds direct endpoints in batches.
	Put(directs ...Direct) error
	// Delete removes direct endpoints, also under open connections. Those that are absent
	// are not an error.
	Delete(directs ...Direct) error
	// List returns all direct endpoints.
	List() ([]Direct, error)
}

// Repairer makes what the kernel has equal to what is wanted.
type Repairer interface {
	// Repair compares maps and attachments with what was put and not deleted since
	// the data plane was opened, restores what somebody removed, removes what
	// nobody put, and returns how many things it repaired. After a restart it is what
	// removes the leftovers, so it must not run before everything that is wanted was put.
	Repair() (int, error)
}

// Underlay are the interfaces by which tunnels reach the far ends.
type Underlay interface {
	// Attach attaches the programs to an interface, natively by XDP where that
	// works, else by tcx, else by clsact.
	Attach(index int) error
	// Detach detaches them. An interface that is gone is not an error.
	Detach(index int) error
	// Attached returns the interfaces and how the programs are attached to them
	// ("xdp", "tcx", "clsact").
	Attached() (map[int]string, error)
}

// Observer shows what the data plane does.
type Observer interface {
	// Drops returns how many packets were dropped, by reason. Each reason is
	// listed, also those that never occurred.
	Drops() (map[DropReason]uint64, error)
	// FlowCounts returns how often flows of proxies were noted and not known, for each
	// address that several pods on this gateway node have, in the order of addresses.
	FlowCounts() ([]AddressCounts, error)
	// FragmentCounts returns how often first fragments were noted and not known, for each
	// address of a proxy on this gateway node, in the order of addresses.
	FragmentCounts() ([]AddressCounts, error)
	// Trace calls show for each packet of a tunnel until the context ends.
	Trace(ctx context.Context, tunnel uint32, show func(TraceEvent)) error
}
