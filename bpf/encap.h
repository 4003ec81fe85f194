// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Sending packets into tunnels.
#pragma once

#include "answer.h"
#include "cut.h"
#include "flows.h"

// Marks a buffer that the client's program has encapsulated, for when it passes through the
// program again on egress.
#define ENCAPSULATED 0xe91c

static __always_inline __u16 limit16(__u32 value)
{
	// Only a GSO packet can be longer, and each of its segments gets its own length.
	return value > 0xffff ? 0xffff : value;
}

// Once in this many packets, one is sent with the neighbor's own send function, so the kernel
// keeps verifying that the neighbor is reachable.
#define NEIGHBOUR_EVERY 64

// copy_mac copies a hardware address in words. The compiler does not do this because it can't
// know that both addresses are aligned.
static __always_inline void copy_mac(__u8 *to, const __u8 *from)
{
#pragma unroll
	for (int i = 0; i < ETH_ALEN / 2; i++)
		((__u16 *)to)[i] = ((const __u16 *)from)[i];
}

static __always_inline void write_macs(struct ethhdr *eth, const struct way *way, __be16 protocol)
{
	copy_mac(eth->h_dest, way->dmac);
	copy_mac(eth->h_source, way->smac);
	eth->h_proto = protocol;
}

// write_ip4 sums the values it writes instead of reading the header back, which would stall the
// CPU.
static __always_inline void write_ip4(struct iphdr *ip, const struct tunnel *t, __u8 tos, __be16 length)
{
	__be32 local = mapped(&t->local), remote = mapped(&t->remote);
	__be16 begin = bpf_htons(0x4500 | tos), ttl = bpf_htons(64 << 8 | IPPROTO_UDP);

	*(__be16 *)&ip->version_ihl = begin;
	ip->tot_len = length;
	ip->id = 0; // not needed if fragmentation is forbidden (RFC 6864)
	ip->frag_off = bpf_htons(IP_DF);
	*(__be16 *)&ip->ttl = ttl;
	ip->check = fold((__u64)begin + length + bpf_htons(IP_DF) + ttl + local + remote);
	ip->saddr = local;
	ip->daddr = remote;
}

static __always_inline void write_ip6(struct ipv6hdr *ip, const struct tunnel *t, __u8 tos, __u32 label, __be16 payload)
{
	ip->flow = bpf_htonl(0x60000000 | (__u32)tos << 20 | label);
	ip->payload_len = payload;
	ip->nexthdr = IPPROTO_UDP;
	ip->hop_limit = 64;
	__builtin_memcpy(ip->saddr, t->local.bytes, 16);
	__builtin_memcpy(ip->daddr, t->remote.bytes, 16);
}

// write_gue returns nonzero if there is no room for the cookie.
static __always_inline int write_gue(void *to, void *end, const struct tunnel *t, __u32 id, __u32 length, int v6, int cookie)
{
	struct udphdr *udp = to;
	struct guehdr *gue = (void *)(udp + 1);

	udp->source = t->local_port;
	udp->dest = t->remote_port;
	udp->len = bpf_htons(limit16(length + UDP_GUE_LEN + (cookie ? COOKIE_LEN : 0)));
	// A tunnel may omit the UDP checksum, even over IPv6 (RFC 6935): the inner packet has
	// its own.
	udp->check = 0;
	gue->tunnel = bpf_htonl(id);
	if (likely(cookie)) {
		if (unlikely((void *)(gue + 1) + COOKIE_LEN > end))
			return -1;
		gue->word = v6 ? GUE_COOKIE6 : GUE_COOKIE4;
		gue->cookie[0] = t->cookie;
		gue->cookie[1] = t->cookie >> 32;
	} else {
		gue->word = v6 ? GUE_DATA6 : GUE_DATA4;
	}
	return 0;
}

