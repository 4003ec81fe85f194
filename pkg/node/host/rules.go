// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/binary"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// Names of the sets and of the chains without a hook.
const (
	setBridges    = "bridges"
	setAddresses4 = "addresses4"
	setAddresses6 = "addresses6"
	setOpenings4  = "openings4"
	setOpenings6  = "openings6"
	// Proxies' addresses with their direct endpoints.
	setDirects4 = "directs4"
	setDirects6 = "directs6"
	// Addresses of several proxies.
	setShared4 = "shared4"
	setShared6 = "shared6"
	// Maps of addresses and hardware addresses of proxies to the chains of their slots.
	mapEnds4 = "ends4"
	mapEnds6 = "ends6"

	chainFrom    = "from-proxies"
	chainAnswers = "answers"
	chainDirect  = "direct"
	chainTo      = "to-proxies"
	chainStay    = "stay"

	// Counters of visitors' packets, by family: those that the first chain admits, and
	// those that reach the last.
	letIn4, letIn6     = "let-in4", "let-in6"
	arrived4, arrived6 = "arrived4", "arrived6"
)

// ICMP types that a proxy must receive: errors about its own packets, path MTU discovery
// above all, and pings (RFC 792, RFC 4443).
var (
	icmp4In = []byte{3, 8, 11, 12}
	icmp6In = []byte{1, 2, 3, 4, 128}
	// ICMP types that a proxy may send: the same errors, and replies to pings.
	icmp4Out = []byte{0, 3, 11, 12}
	icmp6Out = []byte{1, 2, 3, 4, 129}
)

// concatenations holds the types of the sets whose elements have several parts.
var concatenations = map[string]nftables.SetDatatype{
	setOpenings4: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService),
	setOpenings6: nftables.MustConcatSetType(nftables.TypeIP6Addr, nftables.TypeInetProto, nftables.TypeInetService),
	setDirects4:  nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService),
	setDirects6:  nftables.MustConcatSetType(nftables.TypeIP6Addr, nftables.TypeIP6Addr, nftables.TypeInetProto, nftables.TypeInetService),
	mapEnds4:     nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeEtherAddr),
	mapEnds6:     nftables.MustConcatSetType(nftables.TypeIP6Addr, nftables.TypeEtherAddr),
}

// table is the desired firewall table.
type table struct {
	*nftables.Table
	sets     []*nftables.Set
	chains   []*nftables.Chain
	counters []*nftables.CounterObj

	forward, forwarded, input, from, answers, direct, to *nftables.Chain
	// visitors handles visitors' packets before routing, and stay those to addresses with
	// several proxies. slots holds the chains of the slots, from slot 1.
	visitors, stay *nftables.Chain
	slots          [maxSlot]*nftables.Chain
}

func newTable() *table {
	t := &table{Table: &nftables.Table{Family: nftables.TableFamilyINet, Name: FirewallTable}}
	for _, s := range []struct {
		name string
		key  nftables.SetDatatype
	}{
		{setBridges, nftables.TypeIFName},
		{setAddresses4, nftables.TypeIPAddr},
		{setAddresses6, nftables.TypeIP6Addr},
		{setOpenings4, concatenations[setOpenings4]},
		{setOpenings6, concatenations[setOpenings6]},
		{setDirects4, concatenations[setDirects4]},
		{setDirects6, concatenations[setDirects6]},
		{setShared4, nftables.TypeIPAddr},
		{setShared6, nftables.TypeIP6Addr},
		{mapEnds4, concatenations[mapEnds4]},
		{mapEnds6, concatenations[mapEnds6]},
	} {
		_, concatenated := concatenations[s.name]
		set := &nftables.Set{Table: t.Table, Name: s.name, KeyType: s.key, Concatenation: concatenated}
		if s.name == setBridges {
			// Only for display: "nft list" then shows the names.
			set.KeyByteOrder = binaryutil.NativeEndian
		}
		if s.name == mapEnds4 || s.name == mapEnds6 {
			set.IsMap, set.DataType = true, nftables.TypeVerdict
		}
		t.sets = append(t.sets, set)
	}
	for _, r := range []Refusal{RefusedClosed, RefusedSource, RefusedNode, RefusedOpened} {
		t.counters = append(t.counters, &nftables.CounterObj{Table: t.Table, Name: string(r)})
	}
	for _, name := range []string{letIn4, letIn6, arrived4, arrived6} {
		t.counters = append(t.counters, &nftables.CounterObj{Table: t.Table, Name: name})
	}
	base := func(name string, hook *nftables.ChainHook, priority nftables.ChainPriority) *nftables.Chain {
		policy := nftables.ChainPolicyAccept
		return &nftables.Chain{
			Table: t.Table, Name: name, Type: nftables.ChainTypeFilter,
			Hooknum: hook, Priority: &priority, Policy: &policy,
		}
	}
	t.from = &nftables.Chain{Table: t.Table, Name: chainFrom}
	t.answers = &nftables.Chain{Table: t.Table, Name: chainAnswers}
	t.direct = &nftables.Chain{Table: t.Table, Name: chainDirect}
	t.to = &nftables.Chain{Table: t.Table, Name: chainTo}
	// Packets that other firewalls drop are counted between the first chain and the last.
	t.forward = base("forward", nftables.ChainHookForward, *nftables.ChainPriorityRaw)
	t.forwarded = base("forwarded", nftables.ChainHookForward, *nftables.ChainPriorityLast)
	t.input = base("input", nftables.ChainHookInput, *nftables.ChainPriorityFilter)
	t.visitors = base("visitors", nftables.ChainHookPrerouting, *nftables.ChainPriorityLast)
	t.stay = &nftables.Chain{Table: t.Table, Name: chainStay}
	for i := range t.slots {
		t.slots[i] = &nftables.Chain{Table: t.Table, Name: slotChain(uint8(i + 1))}
	}
	t.chains = append([]*nftables.Chain{t.direct, t.answers, t.from, t.to, t.forward, t.forwarded, t.input, t.visitors, t.stay}, t.slots[:]...)
	return t
}

