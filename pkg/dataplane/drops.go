// SPDX-License-Identifier: Apache-2.0

package dataplane

import "github.com/acnodal/epic/bpf"

// DropReason explains why a packet was dropped. Its text is the label of the metric
// and the word in "epic-node status".
type DropReason string

// Reasons to drop a packet that came to this node's end of a tunnel, before its
// inside was looked at.
const (
	// DropBadHeader: the GUE header has a variant, a type, a length or a flag that
	// no tunnel uses, or ends early. A newer peer, or a scan.
	DropBadHeader DropReason = "bad-header"
	// DropOuterOptions: the outer IPv4 header has options, which no end sends.
	DropOuterOptions DropReason = "outer-options"
	// DropOuterFragment: the outer packet was fragmented on the way, which both
	// ends forbid.
	DropOuterFragment DropReason = "outer-fragment"
	// DropUnknownTunnel: no tunnel of this ID ends here. It was deleted, or never
	// was.
	DropUnknownTunnel DropReason = "unknown-tunnel"
	// DropUnverified: the tunnel's far end has not yet shown where it is.
	DropUnverified DropReason = "unverified"
	// DropWrongRemote: the packet is not from where the tunnel's far end is. A
	// forgery, or a NAT whose mapping has changed and that the next control packet
	// will tell of.
	DropWrongRemote DropReason = "wrong-remote"
	// DropWrongLocal: the packet came to an address of this node at which the
	// tunnel does not end.
	DropWrongLocal DropReason = "wrong-local"
)

// Reasons to drop a packet for what it is, into a tunnel or out of one.
const (
	// DropMalformed: the inner packet is not of the family that the header says,
	// ends early, is longer than what it is in, or has an IPv4 address in an IPv6
	// header.
	DropMalformed DropReason = "malformed"
	// DropExtensionHeaders: the inner IPv6 packet has more extension headers than
	// six, more than 152 bytes of them, or one that hides the transport.
	DropExtensionHeaders DropReason = "extension-headers"
	// DropNotRegistered: the inner address, protocol and port at the endpoint's
	// side are not of an endpoint that this tunnel serves, or no longer.
	DropNotRegistered DropReason = "not-registered"
	// DropWrongPeer: the inner address at the proxy's side is not the proxy's.
	DropWrongPeer DropReason = "wrong-peer"
	// DropICMPUnmatched: an ICMP error is not about a packet of this tunnel and its
	// receiver.
	DropICMPUnmatched DropReason = "icmp-unmatched"
	// DropFragmentUnmatched: a fragment came without the first one, which describes what
	// it belongs to.
	DropFragmentUnmatched DropReason = "fragment-unmatched"
	// DropECN: the way was congested, and the inner packet indicates that its sender
	// would not notice (RFC 6040).
	DropECN DropReason = "ecn"
)

// Reasons to drop a packet that was to go into a tunnel.
const (
	// DropNoTunnel: the endpoint's tunnel is not on this node (yet, or anymore).
	DropNoTunnel DropReason = "no-tunnel"
	// DropNoRemote: the tunnel's far end has not yet shown where it is.
	DropNoRemote DropReason = "no-remote"
	// DropTooBig: the packet does not fit into the tunnel and may not be fragmented.
	// Its sender was told, by ICMP, unless it is a kind that must not be answered so.
	DropTooBig DropReason = "too-big"
	// DropNoRoute: this node has no route to the tunnel's far end.
	DropNoRoute DropReason = "no-route"
)

// Reasons that lie in the kernel.
const (
	// DropFamily: one family inside the other can only be taken out by Linux 6.3
	// and later, or by XDP.
	DropFamily DropReason = "family"
	// DropInternal: the kernel refused an operation, mostly for lack of memory.
	DropInternal DropReason = "internal"
)

