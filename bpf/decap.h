// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Receiving packets from tunnels.
#pragma once

#include "flows.h"
#include "taken.h"

// is_place reports whether tunnels end at an outer destination address on this node. At any
// other address, the port may be used for something else.
static __noinline int is_place(const struct address *a)
{
	struct place place;

	place.address = *a;
	return bpf_map_lookup_elem(&local_endpoints, &place) != 0;
}

// outer holds the fields of an outer packet that are checked.
struct outer {
	struct address source;
	struct address destination;
	__be16 source_port;
};

// cookie_of reads the cookie of a packet that has one, in the words to which it is aligned.
static __always_inline __u64 cookie_of(const struct guehdr *gue)
{
	return gue->cookie[0] | (__u64)gue->cookie[1] << 32;
}

// check_cookie returns zero if a packet's cookie is accepted, and a drop reason otherwise. A
// cookie is accepted if it is the one for this direction of any key that is valid.
static __always_inline int check_cookie(const struct tunnel *t, int has_cookie, __u64 cookie)
{
	if (has_cookie) {
		if (unlikely(!(t->flags & TUNNEL_KNOWS_COOKIES)))
			return DROP_WRONG_COOKIE;
		if (likely(cookie == t->accepts[0]))
			return 0;
		return cookie == t->accepts[1] || cookie == t->accepts[2] || cookie == t->accepts[3] ? 0 : DROP_WRONG_COOKIE;
	}
	return t->flags & TUNNEL_NEEDS_COOKIE ? DROP_NO_COOKIE : 0;
}

static __always_inline void outer_addresses(struct outer *o, void *l3, int v6)
{
	if (v6) {
		struct ipv6hdr *ip = l3;

		copy_address(&o->source, ip->saddr);
		copy_address(&o->destination, ip->daddr);
	} else {
		struct iphdr *ip = l3;

		map_address(&o->source, ip->saddr);
		map_address(&o->destination, ip->daddr);
	}
}

// receiving_of returns the CPU's cached copy of a tunnel if it is valid. Otherwise it looks up
// the tunnel.
static __always_inline struct tunnel *receiving_of(__u32 id, struct receiving *known, const struct moment *m)
{
	struct tunnel *t;

	if (likely(holds(&known->validity, m, id)))
		return &known->tunnel;
	looking(&known->validity.generation);
	id |= after(m);
	t = bpf_map_lookup_elem(&tunnels, &id);
	if (unlikely(!t))
		return 0;
	known->tunnel = *t;
	known->endpoint.scope = 0;
	validate(&known->validity, m, id);
	return t;
}

// check_tunnel returns the tunnel of a packet if the packet's outer addresses and ports are
// those of the tunnel and its cookie is accepted.
static __always_inline struct tunnel *check_tunnel(__u32 id, struct receiving *known, const struct moment *m, const struct outer *o, int has_cookie, __u64 cookie, int *reason)
{
	struct tunnel *t = receiving_of(id, known, m);

	if (unlikely(!t)) {
		*reason = DROP_UNKNOWN_TUNNEL;
		return 0;
	}
	if (unlikely(!same_address(&t->local, &o->destination) || t->local_port != port)) {
		*reason = DROP_WRONG_LOCAL;
		return 0;
	}
	if (unlikely(!t->remote_port)) {
		*reason = DROP_UNVERIFIED;
		return 0;
	}
	if (unlikely(!same_address(&t->remote, &o->source) || t->remote_port != o->source_port)) {
		*reason = DROP_WRONG_REMOTE;
		return 0;
	}
	*reason = check_cookie(t, has_cookie, cookie);
	if (unlikely(*reason))
		return 0;
	return t;
}

static __always_inline int same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	return !((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]));
}

