// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// lossTable is the prefix of the names of tables. Each loss has a separate table, so
// several may be created concurrently.
const lossTable = "loss"

var losses atomic.Int32

// Lose makes a router drop about the given percentage of the packets that it forwards,
// chosen at random; with devices, only of those that arrive or leave by one of them.
// Restore ends that, and returns the number of dropped packets.
func (n *Namespace) Lose(percent uint32, devices ...string) (restore func() (uint64, error), err error) {
	conn, err := nftables.New(nftables.WithNetNSFd(n.FD()))
	if err != nil {
		return nil, err
	}
	table := conn.AddTable(&nftables.Table{Name: fmt.Sprintf("%s%d", lossTable, losses.Add(1)), Family: nftables.TableFamilyINet})
	chain := conn.AddChain(&nftables.Chain{
		Name: lossTable, Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
	})
	lose := []expr.Any{
		&expr.Numgen{Register: 1, Type: unix.NFT_NG_RANDOM, Modulus: 100},
		// Numbers are compared byte by byte.
		&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
		&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: binaryutil.BigEndian.PutUint32(percent)},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
	if len(devices) == 0 {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: lose})
	}
	for _, device := range devices {
		name := make([]byte, unix.IFNAMSIZ)
		copy(name, device)
		for _, key := range []expr.MetaKey{expr.MetaKeyIIFNAME, expr.MetaKeyOIFNAME} {
			conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append([]expr.Any{
				&expr.Meta{Key: key, Register: 1},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name},
			}, lose...)})
		}
	}
	if err := conn.Flush(); err != nil {
		return nil, fmt.Errorf("lose packets: %w", err)
	}
	return func() (uint64, error) {
		rules, err := conn.GetRules(table, chain)
		conn.DelTable(table)
		err = errors.Join(err, conn.Flush())
		var lost uint64
		for _, rule := range rules {
			for _, e := range rule.Exprs {
				if c, ok := e.(*expr.Counter); ok {
					lost += c.Packets
				}
			}
		}
		return lost, err
	}, nil
}