func (t *table) set(name string) *nftables.Set {
	for _, s := range t.sets {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// declare queues the table without rules.
func (t *table) declare(c *nftables.Conn) {
	c.AddTable(t.Table)
	for _, s := range t.sets {
		// It only fails for contradictory fields of the set.
		_ = c.AddSet(s, nil)
	}
	for _, o := range t.counters {
		c.AddObject(o)
	}
	for _, ch := range t.chains {
		c.AddChain(ch)
	}
}

// writeRules queues all rules, in order.
func (t *table) writeRules(c *nftables.Conn) {
	add := func(chain *nftables.Chain, comment string, parts ...[]expr.Any) {
		var exprs []expr.Any
		for _, p := range parts {
			exprs = append(exprs, p...)
		}
		c.AddRule(&nftables.Rule{
			Table: t.Table, Chain: chain, Exprs: exprs,
			UserData: userdata.AppendString(nil, userdata.TypeComment, comment),
		})
	}
	fromBridge, toBridge := t.interfaceIn(expr.MetaKeyIIFNAME), t.interfaceIn(expr.MetaKeyOIFNAME)

	t.slotRules(add)
	add(t.forward, "marks were for the routing", toBridge, unmark())
	add(t.forward, "what proxies send", fromBridge, verdict(expr.VerdictJump, chainFrom))
	add(t.forward, "what proxies are sent", toBridge, verdict(expr.VerdictGoto, chainTo))

	t.markConnections(add)
	add(t.from, "public addresses", ipv4(), load(12, 4, 1), t.in(setAddresses4), verdict(expr.VerdictGoto, chainAnswers))
	add(t.from, "public addresses", ipv6(), load(8, 16, 1), t.in(setAddresses6), verdict(expr.VerdictGoto, chainAnswers))
	add(t.from, "any other source is forged", counted(RefusedSource), verdict(expr.VerdictDrop, ""))

	// The data plane only allows these as well. It handles packets for tunnels before
	// that.
	add(t.answers, "to direct endpoints", ipv4(), load(12, 8, 8), protocolAndPort(10, destinationPort), t.in8(setDirects4), verdict(expr.VerdictGoto, chainDirect))
	add(t.answers, "to direct endpoints", ipv6(), load(8, 16, 8), load(24, 16, 12), protocolAndPort(16, destinationPort), t.in8(setDirects6), verdict(expr.VerdictGoto, chainDirect))
	add(t.answers, "no connections of a proxy's own", opensTCP(), counted(RefusedOpened), verdict(expr.VerdictDrop, ""))
	add(t.answers, "answers from published ports", ipv4(), load(12, 4, 8), protocolAndPort(9, sourcePort), t.in8(setOpenings4), verdict(expr.VerdictReturn, ""))
	add(t.answers, "answers from published ports", ipv6(), load(8, 16, 8), protocolAndPort(12, sourcePort), t.in8(setOpenings6), verdict(expr.VerdictReturn, ""))
	for _, kind := range icmp4Out {
		add(t.answers, "errors and answers to pings", ipv4(), icmp(unix.IPPROTO_ICMP, kind), verdict(expr.VerdictReturn, ""))
	}
	for _, kind := range icmp6Out {
		add(t.answers, "errors and answers to pings", ipv6(), icmp(unix.IPPROTO_ICMPV6, kind), verdict(expr.VerdictReturn, ""))
	}
	add(t.answers, "anything else is no answer", counted(RefusedOpened), verdict(expr.VerdictDrop, ""))

	// A connection that began in a tunnel, which connection tracking does not see, must
	// not continue outside of it.
	add(t.direct, "connections of a proxy's own", established(), verdict(expr.VerdictReturn, ""))
	add(t.direct, "connections of a proxy's own", opensTCP(), verdict(expr.VerdictReturn, ""))
	add(t.direct, "datagrams", protocol(unix.IPPROTO_UDP), verdict(expr.VerdictReturn, ""))
	add(t.direct, "anything else began elsewhere", counted(RefusedOpened), verdict(expr.VerdictDrop, ""))

	add(t.to, "published ports", ipv4(), load(16, 4, 8), protocolAndPort(9, destinationPort), t.in8(setOpenings4), counting(letIn4), verdict(expr.VerdictAccept, ""))
	add(t.to, "published ports", ipv6(), load(24, 16, 8), protocolAndPort(12, destinationPort), t.in8(setOpenings6), counting(letIn6), verdict(expr.VerdictAccept, ""))
	add(t.forwarded, "what no other firewall dropped", toBridge, ipv4(), counting(arrived4))
	add(t.forwarded, "what no other firewall dropped", toBridge, ipv6(), counting(arrived6))
	add(t.to, "replies of direct endpoints", ipv4(), load(16, 4, 8), load(12, 4, 9), protocolAndPort(10, sourcePort), t.in8(setDirects4), established(), verdict(expr.VerdictAccept, ""))
	add(t.to, "replies of direct endpoints", ipv6(), load(24, 16, 8), load(8, 16, 12), protocolAndPort(16, sourcePort), t.in8(setDirects6), established(), verdict(expr.VerdictAccept, ""))
	for _, kind := range icmp4In {
		add(t.to, "errors and pings", ipv4(), load(16, 4, 1), t.in(setAddresses4), icmp(unix.IPPROTO_ICMP, kind), verdict(expr.VerdictAccept, ""))
	}
	for _, kind := range icmp6In {
		add(t.to, "errors and pings", ipv6(), load(24, 16, 1), t.in(setAddresses6), icmp(unix.IPPROTO_ICMPV6, kind), verdict(expr.VerdictAccept, ""))
	}
	add(t.to, "anything else is closed", counted(RefusedClosed), verdict(expr.VerdictDrop, ""))

	add(t.input, "replies to the node", fromBridge, established(), verdict(expr.VerdictAccept, ""))
	add(t.input, "errors, pings, neighbor discovery", fromBridge, protocol(unix.IPPROTO_ICMP), verdict(expr.VerdictAccept, ""))
	add(t.input, "errors, pings, neighbor discovery", fromBridge, protocol(unix.IPPROTO_ICMPV6), verdict(expr.VerdictAccept, ""))
	add(t.input, "the node is not for proxies", fromBridge, counted(RefusedNode), verdict(expr.VerdictDrop, ""))
}

// interfaceIn matches packets of EPIC's bridges.
func (t *table) interfaceIn(key expr.MetaKey) []expr.Any {
	return append([]expr.Any{&expr.Meta{Key: key, Register: 1}}, t.in(setBridges)...)
}

// in looks up register 1 in a set.
func (t *table) in(set string) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: set, SetID: t.set(set).ID}}
}

