// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Segments are the numbers of TCP packets that a host has sent and received.
type Segments struct{ Sent, Received uint64 }

// CountSegments counts TCP packets that a host sends to an address and port, and those that
// it receives from there; or, at the host that has them, the other way round. Read returns the counts
// so far, and stop ends counting. A host counts for a port once at a time. Unlike the counters of TCP they do not depend on what a
// connection takes for lost.
func (n *Namespace) CountSegments(of netip.AddrPort, here bool) (read func() (Segments, error), stop func() error, err error) {
	conn, err := nftables.New(nftables.WithNetNSFd(n.FD()))
	if err != nil {
		return nil, nil, err
	}
	table := conn.AddTable(&nftables.Table{Name: fmt.Sprintf("count-%d", of.Port()), Family: nftables.TableFamilyINet})
	// place is the position of an address and a port in the headers: those of the source
	// or those of the destination.
	type place struct{ address, port uint32 }
	size := uint32(of.Addr().BitLen() / 8)
	source, family := place{12, 0}, byte(unix.NFPROTO_IPV4)
	if of.Addr().Is6() {
		source, family = place{8, 0}, unix.NFPROTO_IPV6
	}
	out, in := place{source.address + size, 2}, source
	if here {
		out, in = in, out
	}
	chains := make([]*nftables.Chain, 2)
	for i, at := range []struct {
		name string
		hook *nftables.ChainHook
		place
	}{{"out", nftables.ChainHookOutput, out}, {"in", nftables.ChainHookInput, in}} {
		chains[i] = conn.AddChain(&nftables.Chain{Name: at.name, Table: table, Type: nftables.ChainTypeFilter, Hooknum: at.hook, Priority: nftables.ChainPriorityRaw})
		conn.AddRule(&nftables.Rule{Table: table, Chain: chains[i], Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: at.address, Len: size},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: of.Addr().AsSlice()},
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: at.port, Len: 2},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(of.Port())},
			&expr.Counter{},
		}})
	}
	if err := conn.Flush(); err != nil {
		return nil, nil, fmt.Errorf("count segments: %w", err)
	}
	read = func() (Segments, error) {
		var counts [2]uint64
		for i, chain := range chains {
			rules, err := conn.GetRules(table, chain)
			if err != nil {
				return Segments{}, err
			}
			for _, rule := range rules {
				for _, e := range rule.Exprs {
					if c, ok := e.(*expr.Counter); ok {
						counts[i] += c.Packets
					}
				}
			}
		}
		return Segments{Sent: counts[0], Received: counts[1]}, nil
	}
	stop = func() error {
		conn.DelTable(table)
		return errors.Join(conn.Flush())
	}
	return read, stop, nil
}
