// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Parsing inner packets.
#pragma once

#include "layout.h"

// GUE variant 0 with a group identifier, which is the tunnel ID, and in some packets with a
// security field of 64 bits, which is the cookie.
#define GUE_DATA4 bpf_htonl(0x01048000)
#define GUE_DATA6 bpf_htonl(0x01298000)
#define GUE_COOKIE4 bpf_htonl(0x03049000)
#define GUE_COOKIE6 bpf_htonl(0x03299000)
#define GUE_CONTROL bpf_htonl(0x21ff8000)
#define GUE_CONTROL_BIT bpf_htonl(0x20000000)

struct guehdr {
	__be32 word;
	__be32 tunnel;
	__u32 cookie[]; // two words, if there is one
};

#define COOKIE_LEN 8

#define UDP_GUE_LEN (sizeof(struct udphdr) + sizeof(struct guehdr))

// kind is how the service or policy of a packet is looked up.
enum kind {
	KIND_PORTS,	     // by protocol and port
	KIND_ADDRESS,	     // by address only: ICMP and other protocols without ports
	KIND_ICMP_ERROR,     // by the quoted packet, which is in flow
	KIND_ICMP_UNMATCHED, // an ICMP error that does not quote a flow of its receiver
	KIND_FRAGMENT,	     // a fragment other than the first
};

// packet holds the parsed fields of an inner packet. Its flow is always in the direction from
// the endpoint to the proxy, whichever direction the packet has.
struct packet {
	struct flow flow;
	__u32 total;   // length; zero if it exceeds the header's field
	__u32 id;      // of the fragments
	__u16 l4;      // offset of the transport header
	__u16 headers; // offset of the transport payload
	__u8 kind;
	__u8 tos;
	__u8 tcp_flags;
	__u8 protocol; // of the packet itself, even if flow is that of a quoted one
	__u8 first;    // the first of several fragments
	__u8 icmp;     // the type of an ICMP message
};

static __always_inline void map_address(struct address *to, __be32 from)
{
	__u32 *words = (__u32 *)to->bytes;

	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = from;
}

static __always_inline void copy_address(struct address *to, const __be32 *from)
{
	__u32 *words = (__u32 *)to->bytes;

	words[0] = from[0];
	words[1] = from[1];
	words[2] = from[2];
	words[3] = from[3];
}

static __always_inline int same_address(const struct address *a, const struct address *b)
{
	const __u64 *x = (const __u64 *)a->bytes, *y = (const __u64 *)b->bytes;

	return !((x[0] ^ y[0]) | (x[1] ^ y[1]));
}

static __always_inline __be32 mapped(const struct address *a)
{
	return ((const __u32 *)a->bytes)[3];
}

// is_mapped reports whether an IPv6 address is an IPv4-mapped one. The maps store IPv4
// addresses in this form, and packets must not contain any.
static __always_inline int is_mapped(const __be32 *a)
{
	return a[2] == bpf_htonl(0xffff) && !(a[0] | a[1]);
}

static __always_inline int is_zero(const struct address *a)
{
	const __u64 *x = (const __u64 *)a->bytes;

	return !(x[0] | x[1]);
}

// addresses4 and addresses6 set the addresses of a flow, swapped if turn is set.
static __always_inline void addresses4(struct flow *f, const struct iphdr *ip, int turn)
{
	map_address(turn ? &f->destination : &f->source, ip->saddr);
	map_address(turn ? &f->source : &f->destination, ip->daddr);
}

static __always_inline void addresses6(struct flow *f, const struct ipv6hdr *ip, int turn)
{
	copy_address(turn ? &f->destination : &f->source, ip->saddr);
	copy_address(turn ? &f->source : &f->destination, ip->daddr);
}

static __always_inline void ports(struct flow *f, __be16 source, __be16 destination, int turn)
{
	f->source_port = turn ? destination : source;
	f->destination_port = turn ? source : destination;
}

// is_icmp_error reports whether an ICMP type is an error that may cross a tunnel. Redirects are
// only for neighbors.
static __always_inline int is_icmp_error(__u8 type, int v6)
{
	if (v6)
		return type >= 1 && type <= 4;
	return type == 3 || type == 11 || type == 12;
}

static __always_inline int is_icmp_echo(__u8 type, int v6)
{
	return v6 ? type == 128 || type == 129 : type == 0 || type == 8;
}