// find_way looks up the kernel's route for an outer packet of the given length. It stores the
// interface and the MTU in way, and on success also the hardware addresses.
static __noinline long find_way(struct __sk_buff *ctx, const struct tunnel *t, struct way *way, __u32 length, int egress)
{
	struct bpf_fib_lookup fib = {};
	long route;

	fib.ifindex = LOOPBACK;
	fib.l4_protocol = IPPROTO_UDP;
	fib.sport = t->local_port;
	fib.dport = t->remote_port;
	fib.len_mtu = length;
	if (t->family6) {
		fib.family = AF_INET6;
		fib.tos_flow = bpf_htonl((__u32)way->tos << 20);
		__builtin_memcpy(fib.src, t->local.bytes, 16);
		__builtin_memcpy(fib.dst, t->remote.bytes, 16);
	} else {
		fib.family = AF_INET;
		fib.tos_flow = way->tos;
		fib.src[0] = mapped(&t->local);
		fib.dst[0] = mapped(&t->remote);
	}
	way->validity.generation = 0;
	route = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	if (unlikely(route == BPF_FIB_LKUP_RET_FWD_DISABLED)) {
		// On a host that does not forward, only a lookup for one interface is possible.
		fib.ifindex = egress ? ctx->ifindex : uplink;
		fib.len_mtu = length;
		route = bpf_fib_lookup(ctx, &fib, sizeof(fib), BPF_FIB_LOOKUP_OUTPUT);
	}
	way->ifindex = fib.ifindex;
	way->mtu = fib.len_mtu;
	if (likely(route == BPF_FIB_LKUP_RET_SUCCESS)) {
		__builtin_memcpy(way->smac, fib.smac, ETH_ALEN);
		__builtin_memcpy(way->dmac, fib.dmac, ETH_ALEN);
	}
	return route;
}

// know_way reports whether way is valid for a packet of the tunnel. If not, it fills in the
// input of find_way.
static __always_inline int know_way(struct __sk_buff *ctx, struct way *way, __u32 id, __u8 tos, const struct moment *m)
{
	__u32 from = ctx->ifindex;

	if (likely(holds_for(&way->validity, m, id, WAY_LASTS) && way->tos == tos && way->from == from))
		return 1;
	way->tos = tos;
	way->from = from;
	return 0;
}

