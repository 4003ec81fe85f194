// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	// sendBuffer fits the largest batch: transactions are sent as one message.
	sendBuffer = 16 << 20
	// chunk is the number of elements in one message, whose element list is limited to 64
	// KiB.
	chunk = 500
	// perBatch is the number of elements in one transaction.
	perBatch = 20000
)

// firewallState records the rules that were written, by the handles that the kernel
// assigned. A rule that is replaced gets another handle.
type firewallState struct {
	handles map[string][]uint64
	// letIn and arrived are counters of visitors' packets at the last comparison, by
	// family, and lost indicates that none of the admitted packets arrived.
	letIn, arrived [2]uint64
	lost           [2]bool
}

func openNFT(ns netns.NsHandle) (*nftables.Conn, error) {
	options := []nftables.ConnOption{nftables.WithSockOptions(func(c *netlink.Conn) error {
		return errors.Join(c.SetWriteBuffer(sendBuffer), c.SetReadBuffer(sendBuffer))
	})}
	if ns.IsOpen() {
		options = append(options, nftables.WithNetNSFd(int(ns)))
	}
	return nftables.New(options...)
}

// reconcileFirewall updates the table. Its rules never change: only elements of its sets
// are added and deleted one by one, so a proxy that is added or removed does not affect
// others.
func (h *Host) reconcileFirewall() (int, error) {
	if err := h.keepSlots(); err != nil {
		return 0, fmt.Errorf("firewall: %w", err)
	}
	changed, err := h.reconcileRules()
	if err != nil {
		return changed, fmt.Errorf("firewall: %w", err)
	}
	n, err := h.reconcileSets()
	changed += n
	if err == nil {
		return changed, nil
	}
	// Somebody may have removed the table after it was checked.
	n, again := h.reconcileRules()
	changed += n
	if n == 0 || again != nil {
		return changed, fmt.Errorf("firewall: %w", err)
	}
	if n, err = h.reconcileSets(); err != nil {
		return changed + n, fmt.Errorf("firewall: %w", err)
	}
	return changed + n, nil
}

// reconcileRules creates or repairs the table, in one transaction.
func (h *Host) reconcileRules() (int, error) {
	t := newTable()
	state, err := h.inspect(t)
	if err != nil {
		return 0, err
	}
	if state == complete {
		return 0, nil
	}
	switch state {
	case absent, complete:
		t.declare(h.nft)
	case damaged:
		// Sets or chains have changed: recreate everything. Packets in the meantime see
		// either the old or the new table.
		h.nft.AddTable(t.Table)
		h.nft.DelTable(t.Table)
		t.declare(h.nft)
		if err := h.queueElements(t); err != nil {
			return 0, err
		}
	case changedRules:
		for _, c := range t.chains {
			h.nft.FlushChain(c)
		}
	}
	t.writeRules(h.nft)
	if err := h.nft.Flush(); err != nil {
		return 0, fmt.Errorf("write the table %s: %w", FirewallTable, err)
	}
	handles, err := h.ruleHandles(t)
	if err != nil {
		return 1, err
	}
	h.fw.handles = handles
	return 1, nil
}

// condition is the state of the table.
type condition int

const (
	absent condition = iota
	damaged
	changedRules
	complete
)

func (h *Host) inspect(t *table) (condition, error) {
	sets, there, err := h.kernelSets(t)
	if err != nil || !there {
		return absent, err
	}
	for _, want := range t.sets {
		if !slices.ContainsFunc(sets, func(s *nftables.Set) bool {
			// The library does not return the key length of a map.
			return s.Name == want.Name && (want.IsMap || s.KeyType.Bytes == want.KeyType.Bytes) && s.IsMap == want.IsMap && !s.Interval && !s.HasTimeout
		}) {
			return damaged, nil
		}
	}
	chains, err := h.nft.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return absent, fmt.Errorf("list chains: %w", err)
	}
	own := 0
	for _, c := range chains {
		if c.Table.Name == FirewallTable {
			own++
		}
	}
	if own != len(t.chains) {
		return damaged, nil
	}
	for _, want := range t.chains {
		if !slices.ContainsFunc(chains, func(c *nftables.Chain) bool {
			return c.Table.Name == FirewallTable && sameChain(c, want)
		}) {
			return damaged, nil
		}
	}
	counters, err := h.nft.GetObjects(t.Table)
	if err != nil {
		return absent, fmt.Errorf("list counters: %w", err)
	}
	if len(counters) != len(t.counters) {
		return damaged, nil
	}
	// After a start, the rules are written once, because their origin can't be
	// determined.
	if h.fw.handles == nil {
		return changedRules, nil
	}
	handles, err := h.ruleHandles(t)
	if err != nil {
		return absent, err
	}
	for name, want := range h.fw.handles {
		if !slices.Equal(handles[name], want) {
			return changedRules, nil
		}
	}
	return complete, nil
}

