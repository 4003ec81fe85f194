// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Responses to inner packets that do not fit into the tunnel or have no tunnel: errors to the
// sender, and resets of TCP connections. The MSS of TCP is lowered in advance.
#pragma once

#include "count.h"

static __always_inline __sum16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline void checksum4(struct iphdr *ip)
{
	__u16 *words = (__u16 *)ip;
	__u64 sum = 0;

	ip->check = 0;
#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += words[i];
	ip->check = fold(sum);
}

// How much of the packet the error quotes, which is the most that bpf_csum_diff processes in
// one call. RFC 1812 limits errors to 576 bytes, RFC 4443 to 1280.
#define QUOTED 512

// Every IPv6 link carries packets of this size. A sender never makes its packets smaller, even
// if it is told to, so they are fragmented before a narrower tunnel.
#define IPV6_MIN_MTU 1280

static __always_inline void swap_macs(struct ethhdr *eth)
{
	__u8 mac[ETH_ALEN];

	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);
}

// set_back makes room for an error's headers in front of a packet. The transport checksum of
// the packet may still be left to the kernel. Filling it in would invalidate the checksum of
// the error, which covers the quoted bytes. The kernel forgets about it when the bytes at which
// the checksum starts are removed, so they are removed and then restored.
static __always_inline int set_back(struct __sk_buff *ctx, __u32 added)
{
	__u8 front[80]; // Ethernet header and any IPv4 header

	if (bpf_skb_load_bytes(ctx, sizeof(struct ethhdr), front, sizeof(front)) ||
	    bpf_skb_adjust_room(ctx, -(__s32)sizeof(front), BPF_ADJ_ROOM_MAC, 0) ||
	    bpf_skb_adjust_room(ctx, added + sizeof(front), BPF_ADJ_ROOM_MAC, 0))
		return -1;
	return bpf_skb_store_bytes(ctx, sizeof(struct ethhdr) + added, front, sizeof(front), 0);
}

// quote truncates a packet to what an error quotes of it, and makes room for the error's
// headers in front of it. It returns the start of the frame, or zero if this fails.
static __always_inline void *quote(struct __sk_buff *ctx, __u32 added)
{
	void *data, *end;

	if (bpf_skb_change_tail(ctx, sizeof(struct ethhdr) + QUOTED, 0) || set_back(ctx, added))
		return 0;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	return data + sizeof(struct ethhdr) + added + QUOTED > end ? 0 : data;
}

__noinline int too_big4(struct __sk_buff *ctx, __u32 mtu)
{
	const __u32 added = sizeof(struct iphdr) + sizeof(struct icmphdr);
	struct icmphdr *icmp;
	struct iphdr *ip, *quoted;
	void *data;
	__s64 sum;

	data = quote(ctx, added);
	if (!data)
		return -1;
	ip = data + sizeof(struct ethhdr);
	icmp = (void *)(ip + 1);
	quoted = (void *)(icmp + 1);
	// Send the error to the source of the quoted packet, with its destination as source.
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->daddr = quoted->saddr;
	ip->saddr = quoted->daddr;
	ip->version_ihl = 0x45;
	ip->tos = 0xc0;
	ip->tot_len = bpf_htons(added + QUOTED);
	ip->ttl = 64;
	ip->protocol = IPPROTO_ICMP;
	checksum4(ip);
	__builtin_memset(icmp, 0, sizeof(*icmp));
	icmp->type = 3;
	icmp->code = 4;
	icmp->sequence = bpf_htons(mtu);
	sum = bpf_csum_diff(0, 0, icmp, sizeof(*icmp), 0);
	sum = bpf_csum_diff(0, 0, quoted, QUOTED, sum);
	icmp->checksum = fold(sum);
	swap_macs(data);
	return 0;
}