// encapsulate sends a packet into a tunnel. It looks up the next hop of the outer packet, which
// therefore bypasses the host's routing and netfilter.
static __always_inline int encapsulate(struct __sk_buff *ctx, struct packet *p, int v6, __u32 id, struct tunnel *t, const struct moment *m, int egress)
{
	struct way *way;
	__u32 slot = id & (ROUTE_CACHE - 1), overhead, mtu, segment, length, gso = ctx->gso_size, segments = ctx->gso_segs, part, target;
	void *data, *end;
	__u32 headers, cookie;
	__u64 flags, before;
	long route;

	if (unlikely(!t || !t->remote_port)) {
		int reason = t ? DROP_NO_REMOTE : DROP_NO_TUNNEL;

		if (egress)
			return dropped(ctx, p, id, reason, DIRECTION_OUT);
		return refused(ctx, p, v6, id, reason);
	}
	await_counters(t);

	length = ctx->len - sizeof(struct ethhdr);
	if (likely(!gso)) {
		if (unlikely(!is_whole(p, length)))
			return dropped(ctx, p, id, DROP_MALFORMED, DIRECTION_OUT);
		// Remove bytes that follow the packet in its frame.
		if (unlikely(p->total != length)) {
			length = p->total;
			if (bpf_skb_change_tail(ctx, sizeof(struct ethhdr) + length, 0))
				return dropped(ctx, p, id, DROP_INTERNAL, DIRECTION_OUT);
		}
	}
	segment = gso ? p->headers + gso : length;
	cookie = t->flags & TUNNEL_SENDS_COOKIE;
	headers = UDP_GUE_LEN + (cookie ? COOKIE_LEN : 0);
	overhead = (t->family6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)) + headers;
	mtu = t->mtu;

	way = bpf_map_lookup_elem(&route_cache, &slot);
	if (unlikely(!way))
		return dropped(ctx, p, id, DROP_INTERNAL, DIRECTION_OUT);
	if (likely(know_way(ctx, way, id, p->tos, m))) {
		route = BPF_FIB_LKUP_RET_SUCCESS;
	} else {
		route = find_way(ctx, t, way, segment + overhead, egress);
		if (likely(route == BPF_FIB_LKUP_RET_SUCCESS))
			validate(&way->validity, m, id);
	}
	switch (route) {
	case BPF_FIB_LKUP_RET_SUCCESS:
	case BPF_FIB_LKUP_RET_NO_NEIGH:
	case BPF_FIB_LKUP_RET_UNSUPP_LWT:
	case BPF_FIB_LKUP_RET_FRAG_NEEDED:
		break;
	default:
		if (egress)
			return dropped(ctx, p, id, DROP_NO_ROUTE, DIRECTION_OUT);
		return refused(ctx, p, v6, id, DROP_NO_ROUTE);
	}
	// The path MTU to the far end may be smaller than the MTU of the interface. Kernels
	// before 5.12 do not return it.
	if (route != BPF_FIB_LKUP_RET_NO_NEIGH && route != BPF_FIB_LKUP_RET_UNSUPP_LWT &&
	    way->mtu > overhead && way->mtu - overhead < mtu)
		mtu = way->mtu - overhead;
	if (unlikely(p->tcp_flags & TCP_SYN) && p->protocol == IPPROTO_TCP) {
		__u32 headers = v6 ? 60 : 40;

		if (clamp_mss(ctx, sizeof(struct ethhdr) + p->l4, mtu - headers))
			return dropped(ctx, p, id, DROP_INTERNAL, DIRECTION_OUT);
	}
	if (unlikely(segment > mtu || route == BPF_FIB_LKUP_RET_FRAG_NEEDED)) {
		if (is_part(ctx)) {
			part = ctx->tc_index - PART;
			ctx->tc_index = 0;
		} else {
			part = may_cut(ctx, p, v6, mtu) ? cut_up(ctx, p, v6, mtu, egress) : 0;
			if (!part) {
				dropped(ctx, p, id, DROP_TOO_BIG, DIRECTION_OUT);
				if (too_big(ctx, p, v6, mtu))
					return TC_ACT_SHOT;
				return bpf_redirect(ctx->ifindex, egress ? BPF_F_INGRESS : 0);
			}
			if (!egress)
				return TC_ACT_SHOT; // the parts have been queued
		}
		if (cut(ctx, v6, mtu, part))
			return dropped(ctx, p, id, DROP_INTERNAL, DIRECTION_OUT);
		length = ctx->len - sizeof(struct ethhdr);
		// The first lookup was for the whole packet.
		route = find_way(ctx, t, way, length + overhead, egress);
		if (route != BPF_FIB_LKUP_RET_SUCCESS && route != BPF_FIB_LKUP_RET_NO_NEIGH && route != BPF_FIB_LKUP_RET_UNSUPP_LWT)
			return dropped(ctx, p, id, DROP_NO_ROUTE, DIRECTION_OUT);
	}
	flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L4_UDP |
		(t->family6 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV4);
	if (unlikely(bpf_skb_adjust_room(ctx, overhead, BPF_ADJ_ROOM_MAC, flags)))
		return dropped(ctx, p, id, DROP_INTERNAL, DIRECTION_OUT);
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (t->family6) {
		struct ipv6hdr *ip = data + sizeof(struct ethhdr);

		if (unlikely((void *)(ip + 1) + UDP_GUE_LEN > end))
			return dropped(ctx, p, id, DROP_INTERNAL, DIRECTION_OUT);
		write_macs(data, way, bpf_htons(ETH_P_IPV6));
		write_ip6(ip, t, p->tos, ctx->hash & 0xfffff, bpf_htons(limit16(length + headers)));
		if (write_gue(ip + 1, end, t, id, length, v6, cookie))
			return dropped(ctx, p, id, DROP_INTERNAL, DIRECTION_OUT);
	} else {
		struct iphdr *ip = data + sizeof(struct ethhdr);

		if (unlikely((void *)(ip + 1) + UDP_GUE_LEN > end))
			return dropped(ctx, p, id, DROP_INTERNAL, DIRECTION_OUT);
		write_macs(data, way, bpf_htons(ETH_P_IP));
		write_ip4(ip, t, p->tos, bpf_htons(limit16(length + overhead)));
		if (write_gue(ip + 1, end, t, id, length, v6, cookie))
			return dropped(ctx, p, id, DROP_INTERNAL, DIRECTION_OUT);
	}

	if (segments > 1)
		before = count_sent(t, segments, length + (segments - 1) * p->headers);
	else
		before = count_sent(t, 1, length);
	if (unlikely(traces))
		trace_sent(p, t, id, length, way->ifindex);
	target = way->ifindex;
	if (unlikely(route != BPF_FIB_LKUP_RET_SUCCESS || before % NEIGHBOUR_EVERY == 0)) {
		if (egress)
			ctx->tc_index = ENCAPSULATED;
		return bpf_redirect_neigh(target, 0, 0, 0);
	}
	if (egress && target == ctx->ifindex)
		return TC_ACT_UNSPEC; // already on its way out of that interface
	if (egress)
		ctx->tc_index = ENCAPSULATED;
	return bpf_redirect(target, 0);
}

