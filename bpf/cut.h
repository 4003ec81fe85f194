// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Cutting inner packets that would not fit into the tunnel and may be fragmented. A
// program can't make several packets of one, so each part is cut out of a copy of its
// own, which comes by the same program once more.
#pragma once

#include "reply.h"

// Marks such a copy. The lowest bits are the number of the part that it becomes.
#define PART 0xe940
#define PARTS 16

struct fragment6 {
	__u8 nexthdr;
	__u8 reserved;
	__be16 offset; // and in the lowest bit, whether more follow
	__be32 id;
};

static __always_inline int is_part(struct __sk_buff *ctx)
{
	return (ctx->tc_index & ~(PARTS - 1)) == PART;
}

// part_size is the payload of all parts but the last, which is shorter.
static __always_inline __u32 part_size(int v6, __u32 mtu)
{
	return (mtu - (v6 ? sizeof(struct ipv6hdr) + sizeof(struct fragment6) : sizeof(struct iphdr))) & ~7;
}

// is_fragment6 reports whether a fragment header follows an IPv6 header at once.
static __always_inline int is_fragment6(struct __sk_buff *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ipv6hdr *ip = data + sizeof(struct ethhdr);

	return (void *)(ip + 1) <= end && ip->nexthdr == IPPROTO_FRAGMENT;
}

// was_fragmented reports whether an IPv6 packet, which only its sender may fragment, was
// fragmented by its sender and put together by this host, as a bridge with netfilter
// does it. Telling the sender would be useless then, because it knows. The kernel keeps
// the first fragment's bytes apart from the others', so one can be recognized: it
// is a multiple of eight bytes, as long as one of a sender that has heard of a small
// MTU, of which 1280 is the smallest.
static __always_inline int was_fragmented(struct __sk_buff *ctx, __u32 mtu)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 front = end - data, part;

	if (front >= ctx->len || front < sizeof(struct ethhdr) + sizeof(struct ipv6hdr))
		return 0;
	part = front - sizeof(struct ethhdr) - sizeof(struct ipv6hdr);
	return !(part & 7) && part <= part_size(1, mtu < IPV6_MIN_MTU ? IPV6_MIN_MTU : mtu) && part >= part_size(1, IPV6_MIN_MTU);
}

// may_cut reports whether a packet may be fragmented on the way.
static __always_inline int may_cut(struct __sk_buff *ctx, const struct packet *p, int v6, __u32 mtu)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);

	if (ctx->gso_size)
		return 0;
	if (v6) {
		if (mtu < IPV6_MIN_MTU && ctx->len <= sizeof(struct ethhdr) + IPV6_MIN_MTU)
			return p->l4 == sizeof(struct ipv6hdr) ||
			       (p->l4 == sizeof(struct ipv6hdr) + sizeof(struct fragment6) && is_fragment6(ctx));
		return p->l4 == sizeof(struct ipv6hdr) && was_fragmented(ctx, mtu);
	}
	// Options would have to be looked at one by one.
	return (void *)(ip + 1) <= end && ip->version_ihl == 0x45 && !(ip->frag_off & bpf_htons(IP_DF));
}

// The longest frame of which parts are made, a bound for the verifier. It is that of the
// largest usual MTU; what is longer, the kernel has fragmented before.
#define WHOLE 9216

// As much as bpf_csum_diff takes at once.
#define BLOCK 512

