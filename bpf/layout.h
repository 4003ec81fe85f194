// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// What the programs and the node program share: keys and values of the maps,
// drop reasons, limits. The Go types are generated from this file, and maps that
// an earlier version pinned are migrated field by field, so a field may be added,
// removed or moved, but keeps its name and meaning.
//
// Addresses are 16 bytes; an IPv4 address is in its IPv6-mapped form. Ports and
// addresses are in network byte order, all else in the host's.
#pragma once

#include "include/kernel.h"

// address is eight-byte aligned, so it can be compared in two steps.
struct address {
	__u8 bytes[16];
} __attribute__((aligned(8)));

enum tunnel_flags {
	// Packets that are sent into the tunnel have the cookie.
	TUNNEL_SENDS_COOKIE = 1,
	// Packets that come without a cookie are dropped.
	TUNNEL_NEEDS_COOKIE = 2,
	// The accepted cookies are there.
	TUNNEL_KNOWS_COOKIES = 4,
};

// As many cookies are accepted as keys of a tunnel can be valid. Places that are not
// needed repeat the first.
#define COOKIES 4

// tunnel is this node's end of a tunnel. Its key is the tunnel's ID.
struct tunnel {
	struct address local;
	struct address remote; // zero: not verified yet
	__be16 local_port;
	__be16 remote_port;
	__u16 mtu; // of inner packets, less the cookie if there is one
	__u8 family6; // the outer packets are IPv6
	__u8 pad;
	__u32 slot; // where its counters are
	enum tunnel_flags flags;
	__u64 cookie; // as its bytes are on the wire, as are those that are accepted
	__u64 accepts[COOKIES];
};

// counters are what a tunnel has carried, in inner packets. They are no value per
// CPU: those would take their share of memory on every CPU for every tunnel that
// there might be, and a tunnel's packets mostly come to one CPU anyway.
struct counters {
	__u64 received_packets;
	__u64 received_bytes;
	__u64 sent_packets;
	__u64 sent_bytes;
};

// endpoint is a tenant's endpoint as seen in one scope: of an interface (services)
// or of a tunnel (policies). Protocol and port are zero in the entry of the address
// as such, by which ICMP and later fragments go.
struct endpoint {
	struct address address;
	__u32 scope;
	__be16 port;
	__u8 protocol;
	__u8 pad;
};

// Flags of services and policies.
enum service_flags {
	// Several interfaces of a gateway, or tunnels of a client, have this service, so
	// the flow decides which of them gets a reply.
	SERVICE_SHARED = 1,
	// The interface is one end of a pair whose peer can be handed packets.
	SERVICE_PEER = 2,
	// The endpoint was removed: what belongs to open TCP connections passes, and none is
	// opened.
	SERVICE_LEAVING = 4,
};

// service says by which tunnel an interface's proxy reaches an endpoint.
struct service {
	struct address source6; // the proxy's own addresses, zero if it has none
	__be32 source4;
	__u32 tunnel;
	enum service_flags flags;
	__u32 pad;
};

// policy says with whom an endpoint may speak through a tunnel, and on a gateway
// where that is.
struct policy {
	struct address peer6; // the proxy's addresses, zero if it has none
	__be32 peer4;
	__u32 ifindex; // gateway: the proxy's interface
	enum service_flags flags;
	__u8 mac[ETH_ALEN]; // gateway: of the interface's peer
	__u8 pad[6];
};

// proxy is an interface of a proxy. Its key is the index. No program reads it:
// it is there so that a restarted node program knows what it had.
struct proxy {
	struct address address6;
	__be32 address4;
	enum service_flags flags;
	__u8 mac[ETH_ALEN];
	__u8 pad[2];
};

// flow is a packet's addresses, as the packet has them that is looked up: one from
// the endpoint to the proxy. The ports of an ICMP echo are its identifier.
struct flow {
	struct address source;
	struct address destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 pad[3];
};

// reply says by which tunnel an endpoint answers a proxy. Its key is a flow without the
// proxy's port; protocol and port are zero in the entry of the address as such.
enum reply_flags {
	// Several tunnels lead there, so the one by which a flow came is looked up first.
	REPLY_SHARED = 1,
};

struct reply {
	__u32 tunnel; // zero: the endpoint was removed, and what it still sends is dropped
	enum reply_flags flags;
};

// fragments is what the fragments of one packet have in common.
struct fragments {
	struct address source;
	struct address destination;
	__u32 id;
	__u32 scope; // interface, or tunnel, that they come by
	__u8 protocol;
	__u8 pad[3];
	__u32 pad2;
};

// path is where a flow goes, and whether it is still in use.
struct path {
	__u32 tunnel;
	__u32 ifindex; // gateway: the proxy's interface
	__u32 seen; // when its last packet came by, in FLOW_UNITs since the start of the node
	__u8 sent; // TCP_FIN and TCP_RST if the proxy has sent them
	__u8 answered; // the same of the endpoint, and TCP_ACK once it has answered
	__u8 pad[2];
};