// kernelSets returns the sets of the kernel's table, and whether the table exists.
func (h *Host) kernelSets(t *table) (sets []*nftables.Set, there bool, err error) {
	tables, err := h.nft.ListTablesOfFamily(t.Family)
	if err != nil {
		return nil, false, fmt.Errorf("list tables: %w", err)
	}
	if !slices.ContainsFunc(tables, func(x *nftables.Table) bool { return x.Name == t.Name }) {
		return nil, false, nil
	}
	if sets, err = h.nft.GetSets(t.Table); err != nil {
		return nil, false, fmt.Errorf("list sets: %w", err)
	}
	return sets, true, nil
}

func sameChain(have, want *nftables.Chain) bool {
	if have.Name != want.Name || (have.Hooknum == nil) != (want.Hooknum == nil) {
		return false
	}
	if want.Hooknum == nil {
		return true
	}
	return *have.Hooknum == *want.Hooknum && have.Priority != nil && *have.Priority == *want.Priority &&
		(have.Policy == nil || *have.Policy == nftables.ChainPolicyAccept)
}

func (h *Host) ruleHandles(t *table) (map[string][]uint64, error) {
	handles := map[string][]uint64{}
	for _, c := range t.chains {
		rules, err := h.nft.GetRules(t.Table, c)
		if err != nil {
			return nil, fmt.Errorf("list the rules of %s: %w", c.Name, err)
		}
		handles[c.Name] = nil
		for _, r := range rules {
			handles[c.Name] = append(handles[c.Name], r.Handle)
		}
	}
	return handles, nil
}

// elements returns the desired elements of each set, with the chain to which each element
// of a map leads.
func (h *Host) elements() map[string]map[string]string {
	want := map[string]map[string]string{}
	for _, s := range newTable().sets {
		want[s.Name] = map[string]string{}
	}
	// put adds an element to the set of an address's family.
	put := func(four, six string, a netip.Addr, key, chain string) {
		if a.Is4() {
			want[four][key] = chain
		} else {
			want[six][key] = chain
		}
	}
	for _, b := range h.desired.Bridges {
		var name [unix.IFNAMSIZ]byte
		copy(name[:], b.Name)
		want[setBridges][string(name[:])] = ""
	}
	for _, a := range h.desired.Addresses {
		put(setAddresses4, setAddresses6, a.Address, string(a.Address.AsSlice()), "")
		if a.shared() {
			put(setShared4, setShared6, a.Address, string(a.Address.AsSlice()), "")
		}
		for _, e := range a.Ends {
			key := slotKeyOf(a.Address, e)
			if slot := h.slots[key]; slot != 0 {
				put(mapEnds4, mapEnds6, a.Address, endKey(key), slotChain(slot))
			}
		}
	}
	for _, o := range h.desired.Openings {
		put(setOpenings4, setOpenings6, o.Address, openingKey(o), "")
	}
	for _, o := range h.desired.Directs {
		put(setDirects4, setDirects6, o.Proxy, directKey(o), "")
	}
	return want
}

// directKey returns an element of the sets of direct endpoints.
func directKey(o Direct) string {
	return string(o.Proxy.AsSlice()) + openingKey(Opening{Address: o.Endpoint.Addr(), Protocol: o.Protocol, Port: o.Endpoint.Port()})
}

// openingKey returns an element of the sets of openings. Each part is padded to a
// multiple of 4 bytes.
func openingKey(o Opening) string {
	k := o.Address.AsSlice()
	k = append(k, o.Protocol, 0, 0, 0)
	k = binary.BigEndian.AppendUint16(k, o.Port)
	return string(append(k, 0, 0))
}

func (h *Host) queueElements(t *table) error {
	for name, want := range h.elements() {
		for part := range slices.Chunk(asElements(want), chunk) {
			if err := h.nft.SetAddElements(t.set(name), part); err != nil {
				return fmt.Errorf("add to the set %s: %w", name, err)
			}
		}
	}
	return nil
}