// sum_bytes adds up the bytes of a packet from an offset on.
__noinline int sum_bytes(struct __sk_buff *ctx, __u32 from, __u32 length)
{
	__u32 rest[4] = {};
	void *data, *end;
	__s64 sum = 0;

	if (bpf_skb_pull_data(ctx, from + length))
		return 0;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
#pragma clang loop unroll(disable)
	for (int i = 0; i < WHOLE / BLOCK && length >= BLOCK; i++) {
		if (from > WHOLE || data + from + BLOCK > end)
			return 0;
		sum = bpf_csum_diff(0, 0, data + from, BLOCK, sum);
		from += BLOCK;
		length -= BLOCK;
	}
#pragma clang loop unroll(disable)
	for (int i = 0; i < BLOCK / sizeof(rest) && length >= sizeof(rest); i++) {
		if (from > WHOLE || data + from + sizeof(rest) > end)
			return 0;
		sum = bpf_csum_diff(0, 0, data + from, sizeof(rest), sum);
		from += sizeof(rest);
		length -= sizeof(rest);
	}
	length &= sizeof(rest) - 1;
	if (length && bpf_skb_load_bytes(ctx, from, rest, length))
		return 0;
	return bpf_csum_diff(0, 0, rest, sizeof(rest), sum);
}

// complete fills in the transport's checksum if the sender has left that to the
// network card: then the checksum of the pseudo header is there.
__noinline int complete(struct __sk_buff *ctx, const struct packet *p, __u32 v6)
{
	const __u32 l3 = sizeof(struct ethhdr);
	__be32 pseudo[10] = {};
	__u32 at, length;
	__sum16 check;
	__s64 sum;

	if (!p)
		return -1;
	if (p->kind != KIND_PORTS || p->first || p->total <= p->l4)
		return 0;
	length = p->total - p->l4;
	at = l3 + p->l4 + (p->protocol == IPPROTO_TCP ? __builtin_offsetof(struct tcphdr, check) : __builtin_offsetof(struct udphdr, check));
	if (bpf_skb_load_bytes(ctx, at, &check, sizeof(check)))
		return -1;
	if (!check)
		return 0; // UDP without
	if (v6 ? bpf_skb_load_bytes(ctx, l3 + __builtin_offsetof(struct ipv6hdr, saddr), pseudo, 32) :
		 bpf_skb_load_bytes(ctx, l3 + __builtin_offsetof(struct iphdr, saddr), pseudo, 8))
		return -1;
	pseudo[8] = bpf_htonl(length);
	pseudo[9] = bpf_htonl(p->protocol);
	sum = bpf_csum_diff(0, 0, pseudo, sizeof(pseudo), 0);
	if (check != (__sum16)~fold(sum))
		return 0;
	// The one that is there stands for the pseudo header's.
	check = fold((__u32)sum_bytes(ctx, l3 + p->l4, length));
	if (!check)
		check = 0xffff;
	return bpf_skb_store_bytes(ctx, at, &check, sizeof(check), 0);
}

// bpf_skb_adjust_room takes off less than 4 KiB.
#define CUT_AT_ONCE 4088

