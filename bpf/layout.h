// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Definitions shared by the programs and the node program: keys and values of the maps, drop
// reasons and limits. The Go types are generated from this file. Maps that an earlier version
// pinned are migrated field by field, so a field may be added, removed or moved, but must keep
// its name and meaning.
//
// Addresses are 16 bytes; an IPv4 address is in its IPv6-mapped form. Ports and addresses are
// in network byte order, everything else is in host byte order.
#pragma once

#include "include/kernel.h"

// address is aligned to eight bytes, so it can be compared in two steps.
struct address {
	__u8 bytes[16];
} __attribute__((aligned(8)));

enum tunnel_flags {
	// Packets sent into the tunnel carry the cookie.
	TUNNEL_SENDS_COOKIE = 1,
	// Packets received without a cookie are dropped.
	TUNNEL_NEEDS_COOKIE = 2,
	// The accepted cookies are set.
	TUNNEL_KNOWS_COOKIES = 4,
};

// The number of accepted cookies, which is the number of keys of a tunnel that can be valid at
// a time. Unused elements repeat the first one.
#define COOKIES 4

// tunnel is this node's end of a tunnel. The key is the tunnel ID.
struct tunnel {
	struct address local;
	struct address remote; // zero: not verified yet
	__be16 local_port;
	__be16 remote_port;
	__u16 mtu; // of inner packets, less the cookie if there is one
	__u8 family6; // the outer packets are IPv6
	__u8 pad;
	__u32 slot; // index of its counters
	enum tunnel_flags flags;
	__u64 cookie; // in wire byte order, like the accepted cookies
	__u64 accepts[COOKIES];
};

// counters counts the inner packets that a tunnel has carried. The map is not per CPU: that
// would take memory on every CPU for every possible tunnel, and the packets of a tunnel are
// mostly handled by one CPU anyway.
struct counters {
	__u64 received_packets;
	__u64 received_bytes;
	__u64 sent_packets;
	__u64 sent_bytes;
};

// endpoint is a tenant's endpoint within one scope: an interface (services) or a tunnel
// (policies). Protocol and port are zero in the entry of the address itself, which is used for
// ICMP and later fragments.
struct endpoint {
	struct address address;
	__u32 scope;
	__be16 port;
	__u8 protocol;
	__u8 pad;
};

// Flags of services and policies.
enum service_flags {
	// Several interfaces of a gateway node, or several tunnels of a client node, have this
	// service, so the flow decides which of them gets a reply.
	SERVICE_SHARED = 1,
	// The interface is one end of a pair, and packets can be redirected to its peer.
	SERVICE_PEER = 2,
	// The endpoint was removed: packets of open TCP connections pass, but no connection can
	// be opened.
	SERVICE_LEAVING = 4,
};

// service is the tunnel through which an interface's proxy reaches an endpoint.
struct service {
	struct address source6; // the proxy's own addresses, zero if it has none
	__be32 source4;
	__u32 tunnel;
	enum service_flags flags;
	__u32 pad;
};

// policy is the proxy with which an endpoint may exchange packets through a tunnel, and on a
// gateway node the location of that proxy.
struct policy {
	struct address peer6; // the proxy's addresses, zero if it has none
	__be32 peer4;
	__u32 ifindex; // gateway: the proxy's interface
	enum service_flags flags;
	__u8 mac[ETH_ALEN]; // gateway: of the interface's peer
	__u8 pad[6];
};

// proxy is an interface of a proxy. The key is the interface index. No program reads this map:
// the node program restores its own state from it after a restart.
struct proxy {
	struct address address6;
	__be32 address4;
	enum service_flags flags;
	__u8 mac[ETH_ALEN];
	__u8 pad[2];
};

// flow holds the addresses of a packet that is looked up, in the direction from the endpoint to
// the proxy. For an ICMP echo, both ports are its identifier.
struct flow {
	struct address source;
	struct address destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 pad[3];
};

// reply is the tunnel through which an endpoint replies to a proxy. The key is a flow without
// the proxy's port; protocol and port are zero in the entry of the address itself.
enum reply_flags {
	// Several tunnels lead to the endpoint, so the tunnel of the recorded flow is looked up
	// first.
	REPLY_SHARED = 1,
};

struct reply {
	__u32 tunnel; // zero: the endpoint was removed, and packets it still sends are dropped
	enum reply_flags flags;
};

// fragments holds the fields that all fragments of one packet have in common.
struct fragments {
	struct address source;
	struct address destination;
	__u32 id;
	__u32 scope; // interface or tunnel on which they arrive
	__u8 protocol;
	__u8 pad[3];
	__u32 pad2;
};

