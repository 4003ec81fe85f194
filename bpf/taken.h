// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Refusing connections that reach a client node through one tunnel while their flow belongs to
// another tunnel.
#pragma once

#include "encap.h"

enum taken_flags {
	TAKEN_V6 = 1,
	TAKEN_OUTER6 = 2,
	TAKEN_COOKIE = 4,
};

// make_reset turns a TCP segment that opens a connection into the reset that refuses it. The
// length does not change, because the kernel can't resize a buffer that it considers
// encapsulated.
static __always_inline int make_reset(struct __sk_buff *ctx, __u32 tcp)
{
	struct tcphdr had, h;
	__s64 difference;

	if (bpf_skb_load_bytes(ctx, tcp, &had, sizeof(had)))
		return -1;
	h = had;
	refuse_segment(&h);
	difference = bpf_csum_diff((__be32 *)&had, sizeof(had), (__be32 *)&h, sizeof(h), 0);
	if (bpf_skb_store_bytes(ctx, tcp, &h, sizeof(h), 0))
		return -1;
	return bpf_l4_csum_replace(ctx, tcp + __builtin_offsetof(struct tcphdr, check), 0, difference, 0);
}

// turn_addresses swaps the source and destination addresses of a packet.
static __always_inline int turn_addresses(struct __sk_buff *ctx, __u32 ip, int v6)
{
	const __u32 size = v6 ? 16 : 4, at = ip + (v6 ? 8 : 12);
	__u8 source[16], destination[16];

	return bpf_skb_load_bytes(ctx, at, source, size) || bpf_skb_load_bytes(ctx, at + size, destination, size) ||
	       bpf_skb_store_bytes(ctx, at, destination, size, 0) || bpf_skb_store_bytes(ctx, at + size, source, size, 0);
}

// write_outer overwrites the outer headers of a received packet with those of a packet to the
// far end.
static __always_inline int write_outer(struct __sk_buff *ctx, const struct packet *p, const struct tunnel *t, __u32 id, int v6, int outer6, int cookie)
{
	const __u32 l3 = sizeof(struct ethhdr), headers = UDP_GUE_LEN + (cookie ? COOKIE_LEN : 0);
	__u8 gue[UDP_GUE_LEN + COOKIE_LEN];

	if (outer6) {
		struct ipv6hdr ip;

		write_ip6(&ip, t, p->tos, 0, bpf_htons(p->total + headers));
		if (bpf_skb_store_bytes(ctx, l3, &ip, sizeof(ip), 0))
			return -1;
	} else {
		struct iphdr ip;

		write_ip4(&ip, t, p->tos, bpf_htons(sizeof(ip) + headers + p->total));
		if (bpf_skb_store_bytes(ctx, l3, &ip, sizeof(ip), 0))
			return -1;
	}
	write_gue(gue, gue + sizeof(gue), t, id, p->total, v6, cookie);
	return bpf_skb_store_bytes(ctx, l3 + (outer6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)), gue, headers, 0);
}

// taken handles a packet from a tunnel whose flow belongs to another tunnel. The caller has
// counted it as dropped. If it opens a TCP connection, it becomes a reset that is sent to the
// proxy through the same tunnel, so the proxy immediately tries again from another port. Other
// packets are dropped.
__noinline int taken(struct __sk_buff *ctx, const struct packet *p, const struct tunnel *t, __u32 id, __u32 flags)
{
	__u32 v6 = flags & TAKEN_V6, outer6 = flags & TAKEN_OUTER6, cookie = flags & TAKEN_COOKIE;
	__u32 inner = sizeof(struct ethhdr) + (outer6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)) + UDP_GUE_LEN + (cookie ? COOKIE_LEN : 0);
	int written;

	if (!p || !t)
		return TC_ACT_SHOT;
	// While the ends are negotiating cookies, only one direction may have them.
	if (!is_refusable(p, v6) || p->total != p->headers || ctx->len != inner + p->total ||
	    !(t->flags & TUNNEL_SENDS_COOKIE) != !cookie)
		return TC_ACT_SHOT;
	if (make_reset(ctx, inner + (v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr))) ||
	    (v6 ? turn_addresses(ctx, inner, 1) : turn_addresses(ctx, inner, 0)))
		return TC_ACT_SHOT;
	if (outer6)
		written = cookie ? write_outer(ctx, p, t, id, v6, 1, 1) : write_outer(ctx, p, t, id, v6, 1, 0);
	else
		written = cookie ? write_outer(ctx, p, t, id, v6, 0, 1) : write_outer(ctx, p, t, id, v6, 0, 0);
	if (written)
		return TC_ACT_SHOT;
	count_sent(t, 1, p->total);
	ctx->tc_index = ENCAPSULATED;
	return bpf_redirect_neigh(ctx->ifindex, 0, 0, 0);
}
