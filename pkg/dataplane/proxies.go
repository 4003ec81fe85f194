// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/vishvananda/netlink"

	"github.com/acnodal/epic/bpf"
)

// proxies implements Proxies.
type proxies struct {
	mu       *sync.Mutex
	role     Role
	proxies  *table[uint32, bpf.KernelProxy]
	services *services
	openings *openings
	directs  *directs
	// noted holds the maps that depend on the proxies' addresses.
	noted    []*byAddress
	attacher *attacher
	// leftover holds interfaces of an earlier process that have not been put since.
	leftover map[uint32]struct{}
}

func newProxies(mu *sync.Mutex, role Role, table *table[uint32, bpf.KernelProxy], services *services, openings *openings, directs *directs, noted []*byAddress, attacher *attacher) *proxies {
	p := &proxies{mu: mu, role: role, proxies: table, services: services, openings: openings, directs: directs, noted: noted, attacher: attacher, leftover: map[uint32]struct{}{}}
	for ifindex := range table.want {
		p.leftover[ifindex] = struct{}{}
	}
	return p
}

// Put implements Proxies.
func (p *proxies) Put(put ...Proxy) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.role != RoleGateway {
		return errors.New("proxies are on gateway nodes only")
	}
	var errs []error
	entries := map[uint32]bpf.KernelProxy{}
	changed := map[uint32]struct{}{}
	for _, proxy := range put {
		value, err := p.encode(proxy)
		if err != nil {
			errs = append(errs, fmt.Errorf("proxy interface %d: %w", proxy.Interface, err))
			continue
		}
		ifindex := uint32(proxy.Interface)
		if p.proxies.want[ifindex] != value {
			changed[ifindex] = struct{}{}
		}
		entries[ifindex] = value
	}
	if err := p.proxies.update(entries); err != nil {
		return errors.Join(append(errs, err)...)
	}
	errs = append(errs, p.follow(), p.services.proxyChanged(changed), p.openings.proxyChanged(changed))
	for ifindex := range entries {
		delete(p.leftover, ifindex)
		if err := p.attacher.attach(int(ifindex), bpf.KernelHookHOOK_PROXY_INGRESS); err != nil {
			errs = append(errs, fmt.Errorf("proxy interface %d: %w", ifindex, err))
		}
	}
	return errors.Join(errs...)
}

// encode validates a proxy, and looks up the properties of its interface.
func (p *proxies) encode(proxy Proxy) (bpf.KernelProxy, error) {
	var value bpf.KernelProxy
	if proxy.Interface <= 0 {
		return value, errors.New("the index must be above zero")
	}
	if len(proxy.PeerMAC) != len(value.Mac) {
		return value, fmt.Errorf("hardware address %q: must have %d bytes", proxy.PeerMAC, len(value.Mac))
	}
	if err := checkAddresses(proxy.Addresses); err != nil {
		return value, fmt.Errorf("addresses: %w", err)
	}
	link, err := netlink.LinkByIndex(proxy.Interface)
	if err != nil {
		return value, fmt.Errorf("look up the interface: %w", err)
	}
	addresses := pairOf(proxy.Addresses)
	value.Address4, value.Address6.Bytes = addresses.four, addresses.six
	copy(value.Mac[:], proxy.PeerMAC)
	// The kernel passes packets to the far end of a pair only across namespaces.
	if kind := link.Type(); (kind == "veth" || kind == "netkit") && link.Attrs().NetNsID >= 0 {
		value.Flags |= bpf.KernelServiceFlagsSERVICE_PEER
	}
	return value, nil
}

// Delete implements Proxies.
func (p *proxies) Delete(interfaces ...int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.delete(interfaces)
}

func (p *proxies) delete(interfaces []int) error {
	gone := map[uint32]struct{}{}
	for _, ifindex := range interfaces {
		gone[uint32(ifindex)] = struct{}{}
	}
	errs := []error{p.directs.proxyGone(gone), p.services.proxyGone(gone)}
	for ifindex := range gone {
		errs = append(errs, p.attacher.detach(int(ifindex), bpf.KernelHookHOOK_PROXY_INGRESS))
		delete(p.leftover, ifindex)
	}
	errs = append(errs, p.proxies.remove(slices.Collect(maps.Keys(gone))))
	// Without the program, its packets are no longer let out.
	return errors.Join(append(errs, p.follow(), p.openings.proxyGone(gone))...)
}

// follow creates and removes the maps of addresses.
func (p *proxies) follow() error {
	var errs []error
	for _, l := range p.noted {
		errs = append(errs, l.follow())
	}
	return errors.Join(errs...)
}

// List implements Proxies.
func (p *proxies) List() ([]Proxy, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Proxy, 0, len(p.proxies.want))
	for _, ifindex := range slices.Sorted(maps.Keys(p.proxies.want)) {
		value := p.proxies.want[ifindex]
		list = append(list, Proxy{
			Interface: int(ifindex),
			PeerMAC:   slices.Clone(value.Mac[:]),
			Addresses: pair{four: value.Address4, six: value.Address6.Bytes}.list(),
		})
	}
	return list, nil
}

// repair corrects the map. The attacher repairs attachments.
func (p *proxies) repair() (int, error) {
	var leftover []int
	for ifindex := range p.leftover {
		leftover = append(leftover, int(ifindex))
	}
	if err := p.delete(leftover); err != nil {
		return 0, err
	}
	n, err := p.proxies.repair()
	return len(leftover) + n, err
}
