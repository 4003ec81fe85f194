// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// What a proxy may send outside tunnels: replies to its visitors, packets for its direct
// endpoints, and what it needs to communicate with its host. Except for fragments, none of
// these checks depends on state learned from earlier packets, so a flood can't block replies.
#pragma once

#include "count.h"
#include "fragments.h"

// Routes are looked up as for packets that the host itself sends.
#define LOOPBACK 1

enum icmp6_type {
	ICMP6_MLD_QUERY = 130,
	ICMP6_MLD_DONE = 132,
	ICMP6_ROUTER_SOLICIT = 133,
	ICMP6_NEIGHBOUR_ADVERT = 136,
	ICMP6_MLD2_REPORT = 143,
};

static __always_inline int is_discovery(__u8 type)
{
	return type >= ICMP6_ROUTER_SOLICIT && type <= ICMP6_NEIGHBOUR_ADVERT;
}

// is_beside reports whether an IPv6 address is one that routers do not forward to.
static __always_inline int is_beside(const struct address *a)
{
	return (a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80) ||
	       (a->bytes[0] == 0xff && (a->bytes[1] & 0x0f) <= 2);
}

// is_host reports whether the destination of a proxy's IPv6 packet is an address of this host.
static __always_inline int is_host(struct __sk_buff *ctx, const struct packet *p)
{
	struct bpf_fib_lookup fib = {};
	long route;

	fib.family = AF_INET6;
	fib.ifindex = LOOPBACK;
	__builtin_memcpy(fib.src, p->flow.destination.bytes, 16);
	__builtin_memcpy(fib.dst, p->flow.source.bytes, 16);
	route = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	return route == BPF_FIB_LKUP_RET_NOT_FWDED || route == BPF_FIB_LKUP_RET_FWD_DISABLED;
}

// is_neighbourly reports whether an ICMPv6 message is one that IPv6 requires between a proxy
// and this host, and is only for this host.
static __always_inline int is_neighbourly(struct __sk_buff *ctx, const struct packet *p)
{
	if (!is_discovery(p->icmp) && !(p->icmp >= ICMP6_MLD_QUERY && p->icmp <= ICMP6_MLD_DONE) &&
	    p->icmp != ICMP6_MLD2_REPORT)
		return 0;
	return is_beside(&p->flow.source) || (is_discovery(p->icmp) && is_host(ctx, p));
}

// first_passes lets the later fragments of a packet pass if p is its first fragment.
static __always_inline void first_passes(const struct packet *p, __u32 ifindex)
{
	if (p->first)
		note_first(p, ifindex, 0, ifindex);
}

// to_direct checks a packet for one of the proxy's direct endpoints, or an error about a packet
// from there. It returns zero if the packet may be sent, a drop reason if it may not, and a
// negative number if it is not for a direct endpoint. It is global, so the verifier checks it
// once.
__noinline int to_direct(const struct packet *p, __u32 ifindex)
{
	struct endpoint key = {};

	if (!p)
		return DROP_INTERNAL;
	if (!has_port(p))
		return -1;
	endpoint_of(&key, p, ifindex);
	if (!bpf_map_lookup_elem(&direct, &key))
		return -1;
	key.port = 0;
	key.protocol = 0;
	// Packets for an address that has a tunnel are never sent outside the tunnel.
	if (bpf_map_lookup_elem(&services, &key))
		return DROP_NOT_REGISTERED;
	key.address = p->flow.destination;
	if (!bpf_map_lookup_elem(&published_ports, &key))
		return DROP_WRONG_PEER;
	first_passes(p, ifindex);
	return 0;
}

// answers checks a packet that is not for one of the proxy's endpoints. It returns zero if the
// proxy may send the packet, and a drop reason otherwise. It is global, so the verifier checks
// it once.
__noinline int answers(struct __sk_buff *ctx, const struct packet *p, __u32 v6)
{
	struct endpoint opening = {}, endpoint = {};
	__u32 ifindex = ctx->ifindex;
	int result;

	if (!p)
		return DROP_INTERNAL;
	result = to_direct(p, ifindex);
	if (result >= 0)
		return result;
	opening.address = p->flow.destination;
	opening.scope = ifindex;
	switch (p->kind) {
	case KIND_PORTS:
		if (opens_tcp(p))
			return DROP_NOT_AN_ANSWER;
		__attribute__((fallthrough));
	case KIND_ICMP_ERROR: // about a packet to the port
		opening.port = p->flow.destination_port;
		opening.protocol = p->flow.protocol;
		break;
	case KIND_FRAGMENT:
		// Only count fragments at the proxy's own addresses.
		if (!bpf_map_lookup_elem(&published_ports, &opening))
			return DROP_FRAGMENT_UNMATCHED;
		return rest_goes(p, ifindex, 0) < 0 ? DROP_FRAGMENT_UNMATCHED : 0;
	case KIND_ADDRESS:
		if (p->protocol != (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
			return DROP_NOT_AN_ANSWER;
		if (v6 && is_neighbourly(ctx, p))
			return 0;
		if (p->icmp != (v6 ? 129 : 0)) // reply to a ping
			return DROP_NOT_AN_ANSWER;
		break;
	default:
		return DROP_ICMP_UNMATCHED;
	}
	if (!bpf_map_lookup_elem(&published_ports, &opening))
		return DROP_NOT_AN_ANSWER;
	// An endpoint's address is only reached through its tunnel.
	endpoint.address = p->flow.source;
	endpoint.scope = ifindex;
	if (bpf_map_lookup_elem(&services, &endpoint))
		return DROP_NOT_REGISTERED;
	first_passes(p, ifindex);
	return 0;
}