// check_inner returns the policy that allows an inner packet. The endpoint's side of the packet
// is the key of the policy; the proxy's side is checked here.
static __always_inline struct policy *check_inner(const struct packet *p, int v6, __u32 id, struct receiving *known, const struct moment *m, int *reason)
{
	struct endpoint endpoint;
	struct policy *policy;

	endpoint_of(&endpoint, p, id | after(m));
	if (likely(same_endpoint(&known->endpoint, &endpoint) && holds(&known->validity, m, id))) {
		policy = &known->policy;
	} else {
		looking(&known->endpoint.scope);
		policy = bpf_map_lookup_elem(&policies, &endpoint);
		if (unlikely(!policy)) {
			*reason = DROP_NOT_REGISTERED;
			return 0;
		}
		if (likely(holds(&known->validity, m, id))) {
			known->policy = *policy;
			known->endpoint = endpoint;
		}
	}
	if (unlikely(v6 ? !same_address(&policy->peer6, &p->flow.destination) :
			  policy->peer4 != mapped(&p->flow.destination) || !policy->peer4)) {
		*reason = DROP_WRONG_PEER;
		return 0;
	}
	return policy;
}

// remember records on a client node the tunnel through which a flow arrived, if several lead to
// the endpoint. It returns zero if the flow belongs to another tunnel.
static __always_inline int remember(const struct packet *p, const struct policy *policy, __u32 id, const struct moment *m)
{
	if (likely(!(policy->flags & SERVICE_SHARED)))
		return 1;
	if (unlikely(p->kind == KIND_FRAGMENT || p->kind == KIND_ICMP_ERROR))
		return 1;
	return note_tunnel(p, id, flow_time(m));
}

// interface_of returns the interface of the proxy that gets a packet.
static __always_inline __u32 interface_of(const struct packet *p, const struct policy *policy, __u32 id, const struct moment *m)
{
	__u32 ifindex = policy->ifindex, noted;
	long rest;

	if (likely(!(policy->flags & SERVICE_SHARED)))
		return ifindex;
	if (p->kind == KIND_FRAGMENT) {
		rest = rest_goes(p, id, id);
		noted = rest;
		if (rest >= 0 && bpf_map_lookup_elem(&proxies, &noted))
			ifindex = noted;
	} else {
		ifindex = interface_of_flow(p, id, ifindex, flow_time(m));
	}
	if (p->first)
		note_first(p, id, id, ifindex);
	return ifindex;
}

// combine returns the traffic class of the inner packet when it leaves the tunnel: the outer
// DSCP (uniform model), and ECN according to figure 4 of RFC 6040. It returns -1 if the packet
// must be dropped.
static __always_inline int combine(__u8 outer, __u8 inner)
{
	__u8 in = inner & 3, out = outer & 3;

	if (out == 3) {
		if (in == 0)
			return -1;
		in = 3;
	} else if (out == 1 && in == 2) {
		in = 1;
	}
	return (outer & 0xfc) | in;
}

// set_tos changes the traffic class of the packet at an offset.
__noinline int set_tos(struct __sk_buff *ctx, __u32 offset, __u32 v6, __u32 from, __u32 to)
{
	if (v6) {
		__be16 start;

		if (bpf_skb_load_bytes(ctx, offset, &start, sizeof(start)))
			return -1;
		start = (start & ~bpf_htons(0x0ff0)) | bpf_htons(to << 4);
		return bpf_skb_store_bytes(ctx, offset, &start, sizeof(start), 0);
	} else {
		__u8 tos = to;

		if (bpf_l3_csum_replace(ctx, offset + 10, bpf_htons(from), bpf_htons(to), 2))
			return -1;
		return bpf_skb_store_bytes(ctx, offset + 1, &tos, sizeof(tos), 0);
	}
}

// delivery is what the XDP program passes to the tc program with a packet that it has
// decapsulated for a proxy. It is the same for all packets of a flow, so GRO can merge them.
#define DELIVERY 0x45504943
struct delivery {
	__u32 magic;
	__u32 ifindex;
	__u8 mac[ETH_ALEN];
	__u8 pad[2];
};

// deliver redirects a packet to a proxy's interface.
static __always_inline int deliver(__u32 ifindex, __u32 flags)
{
	if (likely(flags & SERVICE_PEER))
		return bpf_redirect_peer(ifindex, 0);
	return bpf_redirect(ifindex, 0);
}

