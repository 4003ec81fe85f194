// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A connection stays with its proxy, regardless of how many proxies of the address are
// added and removed at the same time. Each proxy of an address has a slot. When a proxy
// sends, the slot is stored in the mark of the connection, which connection tracking
// keeps; so the choice is made only once, and replies of a proxy belong to it
// permanently. When a visitor sends, and the address has several proxies, the slot is
// copied to the mark of the packet. A rule selects the slot's routing table, which has
// the route to that proxy. After routing, the packet no longer has a mark. A packet
// without a slot, or whose proxy no longer exists, continues to the delivery table.
const (
	// MarkMask selects the bits of a packet's and of a connection's mark that are used.
	// Other bits are never changed.
	MarkMask = 0x00700000
	// maxSlot is the number of proxies of one address that can keep their connections.
	maxSlot = MarkMask / slotUnit
	// slotUnit is the lowest of the bits.
	slotUnit = 0x00100000
	// slotPriority precedes the delivery table's rule.
	slotPriority = RulePriority - 1
)

// slotKey identifies one proxy of one address.
type slotKey struct {
	address netip.Addr
	mac     [6]byte
}

func slotKeyOf(a netip.Addr, e End) slotKey { return slotKey{a, [6]byte(e.MAC)} }

// slotMark returns the mark of a slot.
func slotMark(slot uint8) uint32 { return uint32(slot) * slotUnit }

// slotTable returns the routing table of a slot.
func slotTable(slot uint8) int { return Table + int(slot) }

// slotChain returns the name of the chain that marks a connection.
func slotChain(slot uint8) string { return fmt.Sprintf("slot-%d", slot) }

// slotOfChain is the inverse of slotChain. It returns zero for another chain.
func slotOfChain(name string) uint8 {
	for slot := uint8(1); slot <= maxSlot; slot++ {
		if slotChain(slot) == name {
			return slot
		}
	}
	return 0
}

// assignSlots assigns each proxy of an address a unique slot. A proxy keeps an existing
// slot. If there are too many proxies, the remaining ones get none.
func assignSlots(had map[slotKey]uint8, addresses []Address) map[slotKey]uint8 {
	slots := make(map[slotKey]uint8, len(addresses))
	for _, a := range addresses {
		var used [maxSlot + 1]bool
		for _, e := range a.Ends {
			if slot := had[slotKeyOf(a.Address, e)]; slot != 0 && !used[slot] {
				slots[slotKeyOf(a.Address, e)], used[slot] = slot, true
			}
		}
		for _, e := range a.Ends {
			key := slotKeyOf(a.Address, e)
			if slots[key] != 0 {
				continue
			}
			if free := slices.Index(used[1:], false) + 1; free > 0 {
				slots[key], used[free] = uint8(free), true
			}
		}
	}
	return slots
}

// shared reports whether proxies have to be distinguished by their connections.
func (a *Address) shared() bool { return len(a.Ends) > 1 }

// endKey returns an element of the maps of proxies: an address and a hardware address,
// each padded to a multiple of 4 bytes.
func endKey(k slotKey) string {
	return string(append(append(k.address.AsSlice(), k.mac[:]...), 0, 0))
}

// slotKeyFrom is the inverse of endKey.
func slotKeyFrom(key []byte) (slotKey, bool) {
	if len(key) != 4+8 && len(key) != 16+8 {
		return slotKey{}, false
	}
	address, ok := netip.AddrFromSlice(key[:len(key)-8])
	return slotKey{address, [6]byte(key[len(key)-8:])}, ok
}

// readSlots reads the slots that an earlier program assigned, so connections keep their
// proxies after a restart.
func (h *Host) readSlots() (map[slotKey]uint8, error) {
	slots := map[slotKey]uint8{}
	t := newTable()
	sets, _, err := h.kernelSets(t)
	if err != nil {
		return nil, err
	}
	for _, s := range sets {
		if s.Name != mapEnds4 && s.Name != mapEnds6 {
			continue
		}
		elements, err := h.nft.GetSetElements(t.set(s.Name))
		if err != nil {
			return nil, fmt.Errorf("list the map %s: %w", s.Name, err)
		}
		for _, e := range elements {
			slot := slotOfChain(chainOf(&e))
			if key, ok := slotKeyFrom(e.Key); ok && slot != 0 {
				slots[key] = slot
			}
		}
	}
	return slots, nil
}