// parse_plain parses a TCP or UDP packet without IP options, extension headers and
// fragmentation, as nearly all packets are. It returns nonzero for any other packet.
static __always_inline int parse_plain(void *l3, void *end, struct packet *p, int v6, int from_proxy)
{
	struct udphdr *h;

	if (v6) {
		struct ipv6hdr *ip = l3;

		h = (void *)(ip + 1);
		if ((void *)(h + 1) > end || (ip->flow & bpf_htonl(0xf0000000)) != bpf_htonl(0x60000000) ||
		    is_mapped(ip->saddr) || is_mapped(ip->daddr))
			return -1;
		p->tos = bpf_ntohl(ip->flow) >> 20;
		p->total = ip->payload_len ? sizeof(*ip) + bpf_ntohs(ip->payload_len) : 0;
		p->protocol = ip->nexthdr;
		addresses6(&p->flow, ip, from_proxy);
		p->l4 = sizeof(*ip);
	} else {
		struct iphdr *ip = l3;

		h = (void *)(ip + 1);
		if ((void *)(h + 1) > end || ip->version_ihl != 0x45 || ip->frag_off & bpf_htons(IP_OFFSET | IP_MF))
			return -1;
		p->tos = ip->tos;
		p->total = bpf_ntohs(ip->tot_len);
		p->protocol = ip->protocol;
		addresses4(&p->flow, ip, from_proxy);
		p->l4 = sizeof(*ip);
	}
	if (likely(p->protocol == IPPROTO_TCP)) {
		struct tcphdr *tcp = (void *)h;

		if ((void *)(tcp + 1) > end || tcp->doff < 5 << 4)
			return -1;
		p->tcp_flags = tcp->flags;
		p->headers = p->l4 + (tcp->doff >> 4) * 4;
	} else if (p->protocol == IPPROTO_UDP) {
		if (bpf_ntohs(h->len) < sizeof(*h) || p->l4 + bpf_ntohs(h->len) > p->total)
			return -1;
		p->tcp_flags = 0;
		p->headers = p->l4 + sizeof(*h);
	} else {
		return -1;
	}
	ports(&p->flow, h->source, h->dest, from_proxy);
	p->flow.protocol = p->protocol;
	p->kind = KIND_PORTS;
	p->first = 0;
	return 0;
}

enum parse_flags {
	PARSE_V6 = 1,
	PARSE_TURN = 2, // a packet from the proxy
};

// parse_network parses the IP header at l3 and everything before the transport header. It
// returns zero or a drop reason. This function and those below are global, so the verifier
// checks them once and not for every path that leads to them.
__noinline int parse_network(struct __sk_buff *ctx, __u32 l3, struct packet *p, __u32 flags)
{
	__be16 fragment;

	if (!p)
		return DROP_INTERNAL;
	if (flags & PARSE_V6) {
		struct ipv6hdr ip;
		__u32 at = sizeof(ip);

		if (bpf_skb_load_bytes(ctx, l3, &ip, sizeof(ip)) || bpf_ntohl(ip.flow) >> 28 != 6 ||
		    is_mapped(ip.saddr) || is_mapped(ip.daddr))
			return DROP_MALFORMED;
		p->tos = bpf_ntohl(ip.flow) >> 20;
		p->total = ip.payload_len ? sizeof(ip) + bpf_ntohs(ip.payload_len) : 0;
		p->protocol = ip.nexthdr;
		if (flags & PARSE_TURN)
			addresses6(&p->flow, &ip, 1);
		else
			addresses6(&p->flow, &ip, 0);
#pragma clang loop unroll(disable)
		for (int i = 0; i < 7; i++) {
			__u8 h[8];

			p->l4 = at;
			if (p->protocol == IPPROTO_AH || p->protocol == IPPROTO_MH)
				return DROP_EXTENSION_HEADERS;
			if (p->protocol != IPPROTO_HOPOPTS && p->protocol != IPPROTO_ROUTING &&
			    p->protocol != IPPROTO_DSTOPTS && p->protocol != IPPROTO_FRAGMENT)
				return 0;
			if (bpf_skb_load_bytes(ctx, l3 + at, h, sizeof(h)))
				return DROP_MALFORMED;
			if (p->protocol == IPPROTO_FRAGMENT) {
				fragment = *(__be16 *)(h + 2);
				p->id = *(__be32 *)(h + 4);
				p->first = fragment == bpf_htons(1);
				at += 8;
				if (fragment & bpf_htons(0xfff8)) {
					p->protocol = h[0];
					p->l4 = at;
					p->kind = KIND_FRAGMENT;
					return 0;
				}
			} else {
				at += (h[1] + 1) * 8;
			}
			p->protocol = h[0];
			if (at > sizeof(ip) + 152)
				return DROP_EXTENSION_HEADERS;
		}
		return DROP_EXTENSION_HEADERS;
	} else {
		struct iphdr ip;

		if (bpf_skb_load_bytes(ctx, l3, &ip, sizeof(ip)) || ip.version_ihl >> 4 != 4)
			return DROP_MALFORMED;
		p->l4 = (ip.version_ihl & 0x0f) * 4;
		p->total = bpf_ntohs(ip.tot_len);
		if (p->l4 < sizeof(ip))
			return DROP_MALFORMED;
		p->tos = ip.tos;
		p->protocol = ip.protocol;
		if (flags & PARSE_TURN)
			addresses4(&p->flow, &ip, 1);
		else
			addresses4(&p->flow, &ip, 0);
		if (ip.frag_off & bpf_htons(IP_OFFSET | IP_MF)) {
			p->id = ip.id;
			if (ip.frag_off & bpf_htons(IP_OFFSET))
				p->kind = KIND_FRAGMENT;
			else
				p->first = 1;
		}
		return 0;
	}
}

