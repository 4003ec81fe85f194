// SPDX-License-Identifier: Apache-2.0

package dataplane

import "github.com/acnodal/epic/bpf"

// DropReason is the reason why a packet was dropped. It is the label of the metric and
// the text in "epic-node status".
type DropReason string

// Reasons to drop a packet that arrived at this node's end of a tunnel, before its inner
// packet was examined.
const (
	// DropBadHeader: the GUE header has a variant, a type, a length or a flag that no
	// tunnel uses, or is truncated. The sender may be a newer peer or a scanner.
	DropBadHeader DropReason = "bad-header"
	// DropOuterOptions: the outer IPv4 header has options, which no end sends.
	DropOuterOptions DropReason = "outer-options"
	// DropOuterFragment: the outer packet was fragmented on the path, which both ends
	// prohibit.
	DropOuterFragment DropReason = "outer-fragment"
	// DropUnknownTunnel: no tunnel with this ID ends here. It was deleted, or never
	// existed.
	DropUnknownTunnel DropReason = "unknown-tunnel"
	// DropUnverified: the tunnel's far end has not yet proven its address.
	DropUnverified DropReason = "unverified"
	// DropWrongRemote: the packet is not from the address of the tunnel's far end. It is
	// forged, or a NAT has changed its mapping and the next control packet will update
	// it.
	DropWrongRemote DropReason = "wrong-remote"
	// DropWrongLocal: the packet arrived at an address of this node at which the tunnel
	// does not end.
	DropWrongLocal DropReason = "wrong-local"
)

// Reasons to drop a packet because of its content, into a tunnel or out of one.
const (
	// DropMalformed: the inner packet does not have the family in the header, is
	// truncated, is longer than its container, or has an IPv4 address in an IPv6 header.
	DropMalformed DropReason = "malformed"
	// DropExtensionHeaders: the inner IPv6 packet has more than six extension headers,
	// more than 152 bytes of them, or one that hides the transport header.
	DropExtensionHeaders DropReason = "extension-headers"
	// DropNotRegistered: the inner address, protocol and port at the endpoint's side do
	// not, or no longer, belong to an endpoint of this tunnel.
	DropNotRegistered DropReason = "not-registered"
	// DropWrongPeer: the inner address at the proxy's side does not belong to the proxy.
	DropWrongPeer DropReason = "wrong-peer"
	// DropICMPUnmatched: an ICMP error is not about a packet of this tunnel and its
	// receiver.
	DropICMPUnmatched DropReason = "icmp-unmatched"
	// DropFragmentUnmatched: a fragment arrived without the first one, which identifies
	// its packet.
	DropFragmentUnmatched DropReason = "fragment-unmatched"
	// DropECN: the path was congested, and the inner packet indicates that its sender
	// would not notice (RFC 6040).
	DropECN DropReason = "ecn"
)

// Reasons to drop a packet that should be sent into a tunnel.
const (
	// DropNoTunnel: the endpoint's tunnel is not on this node (yet, or anymore).
	DropNoTunnel DropReason = "no-tunnel"
	// DropNoRemote: the tunnel's far end has not yet proven its address.
	DropNoRemote DropReason = "no-remote"
	// DropTooBig: the packet does not fit into the tunnel and may not be fragmented. Its
	// sender was informed by ICMP, unless the packet must not cause an ICMP error.
	DropTooBig DropReason = "too-big"
	// DropNoRoute: this node has no route to the tunnel's far end.
	DropNoRoute DropReason = "no-route"
)

// Reasons in the kernel.
const (
	// DropFamily: only Linux 6.3 and later, or XDP, can decapsulate one family inside the
	// other.
	DropFamily DropReason = "family"
	// DropInternal: the kernel refused an operation, usually because memory was short.
	DropInternal DropReason = "internal"
)

// Reasons added by later versions.
const (
	// DropNotAnAnswer: a packet of a proxy may only leave a gateway node through a
	// tunnel, to a direct endpoint or as a reply to a visitor. This packet is for none of
	// the proxy's endpoints, and is not a reply from one of its published ports. The
	// endpoint was removed, or the proxy opens a connection itself.
	DropNotAnAnswer DropReason = "not-an-answer"
	// DropFrame: the frame is for another hardware address, or a broadcast. Frames of
	// proxies must also not have a VLAN tag or a type other than IPv4, IPv6 or ARP.
	DropFrame DropReason = "frame"
	// DropProtocol: the inner packet is neither TCP nor UDP, and not an ICMP message that
	// belongs to such a flow or replies to a ping.
	DropProtocol DropReason = "protocol"
	// DropNoCookie: the packet has no cookie, although the tunnel's far end always sends
	// one, or the node requires one.
	DropNoCookie DropReason = "no-cookie"
	// DropWrongCookie: the packet's cookie is not derived from a key of the tunnel that
	// is valid here, or not for this direction.
	DropWrongCookie DropReason = "wrong-cookie"
	// DropBypassed: a packet of an endpoint on a client node to its proxy was about to
	// leave outside the tunnel, because somebody has removed the program that sends it
	// into the tunnel.
	DropBypassed DropReason = "bypassed"
	// DropPortTaken: another pod of the proxy, on this or another gateway node, uses the
	// same address and port toward the endpoint, which could not distinguish the two. A
	// proxy that opened a TCP connection was informed, and retries from another port.
	DropPortTaken DropReason = "port-taken"
)

// drop maps a reason to its number in the programs and to its description in
// docs/dataplane.md.
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

// reasonOf returns the reason for a number of the programs.
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
	// Tunnel is the ID of the tunnel.
	Tunnel uint32
	// Text is one line that describes the packet, the decision, and the reason.
	Text string
}
