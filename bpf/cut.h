// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Fragmenting inner packets that do not fit into the tunnel and may be fragmented. A program
// can't create several packets from one, so each part is cut out of a copy of the packet, which
// passes through the same program again.
#pragma once

#include "reply.h"

// Marks such a copy in tc_index. The lowest bits are the number of the part that it becomes.
#define PART 0xe940
#define PARTS 16

struct fragment6 {
	__u8 nexthdr;
	__u8 reserved;
	__be16 offset; // the lowest bit is set if more follow
	__be32 id;
};

static __always_inline int is_part(struct __sk_buff *ctx)
{
	return (ctx->tc_index & ~(PARTS - 1)) == PART;
}

// part_size returns the payload size of every part but the last, which may be shorter.
static __always_inline __u32 part_size(int v6, __u32 mtu)
{
	return (mtu - (v6 ? sizeof(struct ipv6hdr) + sizeof(struct fragment6) : sizeof(struct iphdr))) & ~7;
}

// is_fragment6 reports whether a fragment header immediately follows the IPv6 header.
static __always_inline int is_fragment6(struct __sk_buff *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ipv6hdr *ip = data + sizeof(struct ethhdr);

	return (void *)(ip + 1) <= end && ip->nexthdr == IPPROTO_FRAGMENT;
}

// was_fragmented reports whether an IPv6 packet was fragmented by its sender and reassembled by
// this host, as a bridge with netfilter does. Only the sender may fragment an IPv6 packet, but
// an error would be useless here because the sender already knows. The kernel keeps the bytes
// of the first fragment separate from the rest, so such a packet can be recognized: their
// number is a multiple of eight, and fits a sender that knows of a smaller MTU, which is 1280
// or more.
static __always_inline int was_fragmented(struct __sk_buff *ctx, __u32 mtu)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 front = end - data, part;

	if (front >= ctx->len || front < sizeof(struct ethhdr) + sizeof(struct ipv6hdr))
		return 0;
	part = front - sizeof(struct ethhdr) - sizeof(struct ipv6hdr);
	return !(part & 7) && part <= part_size(1, mtu < IPV6_MIN_MTU ? IPV6_MIN_MTU : mtu) && part >= part_size(1, IPV6_MIN_MTU);
}

// may_cut reports whether a packet may be fragmented on the path.
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
	// IP options would have to be examined one by one.
	return (void *)(ip + 1) <= end && ip->version_ihl == 0x45 && !(ip->frag_off & bpf_htons(IP_DF));
}

// The longest frame that is fragmented; it is also a bound for the verifier. It allows for the
// largest common MTU. The kernel has already fragmented anything longer.
#define WHOLE 9216

// The most that bpf_csum_diff processes in one call.
#define BLOCK 512

// sum_bytes adds up length bytes of a packet from an offset, as bpf_csum_diff does.
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

// complete fills in the transport checksum if the sender left it to the network card. In this
// case, the field contains the checksum of the pseudo header.
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
		return 0; // UDP without a checksum
	if (v6 ? bpf_skb_load_bytes(ctx, l3 + __builtin_offsetof(struct ipv6hdr, saddr), pseudo, 32) :
		 bpf_skb_load_bytes(ctx, l3 + __builtin_offsetof(struct iphdr, saddr), pseudo, 8))
		return -1;
	pseudo[8] = bpf_htonl(length);
	pseudo[9] = bpf_htonl(p->protocol);
	sum = bpf_csum_diff(0, 0, pseudo, sizeof(pseudo), 0);
	if (check != (__sum16)~fold(sum))
		return 0;
	// The pseudo header is included because its checksum is in the field.
	check = fold((__u32)sum_bytes(ctx, l3 + p->l4, length));
	if (!check)
		check = 0xffff;
	return bpf_skb_store_bytes(ctx, at, &check, sizeof(check), 0);
}

// bpf_skb_adjust_room removes less than 4 KiB at a time.
#define CUT_AT_ONCE 4088

// cut turns a packet into one of its parts. It returns nonzero if there is no such part.
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
			// The packet is already a fragment. Its parts replace it.
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
	// Removing the transport header makes the kernel forget that a checksum has to be
	// filled in there. The header is restored in the first part.
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
		// The packet may already be a fragment.
		ip.frag_off = bpf_htons(bpf_ntohs(ip.frag_off) + (from >> 3)) | (more ? bpf_htons(IP_MF) : 0);
		checksum4(&ip);
		if (bpf_skb_store_bytes(ctx, l3, &ip, sizeof(ip), 0))
			return -1;
	}
	if (!from)
		return bpf_skb_store_bytes(ctx, l4 + (v6 ? sizeof(fragment) : 0), front, sizeof(front), 0);
	return 0;
}

// NO_ROOM is the result for a copy that the kernel rejected because a queue was full, or that
// was dropped by the program it passed through. Both are counted there.
#define NO_ROOM -105 // -ENOBUFS

// cut_up sends the parts of a packet through the program again as copies, in order. It returns
// zero if there would be too many. Otherwise it returns the number of the last part. On egress,
// the packet itself must become that part: a sender that fragments a packet stops sending as
// soon as one of its fragments is reported as dropped. On ingress, nothing is reported to the
// sender, and the parts wait in a queue that the packet itself would overtake, so all parts are
// copies.
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
	// All parts have the same identification; this one is for IPv6.
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