// parse_quoted parses the packet that an ICMP error quotes. An error must quote only eight
// bytes of the transport header, so no more are read.
__noinline int parse_quoted(struct __sk_buff *ctx, __u32 l3, struct packet *p, __u32 flags)
{
	// An error goes to the source of the quoted packet, which had the opposite direction.
	int turn = !(flags & PARSE_TURN);
	struct flow f = {};
	struct udphdr h;
	__u32 l4;

	if (!p)
		return DROP_INTERNAL;
	p->kind = KIND_ICMP_UNMATCHED;
	if (flags & PARSE_V6) {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes(ctx, l3, &ip, sizeof(ip)))
			return DROP_MALFORMED;
		if (is_mapped(ip.saddr) || is_mapped(ip.daddr))
			return 0;
		if (turn)
			addresses6(&f, &ip, 1);
		else
			addresses6(&f, &ip, 0);
		f.protocol = ip.nexthdr;
		l4 = l3 + sizeof(ip);
	} else {
		struct iphdr ip;

		if (bpf_skb_load_bytes(ctx, l3, &ip, sizeof(ip)))
			return DROP_MALFORMED;
		if (ip.frag_off & bpf_htons(IP_OFFSET))
			return 0;
		if (turn)
			addresses4(&f, &ip, 1);
		else
			addresses4(&f, &ip, 0);
		f.protocol = ip.protocol;
		l4 = l3 + (ip.version_ihl & 0x0f) * 4;
	}
	if (bpf_skb_load_bytes(ctx, l4, &h, sizeof(h)))
		return DROP_MALFORMED;
	if (f.protocol == IPPROTO_TCP || f.protocol == IPPROTO_UDP) {
		if (turn)
			ports(&f, h.source, h.dest, 1);
		else
			ports(&f, h.source, h.dest, 0);
	} else if (f.protocol == ((flags & PARSE_V6) ? IPPROTO_ICMPV6 : IPPROTO_ICMP)) {
		struct icmphdr *icmp = (void *)&h;

		if (!is_icmp_echo(icmp->type, flags & PARSE_V6))
			return 0;
		ports(&f, icmp->id, icmp->id, 0);
	} else {
		return 0;
	}
	// The error must go to the sender of the quoted packet. Any router on the path may send
	// it. On the proxy's side there is only the proxy, so an error from there must come
	// from the destination of the quoted packet.
	if (flags & PARSE_TURN) {
		if (!same_address(&f.source, &p->flow.source) || !same_address(&f.destination, &p->flow.destination))
			return 0;
	} else if (!same_address(&f.destination, &p->flow.destination)) {
		return 0;
	}
	p->flow = f;
	p->kind = KIND_ICMP_ERROR;
	return 0;
}