// keepSlots computes the slots for the desired state.
func (h *Host) keepSlots() error {
	if h.slots == nil {
		had, err := h.readSlots()
		if err != nil {
			return err
		}
		h.slots = had
	}
	h.slots = assignSlots(h.slots, h.desired.Addresses)
	return nil
}

// slotRules adds the rules that write and read marks.
func (t *table) slotRules(add func(chain *nftables.Chain, comment string, parts ...[]expr.Any)) {
	// Connection tracking may still have an earlier connection with the same ports.
	add(t.stay, "a new connection is with nobody", opensTCP(), verdict(expr.VerdictReturn, ""))
	for slot, chain := range t.slots {
		mark := slotMark(uint8(slot + 1))
		add(chain, "the connection is with this proxy", readCt(), withMark(mark), writeCt())
		add(t.stay, "packets of its connections", readCt(), hasMark(mark), readMark(), withMark(mark), writeMark(), verdict(expr.VerdictReturn, ""))
	}
	add(t.visitors, "connections stay with their proxy", ipv4(), load(16, 4, 1), t.in(setShared4), verdict(expr.VerdictGoto, chainStay))
	add(t.visitors, "connections stay with their proxy", ipv6(), load(24, 16, 1), t.in(setShared6), verdict(expr.VerdictGoto, chainStay))
}

// markConnections adds the rules for packets that proxies send.
func (t *table) markConnections(add func(chain *nftables.Chain, comment string, parts ...[]expr.Any)) {
	source := func(register uint32) []expr.Any {
		return []expr.Any{&expr.Payload{Base: expr.PayloadBaseLLHeader, Offset: 6, Len: 6, DestRegister: register}}
	}
	add(t.from, "whose connection it is", ipv4(), load(12, 4, 8), source(9), t.verdictOf(mapEnds4))
	add(t.from, "whose connection it is", ipv6(), load(8, 16, 8), source(12), t.verdictOf(mapEnds6))
}

// unmark returns the rule that removes the mark after routing.
func unmark() []expr.Any {
	return slices.Concat(readMark(), hasAnyMark(), readMark(), withMark(0), writeMark())
}

// verdictOf looks up the 4-byte registers from 8 in a map, and applies its verdict.
func (t *table) verdictOf(name string) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: 8, DestRegister: unix.NFT_REG_VERDICT, IsDestRegSet: true, SetName: name, SetID: t.set(name).ID}}
}

func readCt() []expr.Any { return []expr.Any{&expr.Ct{Key: expr.CtKeyMARK, Register: 1}} }
func writeCt() []expr.Any {
	return []expr.Any{&expr.Ct{Key: expr.CtKeyMARK, Register: 1, SourceRegister: true}}
}

func readMark() []expr.Any { return []expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: 1}} }
func writeMark() []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: 1, SourceRegister: true}}
}

// withMark sets the slot bits in register 1 to a mark, and keeps the others.
func withMark(mark uint32) []expr.Any {
	return []expr.Any{&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: native(^uint32(MarkMask)), Xor: native(mark)}}
}

// hasMark matches if the slot bits in register 1 are a mark.
func hasMark(mark uint32) []expr.Any { return compareMark(expr.CmpOpEq, mark) }

// hasAnyMark matches if any slot bit is set.
func hasAnyMark() []expr.Any { return compareMark(expr.CmpOpNeq, 0) }

func compareMark(op expr.CmpOp, mark uint32) []expr.Any {
	return []expr.Any{
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: native(MarkMask), Xor: native(0)},
		&expr.Cmp{Op: op, Register: 1, Data: native(mark)},
	}
}

func native(value uint32) []byte { return binary.NativeEndian.AppendUint32(nil, value) }