// look_gateway and look_client return one of these bits with a value in the lower 32 bits, or
// none of them and a verdict:
//   INTO: the packet goes into this tunnel.
//   ELSEWHERE: the packet is not for an endpoint; the value is the reason to drop it anyway,
//   or zero.
//   LEAVES: the packet opens a connection to an endpoint of this tunnel that is leaving.
//   TAKEN: the packet is for this tunnel, but its flow belongs to another pod.
#define INTO (1LL << 32)
#define ELSEWHERE (1LL << 33)
#define LEAVES (1LL << 34)
#define TAKEN (1LL << 35)
#define VERDICT(v) ((long)(__u32)(v))

// look_gateway returns the tunnel for a packet that a proxy sends, or what else to do with it.
// flags is the result of parsing the packet, shifted left, with the family in the lowest bit.
static __noinline long look_gateway(struct __sk_buff *ctx, struct packet *p, struct sending *known, const struct moment *m, __u32 flags)
{
	__u32 ifindex = ctx->ifindex, v6 = flags & 1, tunnel;
	struct endpoint key;
	int result = flags >> 1;
	struct service *s;
	struct tunnel *t;

	looking(&known->validity.generation);
	if (unlikely(result))
		p->kind = KIND_ADDRESS;
	if (p->kind == KIND_ICMP_UNMATCHED)
		p->kind = KIND_ADDRESS, result = DROP_ICMP_UNMATCHED;
	endpoint_of(&key, p, ifindex | after(m));
	s = bpf_map_lookup_elem(&services, &key);
	if (!s)
		return ELSEWHERE | result;
	if (unlikely(v6 ? !same_address(&s->source6, &p->flow.destination) :
			  s->source4 != mapped(&p->flow.destination)))
		return VERDICT(dropped(ctx, p, s->tunnel, DROP_WRONG_PEER, DIRECTION_OUT));
	if (unlikely(p->kind != KIND_PORTS) && !result && !crosses(p, v6, 1))
		result = DROP_PROTOCOL;
	if (unlikely(s->flags & SERVICE_LEAVING) && !result && opens_tcp(p))
		return LEAVES | s->tunnel;
	if (unlikely(result))
		return VERDICT(dropped(ctx, p, s->tunnel, result, DIRECTION_OUT));
	if (unlikely(ctx->pkt_type == PACKET_MULTICAST))
		return VERDICT(dropped(ctx, p, s->tunnel, DROP_FRAME, DIRECTION_OUT));
	if (unlikely(s->flags & SERVICE_SHARED) && p->kind != KIND_FRAGMENT && p->kind != KIND_ICMP_ERROR &&
	    !note_flow(p, s->tunnel, ifindex, flow_time(m)))
		return TAKEN | s->tunnel;
	if (unlikely(p->first))
		note_first(p, ifindex, s->tunnel, ifindex);
	else if (unlikely(p->kind == KIND_FRAGMENT) && rest_goes(p, ifindex, s->tunnel) < 0)
		return VERDICT(dropped(ctx, p, s->tunnel, DROP_FRAGMENT_UNMATCHED, DIRECTION_OUT));
	tunnel = s->tunnel;
	t = bpf_map_lookup_elem(&tunnels, &tunnel);
	if (likely(t && is_remembered(p) && !(s->flags & (SERVICE_SHARED | SERVICE_LEAVING))))
		remember_sending(known, p, ifindex, tunnel, t, m);
	return INTO | tunnel;
}