func asElements(keys map[string]string) []nftables.SetElement {
	out := make([]nftables.SetElement, 0, len(keys))
	for key, chain := range keys {
		e := nftables.SetElement{Key: []byte(key)}
		if chain != "" {
			e.VerdictData = &expr.Verdict{Kind: expr.VerdictJump, Chain: chain}
		}
		out = append(out, e)
	}
	return out
}

// chainOf returns the chain to which an element of a map leads, as reported by the
// kernel: a verdict, which the library does not parse.
func chainOf(e *nftables.SetElement) string {
	if len(e.Val) == 0 {
		return ""
	}
	decoder, err := netlink.NewAttributeDecoder(e.Val)
	if err != nil {
		return ""
	}
	chain := ""
	for decoder.Next() {
		if decoder.Type() == unix.NFTA_VERDICT_CHAIN {
			chain = decoder.String()
		}
	}
	return chain
}

func (h *Host) reconcileSets() (int, error) {
	t := newTable()
	changed, queued := 0, 0
	flush := func() error {
		queued = 0
		return h.nft.Flush()
	}
	for name, want := range h.elements() {
		have, err := h.nft.GetSetElements(t.set(name))
		if err != nil {
			return changed, fmt.Errorf("list the set %s: %w", name, err)
		}
		var extra, other []nftables.SetElement
		for _, e := range have {
			switch chain, wanted := want[string(e.Key)]; {
			case !wanted:
				extra = append(extra, nftables.SetElement{Key: e.Key})
			case chain != chainOf(&e):
				other = append(other, nftables.SetElement{Key: e.Key})
			default:
				delete(want, string(e.Key))
			}
		}
		for _, op := range []struct {
			do   func(*nftables.Set, []nftables.SetElement) error
			what []nftables.SetElement
		}{{h.nft.SetDeleteElements, other}, {h.nft.SetAddElements, asElements(want)}, {h.nft.SetDeleteElements, extra}} {
			for part := range slices.Chunk(op.what, chunk) {
				if err := op.do(t.set(name), part); err != nil {
					return changed, fmt.Errorf("change the set %s: %w", name, err)
				}
				changed += len(part)
				if queued += len(part); queued >= perBatch {
					if err := flush(); err != nil {
						return changed, fmt.Errorf("change the set %s: %w", name, err)
					}
				}
			}
		}
	}
	if err := flush(); err != nil {
		return changed, fmt.Errorf("change the sets: %w", err)
	}
	return changed, nil
}

func (h *Host) removeFirewall() error {
	h.fw, h.slots = firewallState{}, nil
	t := newTable()
	h.nft.AddTable(t.Table)
	h.nft.DelTable(t.Table)
	if err := h.nft.Flush(); err != nil {
		return fmt.Errorf("remove the firewall's table: %w", err)
	}
	return nil
}

// Refusal explains why the firewall dropped packets.
type Refusal string

// Values of Refusal.
const (
	// RefusedClosed is a packet from elsewhere to a port that is not published.
	RefusedClosed Refusal = "port-closed"
	// RefusedSource is a packet of a proxy with a source that is not a public address.
	RefusedSource Refusal = "source-forged"
	// RefusedNode is a packet of a proxy to the node itself.
	RefusedNode Refusal = "to-node"
	// RefusedOpened is a packet of a proxy that is neither for one of its direct
	// endpoints nor a reply from one of its published ports. It should have been sent
	// into a tunnel whose endpoint or program is gone.
	RefusedOpened Refusal = "not-an-answer"
)

// Refused counts what was dropped for one reason.
type Refused struct{ Packets, Bytes uint64 }

// Refusals returns what the firewall has dropped since it was created.
func (h *Host) Refusals() (map[Refusal]Refused, error) {
	out := map[Refusal]Refused{RefusedClosed: {}, RefusedSource: {}, RefusedNode: {}, RefusedOpened: {}}
	h.mu.Lock()
	defer h.mu.Unlock()
	objects, err := h.nft.GetObjects(newTable().Table)
	if errors.Is(err, unix.ENOENT) {
		return out, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the firewall's counters: %w", err)
	}
	for _, o := range objects {
		c, ok := o.(*nftables.CounterObj)
		if !ok {
			continue
		}
		if _, refusal := out[Refusal(c.Name)]; refusal {
			out[Refusal(c.Name)] = Refused{Packets: c.Packets, Bytes: c.Bytes}
		}
	}
	return out, nil
}

// Opens reports whether the desired state has an opening, for display.
func (h *Host) Opens(addr netip.Addr, protocol uint8, port uint16) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(h.desired.Openings, Opening{Address: addr.Unmap(), Protocol: protocol, Port: port})
}
