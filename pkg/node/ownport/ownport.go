// SPDX-License-Identifier: Apache-2.0

// Package ownport prevents a client node from translating its own control packets. Many
// hosts masquerade everything that leaves them, so their pods can reach the internet, and
// some choose random ports. Control packets would then leave from another port than the
// data packets, which bypass the host's NAT, and the far end would verify a port from
// which no packets come.
//
// To prevent that, the package maps the node's address and port to themselves, in
// separate tables that precede all others. It changes nothing else, and connection
// tracking still applies, so a firewall that only admits replies still works.
package ownport

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// Table is the name of the tables, one of each family.
	Table = "epic-node-client"
	chain = "own-port"
	// before is the distance to the priority of source NAT.
	before = 10
)

// Keeper maintains the mappings.
type Keeper struct {
	port uint16

	mu        sync.Mutex
	addresses []netip.Addr
}

// New returns a Keeper for a port.
func New(port uint16) *Keeper { return &Keeper{port: port} }

// Keep makes packets from an address keep their port from now on.
func (k *Keeper) Keep(address netip.Addr) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if slices.Contains(k.addresses, address) {
		return nil
	}
	k.addresses = append(k.addresses, address)
	err := k.write()
	if err != nil {
		k.addresses = k.addresses[:len(k.addresses)-1]
		return err
	}
	return k.forget(address)
}

// Repair restores the tables if they were removed, and reports whether it did.
func (k *Keeper) Repair() (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.addresses) == 0 {
		return false, nil
	}
	there, err := k.there()
	if err != nil || there {
		return false, err
	}
	return true, k.write()
}

func (k *Keeper) of(family nftables.TableFamily) []netip.Addr {
	var out []netip.Addr
	for _, a := range k.addresses {
		if a.Is4() == (family == nftables.TableFamilyIPv4) {
			out = append(out, a)
		}
	}
	return out
}

var families = []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6}

func (k *Keeper) there() (bool, error) {
	conn, err := nftables.New()
	if err != nil {
		return false, err
	}
	for _, family := range families {
		want := len(k.of(family))
		if want == 0 {
			continue
		}
		table := &nftables.Table{Name: Table, Family: family}
		rules, err := conn.GetRules(table, &nftables.Chain{Name: chain, Table: table})
		if errors.Is(err, unix.ENOENT) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("read the table %s: %w", Table, err)
		}
		if len(rules) != want {
			return false, nil
		}
	}
	return true, nil
}

// write replaces the tables, in one transaction.
func (k *Keeper) write() error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	for _, family := range families {
		addresses := k.of(family)
		if len(addresses) == 0 {
			continue
		}
		table := &nftables.Table{Name: Table, Family: family}
		// Deletion requires that the table exists.
		conn.AddTable(table)
		conn.DelTable(table)
		conn.AddTable(table)
		priority := *nftables.ChainPriorityNATSource - before
		c := conn.AddChain(&nftables.Chain{
			Name: chain, Table: table, Type: nftables.ChainTypeNAT,
			Hooknum: nftables.ChainHookPostrouting, Priority: &priority,
		})
		for _, a := range addresses {
			conn.AddRule(&nftables.Rule{Table: table, Chain: c, Exprs: k.rule(a)})
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("write the table %s: %w", Table, err)
	}
	return nil
}

// rule maps UDP packets from an address and the port to the same address and port.
func (k *Keeper) rule(a netip.Addr) []expr.Any {
	// Offset of the source in the two headers.
	offset, family := uint32(12), uint32(unix.NFPROTO_IPV4)
	if a.Is6() {
		offset, family = 8, unix.NFPROTO_IPV6
	}
	port := binaryutil.BigEndian.PutUint16(k.port)
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_UDP}},
		&expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(len(a.AsSlice())), DestRegister: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: a.AsSlice()},
		&expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2, DestRegister: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: port},
		&expr.Immediate{Register: 1, Data: a.AsSlice()},
		&expr.Immediate{Register: 2, Data: port},
		&expr.NAT{Type: expr.NATTypeSourceNAT, Family: family, RegAddrMin: 1, RegProtoMin: 2, Specified: true},
	}
}

// forget drops existing connection tracking entries.
func (k *Keeper) forget(a netip.Addr) error {
	family := netlink.InetFamily(unix.AF_INET)
	if a.Is6() {
		family = unix.AF_INET6
	}
	filter := &netlink.ConntrackFilter{}
	if err := errors.Join(
		filter.AddProtocol(unix.IPPROTO_UDP),
		filter.AddPort(netlink.ConntrackOrigSrcPort, k.port),
		filter.AddIP(netlink.ConntrackOrigSrcIP, a.AsSlice()),
	); err != nil {
		return err
	}
	_, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, filter)
	if err != nil {
		return fmt.Errorf("forget old mappings of %s: %w", a, err)
	}
	return nil
}

// Remove removes the tables.
func Remove() error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	for _, family := range families {
		table := &nftables.Table{Name: Table, Family: family}
		conn.AddTable(table)
		conn.DelTable(table)
	}
	return conn.Flush()
}