// path is where the packets of a flow go, and whether the flow is still in use.
struct path {
	__u32 tunnel;
	__u32 ifindex; // gateway: the proxy's interface
	__u32 seen; // time of its last packet, in FLOW_UNITs since boot
	__u8 sent; // TCP_FIN and TCP_RST if the proxy has sent them
	__u8 answered; // the same for the endpoint, and TCP_ACK once it has replied
	__u8 pad[2];
};

// fragment_path is where the later fragments of a packet go.
struct fragment_path {
	__u32 tunnel;
	__u32 ifindex; // gateway: the proxy's interface
};

// flow_count counts, for one address of a proxy, how often a flow or the first fragment of a
// packet was recorded, and how often the flow or first fragment of a packet was unknown.
struct flow_count {
	__u64 noted;
	__u64 unknown;
};

// validity is the state of a cached lookup result, which is valid for a limited time (see
// memory.h) and only while the generation of the maps stays the same. The node program
// increments the generation after each change of a map, so a removed entry is never used again
// once the removal has returned.
struct validity {
	__u64 since; // in ns since boot
	__u32 generation; // that of the maps at the time, plus one; zero: not valid
	__u32 tunnel;
};

// way is the cached route of the outer packets of a tunnel. ifindex, mtu and the hardware
// addresses are the result of the lookup; the other fields are its input.
struct way {
	struct validity validity;
	__u32 from; // the interface on which the inner packets arrive
	__u32 ifindex;
	__u16 mtu;
	__u8 tos;
	__u8 pad;
	__u8 dmac[ETH_ALEN]; // both at even offsets
	__u8 smac[ETH_ALEN];
};

// sending is the cached result for a flow that goes into a tunnel: that it may, and the tunnel.
// The result is the same for all flows of one endpoint and one address of a proxy.
struct sending {
	struct validity validity;
	struct flow flow; // without the proxy's port
	__u32 ifindex; // the proxy's interface, on a gateway
	__u32 pad;
	struct tunnel tunnel;
};

// receiving is the cached result for the packets of a tunnel, and for the endpoint of the last
// one.
struct receiving {
	struct validity validity;
	struct tunnel tunnel;
	struct endpoint endpoint; // scope zero: none
	struct policy policy;
};

// place is an outer address of this node. Its value is the number of tunnels that end there.
struct place {
	struct address address;
};

// attachment is how the node program attached a program to an interface. Links are pinned with
// the maps; this is what else the node program must know.
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
	ATTACHMENT_QDISC_OURS = 1, // the node program created the clsact qdisc
};

struct attachment_key {
	__u32 ifindex;
	enum hook hook;
};

struct attachment {
	enum how how;
	enum attachment_flags flags;
};

// drop_reason is why a packet was dropped. pkg/dataplane documents each reason.
enum drop_reason {
	DROP_NONE,
	// Received outer packet.
	DROP_BAD_HEADER,
	DROP_OUTER_OPTIONS,
	DROP_OUTER_FRAGMENT,
	DROP_UNKNOWN_TUNNEL,
	DROP_UNVERIFIED,
	DROP_WRONG_REMOTE,
	DROP_WRONG_LOCAL,
	// Inner packet, in either direction.
	DROP_MALFORMED,
	DROP_EXTENSION_HEADERS,
	DROP_NOT_REGISTERED,
	DROP_WRONG_PEER,
	DROP_ICMP_UNMATCHED,
	DROP_FRAGMENT_UNMATCHED,
	DROP_ECN,
	// Packet to be sent into a tunnel.
	DROP_NO_TUNNEL,
	DROP_NO_REMOTE,
	DROP_TOO_BIG,
	DROP_NO_ROUTE,
	// The kernel refused an operation.
	DROP_FAMILY,
	DROP_INTERNAL,
	// Packet that a proxy sends outside tunnels.
	DROP_NOT_AN_ANSWER,
	DROP_FRAME,
	DROP_PROTOCOL,
	// Received outer packet.
	DROP_NO_COOKIE,
	DROP_WRONG_COOKIE,
	// Packet to be sent into a tunnel.
	DROP_BYPASSED,
	// Packet from a proxy, on either node.
	DROP_PORT_TAKEN,
	DROP_REASONS, // number of reasons
};

enum direction {
	DIRECTION_IN = 1, // out of the tunnel
	DIRECTION_OUT,    // into the tunnel
};

// event is one packet of a traced tunnel.
struct event {
	struct address source; // inner; zero if the inner packet was not parsed
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