static __always_inline void set_macs(struct ethhdr *eth, const __u8 *mac)
{
	__builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, mac, ETH_ALEN);
}

// decapsulate receives a packet from the tunnel in its GUE header. The outer header has no
// options and is not a fragment.
static __always_inline int decapsulate(struct __sk_buff *ctx, int outer6, int v6, int cookie, __u32 id, __u32 udp_len, __u8 outer_tos)
{
	const __u32 udp_at = sizeof(struct ethhdr) + (outer6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
	const __u32 headers = UDP_GUE_LEN + (cookie ? COOKIE_LEN : 0);
	const __u32 inner = udp_at + headers, outer_len = inner - sizeof(struct ethhdr);
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 gso = ctx->gso_size, segments = ctx->gso_segs, ifindex = 0;
	__u32 slot = id % DECAP_CACHE;
	struct moment moment = this_moment();
	struct receiving *known = bpf_map_lookup_elem(&decap_cache, &slot);
	struct packet p = {};
	struct outer o;
	struct tunnel *t;
	struct policy *policy;
	int reason = 0, tos;
	__u64 flags;

	if (!known || data + inner > end)
		return dropped(ctx, &p, id, DROP_INTERNAL, DIRECTION_IN);
	outer_addresses(&o, data + sizeof(struct ethhdr), outer6);
	o.source_port = ((struct udphdr *)(data + udp_at))->source;
	t = check_tunnel(id, known, &moment, &o, cookie, cookie ? cookie_of(data + udp_at + sizeof(struct udphdr)) : 0, &reason);
	if (unlikely(!t)) {
		if (!is_place(&o.destination))
			return TC_ACT_UNSPEC;
		return dropped(ctx, &p, id, reason, DIRECTION_IN);
	}
	await_counters(t);
	if (unlikely(ctx->pkt_type != PACKET_HOST))
		return dropped(ctx, &p, id, DROP_FRAME, DIRECTION_IN);
	reason = parse(ctx, inner, &p, v6, !gateway);
	if (unlikely(reason))
		return dropped(ctx, &p, id, reason, DIRECTION_IN);
	if (likely(!gso)) {
		// Each length must be within the next outer one; a link may have padded the
		// frame.
		if (unlikely(!is_whole(&p, udp_len - headers) || udp_len < headers || udp_len + udp_at > ctx->len))
			return dropped(ctx, &p, id, DROP_MALFORMED, DIRECTION_IN);
	} else {
		p.total = ctx->len - inner;
	}
	if (unlikely(p.kind == KIND_ICMP_UNMATCHED))
		return dropped(ctx, &p, id, DROP_ICMP_UNMATCHED, DIRECTION_IN);
	if (unlikely(p.kind != KIND_PORTS) && !crosses(&p, v6, !gateway))
		return dropped(ctx, &p, id, DROP_PROTOCOL, DIRECTION_IN);
	policy = check_inner(&p, v6, id, known, &moment, &reason);
	if (unlikely(!policy))
		return dropped(ctx, &p, id, reason, DIRECTION_IN);
	// The XDP program leaves packets with SYN to this program.
	if (unlikely(policy->flags & SERVICE_LEAVING) && opens_tcp(&p))
		return dropped(ctx, &p, id, DROP_NOT_REGISTERED, DIRECTION_IN);
	if (!gateway && unlikely(!remember(&p, policy, id, &moment))) {
		dropped(ctx, &p, id, DROP_PORT_TAKEN, DIRECTION_IN);
		return taken(ctx, &p, t, id, (v6 ? TAKEN_V6 : 0) | (outer6 ? TAKEN_OUTER6 : 0) | (cookie ? TAKEN_COOKIE : 0));
	}
	tos = combine(outer_tos, p.tos);
	if (unlikely(tos != p.tos)) {
		if (tos < 0)
			return dropped(ctx, &p, id, DROP_ECN, DIRECTION_IN);
		if (set_tos(ctx, inner, v6, p.tos, tos))
			return dropped(ctx, &p, id, DROP_INTERNAL, DIRECTION_IN);
	}
	if (unlikely(p.tcp_flags & TCP_SYN) && p.protocol == IPPROTO_TCP &&
	    clamp_mss(ctx, inner + p.l4, t->mtu - (v6 ? 60 : 40)))
		return dropped(ctx, &p, id, DROP_INTERNAL, DIRECTION_IN);

	flags = BPF_F_ADJ_ROOM_FIXED_GSO;
	if (outer6 != v6)
		flags |= v6 ? BPF_F_ADJ_ROOM_DECAP_L3_IPV6 : BPF_F_ADJ_ROOM_DECAP_L3_IPV4;
	if (unlikely(bpf_skb_adjust_room(ctx, -(__s32)outer_len, BPF_ADJ_ROOM_MAC, flags)))
		return dropped(ctx, &p, id, outer6 != v6 ? DROP_FAMILY : DROP_INTERNAL, DIRECTION_IN);
	if (gateway || outer6 != v6) {
		struct ethhdr *eth;

		data = (void *)(long)ctx->data;
		end = (void *)(long)ctx->data_end;
		eth = data;
		if (unlikely(data + sizeof(*eth) > end))
			return dropped(ctx, &p, id, DROP_INTERNAL, DIRECTION_IN);
		eth->h_proto = v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
		if (gateway)
			set_macs(eth, policy->mac);
	}
	count_received(t, segments > 1 ? segments : 1,
		       p.total + (segments > 1 ? (segments - 1) * p.headers : 0));
	if (gateway)
		ifindex = interface_of(&p, policy, id, &moment);
	if (unlikely(traces)) {
		struct seen s = {};

		s.tunnel = id;
		s.direction = DIRECTION_IN;
		s.length = p.total;
		s.ifindex = gateway ? ifindex : ctx->ifindex;
		s.outer = o.source;
		s.outer_port = o.source_port;
		trace(&p, &s);
	}
	if (gateway)
		return deliver(ifindex, policy->flags);
	return TC_ACT_UNSPEC;
}

// refuse drops a packet for the end of a tunnel whose outer headers are not those of any
// tunnel. A packet for another address passes, because it only resembles a tunnel's.
__noinline int refuse(struct __sk_buff *ctx, __u32 v6, __u32 reason)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	void *ip = data + sizeof(struct ethhdr);
	struct address destination;
	struct packet p = {};

	if (ip + (v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)) > end)
		return TC_ACT_UNSPEC;
	if (v6)
		copy_address(&destination, ((struct ipv6hdr *)ip)->daddr);
	else
		map_address(&destination, ((struct iphdr *)ip)->daddr);
	if (!is_place(&destination))
		return TC_ACT_UNSPEC;
	return dropped(ctx, &p, 0, reason, DIRECTION_IN);
}