// encap_gateway handles a packet that a proxy sends.
static __always_inline int encap_gateway(struct __sk_buff *ctx, int v6)
{
	struct moment moment = this_moment();
	struct packet p = {};
	struct sending *known;
	struct tunnel *t;
	long found;
	__u32 tunnel;
	int result = parse(ctx, sizeof(struct ethhdr), &p, v6, 1);

	known = sending_of(&p);
	if (unlikely(!known))
		return dropped(ctx, &p, 0, DROP_INTERNAL, DIRECTION_OUT);
	if (likely(!result && is_remembered(&p) && is_sending(known, &p, ctx->ifindex, &moment) && ctx->pkt_type != PACKET_MULTICAST)) {
		tunnel = known->validity.tunnel;
		t = &known->tunnel;
	} else {
		found = look_gateway(ctx, &p, known, &moment, !!v6 | result << 1);
		if (found & ELSEWHERE) {
			// Called here because look_gateway leaves too little stack.
			result = found;
			if (likely(!result))
				result = answers(ctx, &p, v6);
			if (likely(!result || lenient))
				return TC_ACT_UNSPEC;
			if (result == DROP_NOT_AN_ANSWER || result == DROP_NOT_REGISTERED)
				return refused(ctx, &p, v6, 0, result);
			return dropped(ctx, &p, 0, result, DIRECTION_OUT);
		}
		if (unlikely(found & (LEAVES | TAKEN)))
			return refused(ctx, &p, v6, found, found & LEAVES ? DROP_NOT_REGISTERED : DROP_PORT_TAKEN);
		if (!(found & INTO))
			return found;
		tunnel = found;
		t = holds(&known->validity, &moment, tunnel) ? &known->tunnel : bpf_map_lookup_elem(&tunnels, &tunnel);
	}
	return encapsulate(ctx, &p, v6, tunnel, t, &moment, 0);
}

// reply_of makes the key of the tunnel for a reply.
static __always_inline void reply_of(struct flow *f, const struct packet *p, int port)
{
	f->source = p->flow.source;
	f->destination = p->flow.destination;
	f->source_port = port ? p->flow.source_port : 0;
	f->destination_port = 0;
	f->protocol = port ? p->flow.protocol : 0;
	f->pad[0] = f->pad[1] = f->pad[2] = 0;
}

// outside passes a packet that, judging by its port, no endpoint sends to its proxy. If it is
// the first fragment of a packet from an endpoint's address, the later fragments must pass as
// well.
static __always_inline int outside(const struct packet *p)
{
	struct fragments fragments;
	struct fragment_path rest = {};
	struct flow key;

	if (likely(!p->first))
		return TC_ACT_UNSPEC;
	reply_of(&key, p, 0);
	if (bpf_map_lookup_elem(&replies, &key)) {
		fragments_of(&fragments, p, 0);
		bpf_map_update_elem(&fragmented, &fragments, &rest, BPF_ANY);
	}
	return TC_ACT_UNSPEC;
}

// is_receiver reports whether an endpoint may be sending to the destination of a packet,
// judging by a hash of the address. The node program sets the bits before it adds the entries
// of replies.
static __always_inline int is_receiver(struct __sk_buff *ctx, int v6)
{
	void *l3 = (void *)(long)ctx->data + sizeof(struct ethhdr), *end = (void *)(long)ctx->data_end;
	__u32 hash;

	if (v6) {
		struct ipv6hdr *ip = l3;

		if ((void *)(ip + 1) > end)
			return 1;
		hash = ip->daddr[0] ^ ip->daddr[1] ^ ip->daddr[2] ^ ip->daddr[3];
	} else {
		struct iphdr *ip = l3;

		if ((void *)(ip + 1) > end)
			return 1;
		hash = ip->daddr;
	}
	hash = hash * 0x9e3779b1 >> 16;
	return receivers[hash / 64] >> (hash & 63) & 1;
}