// parse_any parses all other packets. It returns zero or a drop reason.
__noinline int parse_any(struct __sk_buff *ctx, __u32 l3, struct packet *p, __u32 flags)
{
	int result;

	if (!p)
		return DROP_INTERNAL;
	__builtin_memset(p, 0, sizeof(*p));
	p->kind = KIND_ADDRESS;
	result = parse_network(ctx, l3, p, flags);
	if (result)
		return result;
	p->headers = p->l4;
	p->flow.protocol = p->protocol;
	if (p->kind == KIND_FRAGMENT)
		return 0;
	if (p->protocol == IPPROTO_TCP) {
		struct tcphdr h;

		if (bpf_skb_load_bytes(ctx, l3 + p->l4, &h, sizeof(h)) || h.doff < 5 << 4)
			return DROP_MALFORMED;
		ports(&p->flow, h.source, h.dest, flags & PARSE_TURN);
		p->tcp_flags = h.flags;
		p->headers = p->l4 + (h.doff >> 4) * 4;
		p->kind = KIND_PORTS;
	} else if (p->protocol == IPPROTO_UDP) {
		struct udphdr h;

		if (bpf_skb_load_bytes(ctx, l3 + p->l4, &h, sizeof(h)) || bpf_ntohs(h.len) < sizeof(h) ||
		    (!p->first && p->l4 + bpf_ntohs(h.len) > p->total))
			return DROP_MALFORMED;
		ports(&p->flow, h.source, h.dest, flags & PARSE_TURN);
		p->headers = p->l4 + sizeof(h);
		p->kind = KIND_PORTS;
	} else if (p->protocol == ((flags & PARSE_V6) ? IPPROTO_ICMPV6 : IPPROTO_ICMP)) {
		struct icmphdr h;

		if (bpf_skb_load_bytes(ctx, l3 + p->l4, &h, sizeof(h)))
			return DROP_MALFORMED;
		p->headers = p->l4 + sizeof(h);
		p->icmp = h.type;
		if (is_icmp_echo(h.type, flags & PARSE_V6))
			ports(&p->flow, h.id, h.id, 0);
		else if (is_icmp_error(h.type, flags & PARSE_V6))
			return parse_quoted(ctx, l3 + p->headers, p, flags);
	}
	return 0;
}

// parse parses the packet at an offset in a socket buffer. It returns zero or a drop reason.
static __always_inline int parse(struct __sk_buff *ctx, __u32 l3, struct packet *p, int v6, int from_proxy)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (likely(!parse_plain(data + l3, end, p, v6, from_proxy)))
		return 0;
	return parse_any(ctx, l3, p, (v6 ? PARSE_V6 : 0) | (from_proxy ? PARSE_TURN : 0));
}

// opens_tcp reports whether a packet opens a TCP connection.
static __always_inline int opens_tcp(const struct packet *p)
{
	return p->protocol == IPPROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

// has_port reports whether the service or policy of a packet is looked up by port.
static __always_inline int has_port(const struct packet *p)
{
	return p->kind == KIND_PORTS ||
	       (p->kind == KIND_ICMP_ERROR && (p->flow.protocol == IPPROTO_TCP || p->flow.protocol == IPPROTO_UDP));
}

// endpoint_of makes the key of a packet's service or policy.
static __always_inline void endpoint_of(struct endpoint *e, const struct packet *p, __u32 scope)
{
	e->address = p->flow.source;
	e->scope = scope;
	e->pad = 0;
	if (has_port(p)) {
		e->port = p->flow.source_port;
		e->protocol = p->flow.protocol;
	} else {
		e->port = 0;
		e->protocol = 0;
	}
}

// is_whole reports whether a packet's headers are within its length, and its length is within
// the available bytes.
static __always_inline int is_whole(const struct packet *p, __u32 length)
{
	return p->total >= p->headers && p->total <= length;
}

// crosses reports whether tunnels carry packets of this kind: packets of a registered port,
// errors about such packets, pings of an endpoint and their replies, and later fragments that
// may belong to any of these.
static __always_inline int crosses(const struct packet *p, int v6, int from_proxy)
{
	__u8 icmp = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;

	switch (p->kind) {
	case KIND_PORTS:
	case KIND_ICMP_ERROR:
		return 1;
	case KIND_FRAGMENT:
		return p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP || p->protocol == icmp;
	case KIND_ADDRESS:
		if (p->protocol != icmp)
			return 0;
		if (v6)
			return p->icmp == (from_proxy ? 128 : 129);
		return p->icmp == (from_proxy ? 8 : 0);
	}
	return 0;
}

static __always_inline void fragments_of(struct fragments *f, const struct packet *p, __u32 scope)
{
	f->source = p->flow.source;
	f->destination = p->flow.destination;
	f->id = p->id;
	f->scope = scope;
	f->protocol = p->protocol;
	f->pad[0] = f->pad[1] = f->pad[2] = 0;
	f->pad2 = 0;
}
