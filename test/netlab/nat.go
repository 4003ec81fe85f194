// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Masquerade replaces the sources of packets forwarded to an interface by that
// interface's address, as nodes do for their pods. Packets that the host sends itself are
// not changed.
func (n *Namespace) Masquerade(outside string) error {
	return n.rules("masquerade", outside, func(conn *nftables.Conn, table *nftables.Table, name []byte) {
		chain := conn.AddChain(&nftables.Chain{
			Name: "masquerade", Table: table, Type: nftables.ChainTypeNAT,
			Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
		})
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name},
			&expr.Meta{Key: expr.MetaKeyIIF, Register: 1},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
			&expr.Masq{Random: true},
		}})
	})
}

// Guard accepts from an interface only packets of connections from inside, as a home
// router does.
func (n *Namespace) Guard(outside string) error {
	return n.rules("guard", outside, func(conn *nftables.Conn, table *nftables.Table, name []byte) {
		chain := conn.AddChain(&nftables.Chain{
			Name: "guard", Table: table, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
		})
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name},
			&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
			&expr.Bitwise{
				SourceRegister: 1, DestRegister: 1, Len: 4,
				Mask: binaryutil.NativeEndian.PutUint32(expr.CtStateBitNEW), Xor: make([]byte, 4),
			},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
			&expr.Verdict{Kind: expr.VerdictDrop},
		}})
	})
}

// rules adds rules of both families for an interface.
func (n *Namespace) rules(what, device string, add func(*nftables.Conn, *nftables.Table, []byte)) error {
	conn, err := nftables.New(nftables.WithNetNSFd(n.FD()))
	if err != nil {
		return err
	}
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, device)
	for _, family := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6} {
		add(conn, conn.AddTable(&nftables.Table{Name: "lab", Family: family}), name)
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("%s %s: %w", what, device, err)
	}
	return nil
}

// FlushNAT removes the mappings of the NAT. The next packet of a connection leaves from
// another port.
func (n *Namespace) FlushNAT() error { return n.ConntrackTableFlush(netlink.ConntrackTable) }