__noinline int too_big6(struct __sk_buff *ctx, __u32 mtu)
{
	const __u32 added = sizeof(struct ipv6hdr) + sizeof(struct icmphdr);
	struct icmphdr *icmp;
	struct ipv6hdr *ip, *quoted;
	void *data;
	__be32 pseudo[2];
	__s64 sum;

	data = quote(ctx, added);
	if (!data)
		return -1;
	ip = data + sizeof(struct ethhdr);
	icmp = (void *)(ip + 1);
	quoted = (void *)(icmp + 1);
	__builtin_memcpy(ip->daddr, quoted->saddr, sizeof(ip->daddr));
	__builtin_memcpy(ip->saddr, quoted->daddr, sizeof(ip->saddr));
	ip->flow = bpf_htonl(0x60000000);
	ip->payload_len = bpf_htons(sizeof(*icmp) + QUOTED);
	ip->nexthdr = IPPROTO_ICMPV6;
	ip->hop_limit = 64;
	__builtin_memset(icmp, 0, sizeof(*icmp));
	icmp->type = 2;
	// The sender could not use a smaller value: packets of up to this size are fragmented
	// before the tunnel.
	icmp->sequence = bpf_htons(mtu < IPV6_MIN_MTU ? IPV6_MIN_MTU : mtu);
	pseudo[0] = bpf_htonl(sizeof(*icmp) + QUOTED);
	pseudo[1] = bpf_htonl(IPPROTO_ICMPV6);
	sum = bpf_csum_diff(0, 0, pseudo, sizeof(pseudo), 0);
	sum = bpf_csum_diff(0, 0, ip->saddr, 32, sum);
	sum = bpf_csum_diff(0, 0, icmp, sizeof(*icmp), sum);
	sum = bpf_csum_diff(0, 0, quoted, QUOTED, sum);
	icmp->checksum = fold(sum);
	swap_macs(data);
	return 0;
}

// too_big turns a packet into an error to its sender. It returns zero if the packet can be sent
// back.
static __always_inline int too_big(struct __sk_buff *ctx, const struct packet *p, int v6, __u32 mtu)
{
	if (ctx->len < sizeof(struct ethhdr) + QUOTED)
		return -1;
	if (p->kind == KIND_ICMP_ERROR || p->kind == KIND_ICMP_UNMATCHED || p->kind == KIND_FRAGMENT)
		return -1;
	return v6 ? too_big6(ctx, mtu) : too_big4(ctx, mtu);
}

// refuse_segment turns the header of a segment that opens a TCP connection into the header of
// the reset that refuses it. The caller sets the length and the checksum.
static __always_inline void refuse_segment(struct tcphdr *h)
{
	__be16 source = h->source;

	h->source = h->dest;
	h->dest = source;
	h->ack_seq = bpf_htonl(bpf_ntohl(h->seq) + 1);
	h->seq = 0;
	h->flags = TCP_RST | TCP_ACK;
	h->window = 0;
	h->urg_ptr = 0;
}

// A refused segment is first extended to this size, so set_back can remove enough.
#define REFUSED_ROOM 128