// fragment_path is where the rest of a fragmented packet goes.
struct fragment_path {
	__u32 tunnel;
	__u32 ifindex; // gateway: the proxy's interface
};

// flow_count is how often a flow of a proxy's address, or the first fragment of a packet, was
// noted, and how often that of a packet was not known.
struct flow_count {
	__u64 noted;
	__u64 unknown;
};

// What a CPU has looked up is valid for a moment (see memory.h), and only while the maps' generation is the
// same. The node program raises that after each change of a map. So what was removed is
// never used again once the removal has returned.
struct validity {
	__u64 since; // in ns since the start
	__u32 generation; // one more than the maps' then; zero: not valid
	__u32 tunnel;
};

// way is how outer packets of a tunnel leave, as the kernel's routes had it a moment
// ago. All but the result is what was asked for.
struct way {
	struct validity validity;
	__u32 from; // the interface that the inner packets come by
	__u32 ifindex;
	__u16 mtu;
	__u8 tos;
	__u8 pad;
	__u8 dmac[ETH_ALEN]; // both at even places
	__u8 smac[ETH_ALEN];
};

// sending is what a CPU knows of a flow that goes into a tunnel: that it may, and into
// which. No other flow of the endpoint and the proxy's address differs.
struct sending {
	struct validity validity;
	struct flow flow; // without the proxy's port
	__u32 ifindex; // the proxy's interface, on a gateway
	__u32 pad;
	struct tunnel tunnel;
};

// receiving is what a CPU knows of a tunnel that packets came by, and of the endpoint of
// the last one.
struct receiving {
	struct validity validity;
	struct tunnel tunnel;
	struct endpoint endpoint; // scope zero: none
	struct policy policy;
};

// place is an outer address of this node. Its value counts the tunnels there.
struct place {
	struct address address;
};

// attachment is how the node program attached a program to an interface. Links are
// pinned with the maps; this is what there is to know besides them.
enum hook {
	HOOK_PROXY_INGRESS = 1,
	HOOK_UNDERLAY_INGRESS,
	HOOK_UNDERLAY_EGRESS,
	HOOK_UNDERLAY_XDP,
};

enum how {
	HOW_TCX = 1,
	HOW_CLSACT,
	HOW_XDP,
};

enum attachment_flags {
	ATTACHMENT_QDISC_OURS = 1, // the node program made the clsact qdisc
};

struct attachment_key {
	__u32 ifindex;
	enum hook hook;
};

struct attachment {
	enum how how;
	enum attachment_flags flags;
};

// drop_reason is why a packet was dropped. pkg/dataplane documents each.
enum drop_reason {
	DROP_NONE,
	// Towards this node, outer packet.
	DROP_BAD_HEADER,
	DROP_OUTER_OPTIONS,
	DROP_OUTER_FRAGMENT,
	DROP_UNKNOWN_TUNNEL,
	DROP_UNVERIFIED,
	DROP_WRONG_REMOTE,
	DROP_WRONG_LOCAL,
	// Inner packet, either way.
	DROP_MALFORMED,
	DROP_EXTENSION_HEADERS,
	DROP_NOT_REGISTERED,
	DROP_WRONG_PEER,
	DROP_ICMP_UNMATCHED,
	DROP_FRAGMENT_UNMATCHED,
	DROP_ECN,
	// Towards a tunnel.
	DROP_NO_TUNNEL,
	DROP_NO_REMOTE,
	DROP_TOO_BIG,
	DROP_NO_ROUTE,
	// The kernel refused.
	DROP_FAMILY,
	DROP_INTERNAL,
	// What a proxy sends outside tunnels.
	DROP_NOT_AN_ANSWER,
	DROP_FRAME,
	DROP_PROTOCOL,
	// Towards this node, outer packet.
	DROP_NO_COOKIE,
	DROP_WRONG_COOKIE,
	// Towards a tunnel.
	DROP_BYPASSED,
	// From a proxy, at either node.
	DROP_PORT_TAKEN,
	DROP_REASONS, // how many there are
};

enum direction {
	DIRECTION_IN = 1, // out of the tunnel
	DIRECTION_OUT,    // into the tunnel
};

// event is one packet of a traced tunnel.
struct event {
	struct address source; // inner, except before the inner packet was looked at
	struct address destination;
	struct address outer; // the far end
	__u32 tunnel;
	__u32 length;
	__u32 ifindex;
	__be16 source_port;
	__be16 destination_port;
	__be16 outer_port;
	__u8 protocol;
	__u8 tcp_flags;
	enum direction direction;
	enum drop_reason reason;
	__u8 xdp;
	__u8 pad[3];
};

#define TRACES 8