// in8 looks up the 4-byte registers from 8 in a set.
func (t *table) in8(set string) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: 8, SetName: set, SetID: t.set(set).ID}}
}

func verdict(kind expr.VerdictKind, chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: kind, Chain: chain}}
}

func counted(r Refusal) []expr.Any { return counting(string(r)) }

func counting(name string) []expr.Any {
	return []expr.Any{&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: name}}
}

func ipv4() []expr.Any { return meta(expr.MetaKeyNFPROTO, unix.NFPROTO_IPV4) }
func ipv6() []expr.Any { return meta(expr.MetaKeyNFPROTO, unix.NFPROTO_IPV6) }

func protocol(number byte) []expr.Any { return meta(expr.MetaKeyL4PROTO, number) }

func meta(key expr.MetaKey, value byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{value}},
	}
}

// load loads a part of the IP header.
func load(offset, length, register uint32) []expr.Any {
	return []expr.Any{&expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length, DestRegister: register}}
}

// Offsets of ports in the headers of TCP and UDP.
const sourcePort, destinationPort = 0, 2

// protocolAndPort loads the protocol and a port into two 4-byte registers.
func protocolAndPort(register, port uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register},
		&expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: port, Len: 2, DestRegister: register + 1},
	}
}

func icmp(proto, kind byte) []expr.Any {
	return append(protocol(proto),
		&expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1, DestRegister: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{kind}},
	)
}

// opensTCP matches TCP segments with SYN and without ACK.
func opensTCP() []expr.Any {
	const syn, ack = 0x02, 0x10
	return append(protocol(unix.IPPROTO_TCP),
		&expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1, DestRegister: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{syn | ack}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{syn}},
	)
}

// established matches packets of a known connection. It comes after the published ports,
// whose packets do not need connection tracking.
func established() []expr.Any {
	mask := make([]byte, 4)
	binary.NativeEndian.PutUint32(mask, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}