// cut makes a packet one of its parts. It returns a value other than zero if there is
// no such part.
__noinline int cut(struct __sk_buff *ctx, __u32 v6, __u32 mtu, __u32 part)
{
	const __u32 l3 = sizeof(struct ethhdr), l4 = l3 + (v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
	__u32 size = part_size(v6, mtu), from = part * size, payload, begin;
	struct fragment6 fragment = {}, had = {};
	struct ipv6hdr ip6;
	struct iphdr ip;
	__u8 front[64];
	int more;

	if (v6) {
		if (bpf_skb_load_bytes(ctx, l3, &ip6, sizeof(ip6)))
			return -1;
		payload = bpf_ntohs(ip6.payload_len);
		if (ip6.nexthdr == IPPROTO_FRAGMENT) {
			// It is a fragment already. Its parts take its place.
			if (payload < sizeof(had) || bpf_skb_load_bytes(ctx, l4, &had, sizeof(had)) ||
			    bpf_skb_adjust_room(ctx, -(__s32)sizeof(had), BPF_ADJ_ROOM_NET, 0))
				return -1;
			payload -= sizeof(had);
			ip6.nexthdr = had.nexthdr;
		} else {
			had.id = ctx->cb[0];
		}
	} else {
		if (bpf_skb_load_bytes(ctx, l3, &ip, sizeof(ip)))
			return -1;
		payload = bpf_ntohs(ip.tot_len) - sizeof(ip);
	}
	if (payload > ctx->len - l4 || from >= payload)
		return -1;
	payload -= from;
	more = payload > size;
	if (more)
		payload = size;
	if (bpf_skb_change_tail(ctx, l4 + from + payload, 0))
		return -1;
	// What is taken off includes the transport's header, so the kernel no longer
	// wants a checksum filled in there. The first part gets it back.
	begin = from ? from : sizeof(front);
	if (!from && bpf_skb_load_bytes(ctx, l4, front, sizeof(front)))
		return -1;
#pragma clang loop unroll(disable)
	for (int i = 0; i < WHOLE / CUT_AT_ONCE + 1 && begin; i++) {
		__s32 step = begin < CUT_AT_ONCE ? begin : CUT_AT_ONCE;

		if (bpf_skb_adjust_room(ctx, -step, BPF_ADJ_ROOM_NET, 0))
			return -1;
		begin -= step;
	}
	begin = (from ? 0 : sizeof(front)) + (v6 ? sizeof(fragment) : 0);
	if (begin && bpf_skb_adjust_room(ctx, begin, BPF_ADJ_ROOM_NET, 0))
		return -1;
	if (v6) {
		fragment.nexthdr = ip6.nexthdr;
		fragment.offset = bpf_htons((bpf_ntohs(had.offset) + from) | !!more);
		fragment.id = had.id;
		ip6.nexthdr = IPPROTO_FRAGMENT;
		ip6.payload_len = bpf_htons(payload + sizeof(fragment));
		if (bpf_skb_store_bytes(ctx, l3, &ip6, sizeof(ip6), 0) ||
		    bpf_skb_store_bytes(ctx, l4, &fragment, sizeof(fragment), 0))
			return -1;
	} else {
		ip.tot_len = bpf_htons(sizeof(ip) + payload);
		// It may have been a fragment before.
		ip.frag_off = bpf_htons(bpf_ntohs(ip.frag_off) + (from >> 3)) | (more ? bpf_htons(IP_MF) : 0);
		checksum4(&ip);
		if (bpf_skb_store_bytes(ctx, l3, &ip, sizeof(ip), 0))
			return -1;
	}
	if (!from)
		return bpf_skb_store_bytes(ctx, l4 + (v6 ? sizeof(fragment) : 0), front, sizeof(front), 0);
	return 0;
}

// NO_ROOM is what a copy returns that the kernel did not take because a queue was full,
// or that the program it came by dropped. Both are counted there.
#define NO_ROOM -105 // -ENOBUFS

// cut_up has the parts of a packet come by as copies, in their order. It returns zero if
// there are too many of them. Otherwise it returns the number of the last one, which the
// packet itself is to become on its way out: a sender that has fragmented a packet stops
// sending at the first fragment of which it hears that it was dropped. On the way in
// nobody hears of it, and parts wait in a queue which the packet itself would overtake,
// so all of them are copies there.
__noinline int cut_up(struct __sk_buff *ctx, const struct packet *p, __u32 v6, __u32 mtu, __u32 egress)
{
	__u32 size = part_size(v6, mtu), payload, last;
	long result;

	if (!p)
		return 0;
	payload = ctx->len - sizeof(struct ethhdr) - (v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
	if (v6 && is_fragment6(ctx))
		payload -= sizeof(struct fragment6);
	if (ctx->len > WHOLE || !size || payload <= size || payload > PARTS * size || complete(ctx, p, v6))
		return 0;
	last = (payload - 1) / size;
	// All have the same identification: of IPv6 fragments this one.
	ctx->cb[0] = bpf_get_prandom_u32();
#pragma clang loop unroll(disable)
	for (__u32 part = 0; part < PARTS; part++) {
		if (part == last + !egress)
			break;
		ctx->tc_index = PART + part;
		result = bpf_clone_redirect(ctx, ctx->ifindex, egress ? 0 : BPF_F_INGRESS);
		if (unlikely(result && (!egress || result != NO_ROOM)))
			count_drop(DROP_INTERNAL);
	}
	ctx->tc_index = 0;
	return last;
}