// Reasons that later versions added.
const (
	// DropNotAnAnswer: what a proxy sends may leave a gateway node by a tunnel, to a direct
	// endpoint or as an answer to a visitor, and by no other way. The packet is for none of the proxy's endpoints, and is no answer
	// from one of its published ports. The endpoint was removed, or the proxy opens a
	// connection of its own.
	DropNotAnAnswer DropReason = "not-an-answer"
	// DropFrame: the frame is for another hardware address, or a broadcast. What proxies
	// send may not have a VLAN tag either, nor be of another type than IPv4, IPv6 or ARP.
	DropFrame DropReason = "frame"
	// DropProtocol: the inner packet is neither TCP nor UDP, and no ICMP message that
	// belongs to a flow of these or answers a ping.
	DropProtocol DropReason = "protocol"
	// DropNoCookie: the packet has no cookie, and the tunnel's far end sends none without,
	// or the node refuses such packets altogether.
	DropNoCookie DropReason = "no-cookie"
	// DropWrongCookie: the packet's cookie is not made from a key of the tunnel that is
	// valid here, or not for this direction.
	DropWrongCookie DropReason = "wrong-cookie"
	// DropBypassed: a packet of an endpoint on a client node to its proxy was about to leave
	// outside the tunnel, because somebody has removed the program that puts it in.
	DropBypassed DropReason = "bypassed"
	// DropPortTaken: another pod of the proxy, on this or another gateway node, uses the same
	// address and port toward the endpoint, which could not tell the two apart. A proxy that
	// opened a TCP connection was told, and tries again from another port.
	DropPortTaken DropReason = "port-taken"
)

// drop joins a reason with the programs' number of it, and says in docs/dataplane.md
// what to do about it.
type drop struct {
	number bpf.KernelDropReason
	reason DropReason
}

var dropReasons = []drop{
	{bpf.KernelDropReasonDROP_BAD_HEADER, DropBadHeader},
	{bpf.KernelDropReasonDROP_OUTER_OPTIONS, DropOuterOptions},
	{bpf.KernelDropReasonDROP_OUTER_FRAGMENT, DropOuterFragment},
	{bpf.KernelDropReasonDROP_UNKNOWN_TUNNEL, DropUnknownTunnel},
	{bpf.KernelDropReasonDROP_UNVERIFIED, DropUnverified},
	{bpf.KernelDropReasonDROP_WRONG_REMOTE, DropWrongRemote},
	{bpf.KernelDropReasonDROP_WRONG_LOCAL, DropWrongLocal},
	{bpf.KernelDropReasonDROP_MALFORMED, DropMalformed},
	{bpf.KernelDropReasonDROP_EXTENSION_HEADERS, DropExtensionHeaders},
	{bpf.KernelDropReasonDROP_NOT_REGISTERED, DropNotRegistered},
	{bpf.KernelDropReasonDROP_WRONG_PEER, DropWrongPeer},
	{bpf.KernelDropReasonDROP_ICMP_UNMATCHED, DropICMPUnmatched},
	{bpf.KernelDropReasonDROP_FRAGMENT_UNMATCHED, DropFragmentUnmatched},
	{bpf.KernelDropReasonDROP_ECN, DropECN},
	{bpf.KernelDropReasonDROP_NO_TUNNEL, DropNoTunnel},
	{bpf.KernelDropReasonDROP_NO_REMOTE, DropNoRemote},
	{bpf.KernelDropReasonDROP_TOO_BIG, DropTooBig},
	{bpf.KernelDropReasonDROP_NO_ROUTE, DropNoRoute},
	{bpf.KernelDropReasonDROP_FAMILY, DropFamily},
	{bpf.KernelDropReasonDROP_INTERNAL, DropInternal},
	{bpf.KernelDropReasonDROP_NOT_AN_ANSWER, DropNotAnAnswer},
	{bpf.KernelDropReasonDROP_FRAME, DropFrame},
	{bpf.KernelDropReasonDROP_PROTOCOL, DropProtocol},
	{bpf.KernelDropReasonDROP_NO_COOKIE, DropNoCookie},
	{bpf.KernelDropReasonDROP_WRONG_COOKIE, DropWrongCookie},
	{bpf.KernelDropReasonDROP_BYPASSED, DropBypassed},
	{bpf.KernelDropReasonDROP_PORT_TAKEN, DropPortTaken},
}

// reasonOf names a reason of the programs.
func reasonOf(number bpf.KernelDropReason) DropReason {
	for _, drop := range dropReasons {
		if drop.number == number {
			return drop.reason
		}
	}
	return "unknown"
}

// TraceEvent is one packet of a traced tunnel.
type TraceEvent struct {
	// Tunnel is its ID.
	Tunnel uint32
	// Text is one line that describes what came, what was decided, and why.
	Text string
}