// look_client returns the tunnel for a packet that leaves a client node, or what else to do
// with it.
static __noinline long look_client(struct __sk_buff *ctx, struct packet *p, struct sending *known, const struct moment *m, __u32 flags)
{
	__u32 v6 = flags & 1, tunnel;
	struct fragments fragments;
	struct fragment_path *rest;
	int result = flags >> 1;
	struct tunnel *t;
	struct reply *reply;
	struct path *path;
	struct flow key;

	looking(&known->validity.generation);
	if (unlikely(result))
		p->kind = KIND_ADDRESS;
	reply_of(&key, p, has_port(p));
	key.destination_port = after(m);
	reply = bpf_map_lookup_elem(&replies, &key);
	if (likely(!reply))
		return VERDICT(outside(p));
	if (unlikely(p->kind == KIND_ICMP_UNMATCHED))
		result = DROP_ICMP_UNMATCHED;
	if (unlikely(p->kind != KIND_PORTS) && !result) {
		if (p->kind == KIND_ADDRESS && p->icmp == (v6 ? 128 : 8) && p->protocol == (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
			return VERDICT(outside(p)); // a ping of the public address
		if (!crosses(p, v6, 0))
			result = DROP_PROTOCOL;
	}
	tunnel = reply->tunnel;
	if (unlikely(result))
		return VERDICT(dropped(ctx, p, tunnel, result, DIRECTION_OUT));
	if (unlikely(p->kind == KIND_FRAGMENT)) {
		fragments_of(&fragments, p, 0);
		rest = bpf_map_lookup_elem(&fragmented, &fragments);
		if (!rest)
			return VERDICT(dropped(ctx, p, tunnel, DROP_FRAGMENT_UNMATCHED, DIRECTION_OUT));
		if (!rest->tunnel)
			return VERDICT(TC_ACT_UNSPEC);
		tunnel = rest->tunnel;
	} else if (unlikely(reply->flags & REPLY_SHARED)) {
		path = bpf_map_lookup_elem(&flows, &p->flow);
		if (path) {
			tunnel = path->tunnel;
			answer_flow(path, p, flow_time(m));
		}
	}
	if (unlikely(!tunnel))
		return VERDICT(dropped(ctx, p, 0, DROP_NOT_REGISTERED, DIRECTION_OUT));
	if (unlikely(p->first)) {
		struct fragment_path rest = {.tunnel = tunnel};

		fragments_of(&fragments, p, 0);
		bpf_map_update_elem(&fragmented, &fragments, &rest, BPF_ANY);
	}
	t = bpf_map_lookup_elem(&tunnels, &tunnel);
	if (likely(t && is_remembered(p) && !(reply->flags & REPLY_SHARED)))
		remember_sending(known, p, 0, tunnel, t, m);
	return INTO | tunnel;
}

// guard_client handles all packets that leave a client node after encap_client, which lets no
// packet pass that belongs in a tunnel. If encap_client was removed, such packets are dropped
// here.
static __always_inline int guard_client(struct __sk_buff *ctx, int v6)
{
	struct moment moment;
	struct packet p = {};
	struct sending *known;
	long found;
	int result;

	if (likely(!is_receiver(ctx, v6)))
		return TC_ACT_UNSPEC;
	moment = this_moment();
	result = parse(ctx, sizeof(struct ethhdr), &p, v6, 0);
	known = sending_of(&p);
	if (unlikely(!known))
		return dropped(ctx, &p, 0, DROP_INTERNAL, DIRECTION_OUT);
	found = look_client(ctx, &p, known, &moment, !!v6 | result << 1);
	if (found & INTO)
		return dropped(ctx, &p, found, DROP_BYPASSED, DIRECTION_OUT);
	return found;
}

// encap_client handles all packets that leave a client node. Packets that an endpoint sends to
// its proxy go into a tunnel or are dropped, even if flows or fragments were evicted.
static __always_inline int encap_client(struct __sk_buff *ctx, int v6)
{
	struct moment moment;
	struct packet p = {};
	struct sending *known;
	struct tunnel *t;
	long found;
	__u32 tunnel;
	int result;

	if (likely(!is_receiver(ctx, v6)))
		return TC_ACT_UNSPEC;
	moment = this_moment();
	result = parse(ctx, sizeof(struct ethhdr), &p, v6, 0);
	known = sending_of(&p);
	if (unlikely(!known))
		return dropped(ctx, &p, 0, DROP_INTERNAL, DIRECTION_OUT);
	if (likely(!result && is_remembered(&p) && is_sending(known, &p, 0, &moment))) {
		tunnel = known->validity.tunnel;
		t = &known->tunnel;
	} else {
		found = look_client(ctx, &p, known, &moment, !!v6 | result << 1);
		if (!(found & INTO))
			return found;
		tunnel = found;
		t = holds(&known->validity, &moment, tunnel) ? &known->tunnel : bpf_map_lookup_elem(&tunnels, &tunnel);
	}
	return encapsulate(ctx, &p, v6, tunnel, t, &moment, 1);
}