// reset turns a TCP segment without IP options that opens a connection into the reset that
// refuses it. An ICMP error is not enough: Linux ignores one while the socket is in use, which
// it is when the segment has just been sent.
__noinline int reset(struct __sk_buff *ctx, __u32 v6)
{
	const __u32 length = sizeof(struct tcphdr);
	__u32 l4 = sizeof(struct ethhdr) + (v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
	void *data, *end;
	struct tcphdr h;
	__be32 pseudo[2];
	__s64 sum;

	if (bpf_skb_change_tail(ctx, sizeof(struct ethhdr) + REFUSED_ROOM, 0) || set_back(ctx, 0) ||
	    bpf_skb_change_tail(ctx, l4 + length, 0) || bpf_skb_load_bytes(ctx, l4, &h, sizeof(h)))
		return -1;
	refuse_segment(&h);
	h.doff = length / 4 << 4;
	h.check = 0;
	pseudo[0] = bpf_htonl(length);
	pseudo[1] = bpf_htonl(IPPROTO_TCP);
	sum = bpf_csum_diff(0, 0, pseudo, sizeof(pseudo), 0);
	sum = bpf_csum_diff(0, 0, (__be32 *)&h, sizeof(h), sum);
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (v6) {
		struct ipv6hdr *ip = data + sizeof(struct ethhdr);
		__be32 source[4];

		if ((void *)(ip + 1) > end)
			return -1;
		sum = bpf_csum_diff(0, 0, ip->saddr, 32, sum);
		__builtin_memcpy(source, ip->saddr, sizeof(source));
		__builtin_memcpy(ip->saddr, ip->daddr, sizeof(source));
		__builtin_memcpy(ip->daddr, source, sizeof(source));
		ip->flow = bpf_htonl(0x60000000);
		ip->payload_len = bpf_htons(length);
		ip->hop_limit = 64;
	} else {
		struct iphdr *ip = data + sizeof(struct ethhdr);
		__be32 source;

		if ((void *)(ip + 1) > end)
			return -1;
		sum = bpf_csum_diff(0, 0, &ip->saddr, 8, sum);
		source = ip->saddr;
		ip->saddr = ip->daddr;
		ip->daddr = source;
		ip->tos = 0;
		ip->tot_len = bpf_htons(sizeof(*ip) + length);
		ip->id = 0;
		ip->frag_off = bpf_htons(IP_DF);
		ip->ttl = 64;
		checksum4(ip);
	}
	swap_macs(data);
	h.check = fold(sum);
	return bpf_skb_store_bytes(ctx, l4, &h, sizeof(h), 0);
}

// is_refusable reports whether a packet is a segment that opens a TCP connection and may be
// refused with a reset.
static __always_inline int is_refusable(const struct packet *p, int v6)
{
	return p->kind == KIND_PORTS && opens_tcp(p) && !(p->tcp_flags & TCP_RST) && !p->first &&
	       p->l4 == (v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
}

// refused drops a packet that a proxy sends. If it opens a TCP connection, the proxy gets a
// reset, so it does not wait for a reply that will never arrive.
static __always_inline int refused(struct __sk_buff *ctx, const struct packet *p, int v6, __u32 tunnel, __u32 reason)
{
	dropped(ctx, p, tunnel, reason, DIRECTION_OUT);
	if (!is_refusable(p, v6) || reset(ctx, v6))
		return TC_ACT_SHOT;
	return bpf_redirect(ctx->ifindex, 0);
}

// clamp_mss lowers the MSS option of a SYN to what fits into the MTU. It is global, so the
// verifier checks it once.
__noinline int clamp_mss(struct __sk_buff *ctx, __u32 tcp, __u32 wanted)
{
	__u32 at = sizeof(struct tcphdr), end;
	struct tcphdr h;

	if (bpf_skb_load_bytes(ctx, tcp, &h, sizeof(h)))
		return 0;
	end = (h.doff >> 4) * 4;
	// Real segments have only a few options. The bound is low because the verifier tries
	// every path through them.
#pragma clang loop unroll(disable)
	for (int i = 0; i < 16; i++) {
		__u8 option[4];
		__be16 from, to;

		// Only an end or padding is shorter than two bytes.
		if (at + 2 > end || bpf_skb_load_bytes(ctx, tcp + at, option, 2))
			return 0;
		if (option[0] == TCPOPT_EOL)
			return 0;
		if (option[0] == TCPOPT_NOP) {
			at++;
			continue;
		}
		if (option[1] < 2)
			return 0;
		if (option[0] != TCPOPT_MSS || option[1] != 4) {
			at += option[1];
			continue;
		}
		if (at + 4 > end || bpf_skb_load_bytes(ctx, tcp + at, option, 4))
			return 0;
		from = *(__be16 *)(option + 2);
		to = bpf_htons(wanted);
		if (bpf_ntohs(from) <= wanted)
			return 0;
		if (bpf_skb_store_bytes(ctx, tcp + at + 2, &to, sizeof(to), 0))
			return -1;
		// The checksum is a sum of words, and the option may span two of them.
		if (at & 1) {
			from = __builtin_bswap16(from);
			to = __builtin_bswap16(to);
		}
		return bpf_l4_csum_replace(ctx, tcp + __builtin_offsetof(struct tcphdr, check), from, to, sizeof(to));
	}
	return 0;
}