// linear makes the first bytes of a packet available for direct access.
static __always_inline int linear(struct __sk_buff *ctx, __u32 length)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (likely(data + length <= end))
		return 0;
	return ctx->len < length ? -1 : bpf_skb_pull_data(ctx, length);
}

// decap_ip handles a packet with an outer header of one family.
static __always_inline int decap_ip(struct __sk_buff *ctx, int outer6)
{
	const __u32 l3 = sizeof(struct ethhdr);
	const __u32 l4 = l3 + (outer6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
	void *data, *end;
	struct udphdr *udp;
	struct guehdr *gue;
	__u8 tos;

	if (linear(ctx, l4 + sizeof(*udp)))
		return TC_ACT_UNSPEC;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + l4 + sizeof(*udp) > end)
		return TC_ACT_UNSPEC;
	udp = data + l4;
	if (outer6) {
		struct ipv6hdr *ip = data + l3;

		if (unlikely(ip->nexthdr == IPPROTO_FRAGMENT)) {
			// The transport header is eight bytes further on. A later fragment has
			// none, and is useless without the first.
			if (((__u8 *)udp)[0] != IPPROTO_UDP || udp->dest & bpf_htons(0xfff8))
				return TC_ACT_UNSPEC;
			if (linear(ctx, l4 + 8 + sizeof(*udp)))
				return TC_ACT_UNSPEC;
			data = (void *)(long)ctx->data;
			end = (void *)(long)ctx->data_end;
			udp = data + l4 + 8;
			if ((void *)(udp + 1) > end || udp->dest != port)
				return TC_ACT_UNSPEC;
			return refuse(ctx, 1, DROP_OUTER_FRAGMENT);
		}
		if (ip->nexthdr != IPPROTO_UDP || udp->dest != port || is_mapped(ip->daddr))
			return TC_ACT_UNSPEC;
		tos = bpf_ntohl(ip->flow) >> 20;
	} else {
		struct iphdr *ip = data + l3;

		if (ip->protocol != IPPROTO_UDP)
			return TC_ACT_UNSPEC;
		if (unlikely(ip->frag_off & bpf_htons(IP_OFFSET)))
			return TC_ACT_UNSPEC; // useless without the first fragment
		if (unlikely(ip->version_ihl != 0x45)) {
			__u32 length = (ip->version_ihl & 0x0f) * 4;

			if (length < sizeof(*ip) || linear(ctx, l3 + length + sizeof(*udp)))
				return TC_ACT_UNSPEC;
			data = (void *)(long)ctx->data;
			end = (void *)(long)ctx->data_end;
			udp = data + l3 + length;
			if ((void *)(udp + 1) > end || udp->dest != port)
				return TC_ACT_UNSPEC;
			return refuse(ctx, 0, DROP_OUTER_OPTIONS);
		}
		if (udp->dest != port)
			return TC_ACT_UNSPEC;
		if (unlikely(ip->frag_off & bpf_htons(IP_MF)))
			return refuse(ctx, 0, DROP_OUTER_FRAGMENT);
		tos = ip->tos;
	}
	if (linear(ctx, l4 + UDP_GUE_LEN))
		return refuse(ctx, outer6, DROP_BAD_HEADER);
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	udp = data + l4;
	gue = (void *)(udp + 1);
	if (unlikely((void *)(gue + 1) > end))
		return refuse(ctx, outer6, DROP_BAD_HEADER);
	if (likely(gue->word == GUE_COOKIE4 || gue->word == GUE_COOKIE6)) {
		if (linear(ctx, l4 + UDP_GUE_LEN + COOKIE_LEN))
			return refuse(ctx, outer6, DROP_BAD_HEADER);
		data = (void *)(long)ctx->data;
		end = (void *)(long)ctx->data_end;
		udp = data + l4;
		gue = (void *)(udp + 1);
		if (unlikely((void *)(gue + 1) + COOKIE_LEN > end))
			return refuse(ctx, outer6, DROP_BAD_HEADER);
		if (gue->word == GUE_COOKIE4)
			return decapsulate(ctx, outer6, 0, 1, bpf_ntohl(gue->tunnel), bpf_ntohs(udp->len), tos);
		return decapsulate(ctx, outer6, 1, 1, bpf_ntohl(gue->tunnel), bpf_ntohs(udp->len), tos);
	}
	if (gue->word == GUE_DATA4)
		return decapsulate(ctx, outer6, 0, 0, bpf_ntohl(gue->tunnel), bpf_ntohs(udp->len), tos);
	if (gue->word == GUE_DATA6)
		return decapsulate(ctx, outer6, 1, 0, bpf_ntohl(gue->tunnel), bpf_ntohs(udp->len), tos);
	// Control packets of tunnels on this node go to the node program's socket, which
	// authenticates every one. Others would only keep it busy.
	if (gue->word == GUE_CONTROL) {
		__u32 id = bpf_ntohl(gue->tunnel);

		if (likely(bpf_map_lookup_elem(&tunnels, &id)))
			return TC_ACT_UNSPEC;
		return refuse(ctx, outer6, DROP_UNKNOWN_TUNNEL);
	}
	return refuse(ctx, outer6, DROP_BAD_HEADER);
}
