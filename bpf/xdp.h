// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Decapsulating packets before the kernel has created a socket buffer, so it can merge them
// (GRO) by their inner headers. Only plain packets of established flows are handled here. All
// other packets, including those to be dropped, are left to the tc program that follows, which
// can do more. No packet passes here that the tc program would not let pass.
#pragma once

#include "decap.h"

static __always_inline int xdp_decapsulate(struct xdp_md *ctx, int outer6, int v6, int cookie, __u32 id, __u32 udp_len, __u8 outer_tos)
{
	const __u32 outer_ip = outer6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	const __u32 headers = UDP_GUE_LEN + (cookie ? COOKIE_LEN : 0), outer_len = outer_ip + headers;
	const __u32 inner = sizeof(struct ethhdr) + outer_len;
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 slot = id % DECAP_CACHE;
	struct moment moment = this_moment();
	struct receiving *known = bpf_map_lookup_elem(&decap_cache, &slot);
	struct policy *policy;
	struct packet p = {};
	struct outer o;
	struct ethhdr eth, *to;
	struct tunnel *t;
	int reason = 0;

	if (!known || data + inner + (v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)) > end)
		return XDP_PASS;
	outer_addresses(&o, data + sizeof(struct ethhdr), outer6);
	o.source_port = ((struct udphdr *)(data + sizeof(struct ethhdr) + outer_ip))->source;
	t = check_tunnel(id, known, &moment, &o, cookie, cookie ? cookie_of(data + sizeof(struct ethhdr) + outer_ip + sizeof(struct udphdr)) : 0, &reason);
	if (!t)
		return XDP_PASS;
	await_counters(t);
	if (parse_plain(data + inner, end, &p, v6, !gateway) || p.tcp_flags & TCP_SYN ||
	    p.tos != outer_tos || udp_len < headers || !is_whole(&p, udp_len - headers) ||
	    data + sizeof(struct ethhdr) + outer_ip + udp_len > end)
		return XDP_PASS;
	policy = check_inner(&p, v6, id, known, &moment, &reason);
	if (!policy)
		return XDP_PASS;

	if (gateway) {
		struct delivery *d;

		if (!(policy->flags & SERVICE_PEER) || bpf_xdp_adjust_meta(ctx, -(int)sizeof(*d)))
			return XDP_PASS;
		d = (void *)(long)ctx->data_meta;
		data = (void *)(long)ctx->data;
		if ((void *)(d + 1) > data)
			return XDP_PASS;
		d->magic = DELIVERY;
		d->ifindex = interface_of(&p, policy, id, &moment);
		__builtin_memcpy(d->mac, policy->mac, ETH_ALEN);
		d->pad[0] = d->pad[1] = 0;
	} else if (!remember(&p, policy, id, &moment)) {
		return XDP_PASS;
	}
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + sizeof(eth) > end)
		return XDP_DROP;
	__builtin_memcpy(&eth, data, sizeof(eth));
	// Keep the destination hardware address: the tc program uses it to check that the frame
	// is for this host.
	eth.h_proto = v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	if (bpf_xdp_adjust_head(ctx, outer_len)) {
		count_drop(DROP_INTERNAL);
		return XDP_DROP;
	}
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	to = data;
	if ((void *)(to + 1) > end)
		return XDP_DROP;
	__builtin_memcpy(to, &eth, sizeof(eth));
	count_received(t, 1, p.total);
	if (unlikely(traces)) {
		struct seen s = {};

		s.tunnel = id;
		s.direction = DIRECTION_IN;
		s.length = p.total;
		s.ifindex = ctx->ingress_ifindex;
		s.outer = o.source;
		s.outer_port = o.source_port;
		s.xdp = 1;
		trace(&p, &s);
	}
	return XDP_PASS;
}

static __always_inline int xdp_ip(struct xdp_md *ctx, int outer6)
{
	const __u32 l3 = sizeof(struct ethhdr);
	const __u32 l4 = l3 + (outer6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct udphdr *udp = data + l4;
	struct guehdr *gue = (void *)(udp + 1);
	__u8 tos;

	if ((void *)(gue + 1) > end || udp->dest != port)
		return XDP_PASS;
	if (outer6) {
		struct ipv6hdr *ip = data + l3;

		if (ip->nexthdr != IPPROTO_UDP || is_mapped(ip->daddr))
			return XDP_PASS;
		tos = bpf_ntohl(ip->flow) >> 20;
	} else {
		struct iphdr *ip = data + l3;

		if (ip->protocol != IPPROTO_UDP || ip->version_ihl != 0x45 ||
		    ip->frag_off & bpf_htons(IP_OFFSET | IP_MF))
			return XDP_PASS;
		tos = ip->tos;
	}
	if (gue->word == GUE_COOKIE4)
		return xdp_decapsulate(ctx, outer6, 0, 1, bpf_ntohl(gue->tunnel), bpf_ntohs(udp->len), tos);
	if (gue->word == GUE_COOKIE6)
		return xdp_decapsulate(ctx, outer6, 1, 1, bpf_ntohl(gue->tunnel), bpf_ntohs(udp->len), tos);
	if (gue->word == GUE_DATA4)
		return xdp_decapsulate(ctx, outer6, 0, 0, bpf_ntohl(gue->tunnel), bpf_ntohs(udp->len), tos);
	if (gue->word == GUE_DATA6)
		return xdp_decapsulate(ctx, outer6, 1, 0, bpf_ntohl(gue->tunnel), bpf_ntohs(udp->len), tos);
	return XDP_PASS;
}
