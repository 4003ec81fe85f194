// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Counting and tracing.
#pragma once

#include "packet.h"
#include "memory.h"

static __always_inline void count_drop(__u32 reason)
{
	__u64 *count = bpf_map_lookup_elem(&drops, &reason);

	if (count)
		*count += 1;
}

// seen holds the fields of a trace event that are not taken from the inner packet.
struct seen {
	struct address outer;
	__be16 outer_port;
	__u8 reason;
	__u8 direction;
	__u32 tunnel;
	__u32 length;
	__u32 ifindex;
	__u8 xdp;
};

__noinline int trace(const struct packet *p, const struct seen *s)
{
	struct event *e;
	int wanted = 0;

	if (!p || !s)
		return 0;
	for (int i = 0; i < TRACES; i++)
		wanted |= traced[i] == s->tunnel;
	if (!wanted)
		return 0;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return 0;
	__builtin_memset(e, 0, sizeof(*e));
	// Report source and destination as they are in the packet.
	if ((s->direction == DIRECTION_OUT) == !!gateway) {
		e->source = p->flow.destination;
		e->destination = p->flow.source;
		e->source_port = p->flow.destination_port;
		e->destination_port = p->flow.source_port;
	} else {
		e->source = p->flow.source;
		e->destination = p->flow.destination;
		e->source_port = p->flow.source_port;
		e->destination_port = p->flow.destination_port;
	}
	e->outer = s->outer;
	e->outer_port = s->outer_port;
	e->tunnel = s->tunnel;
	e->length = s->length;
	e->ifindex = s->ifindex;
	e->protocol = p->protocol;
	e->tcp_flags = p->tcp_flags;
	e->direction = s->direction;
	e->reason = s->reason;
	e->xdp = s->xdp;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

// trace_sent traces a packet that was sent into a tunnel.
__noinline int trace_sent(const struct packet *p, const struct tunnel *t, __u32 id, __u32 length, __u32 ifindex)
{
	struct seen s = {};

	if (!t)
		return 0;
	s.tunnel = id;
	s.direction = DIRECTION_OUT;
	s.length = length;
	s.ifindex = ifindex;
	s.outer = t->remote;
	s.outer_port = t->remote_port;
	return trace(p, &s);
}

// dropped counts and drops a packet that was received from a tunnel, or was to be sent into
// one.
__noinline int dropped(struct __sk_buff *ctx, const struct packet *p, __u32 tunnel, __u32 reason, __u32 direction)
{
	if (!p)
		return TC_ACT_SHOT;
	count_drop(reason);
	if (unlikely(traces)) {
		struct seen s = {};

		s.tunnel = tunnel;
		s.direction = direction;
		s.reason = reason;
		s.length = p->total;
		s.ifindex = ctx->ifindex;
		trace(p, &s);
	}
	return TC_ACT_SHOT;
}

// await_counters reads a tunnel's counters long before they are written. If many tunnels are
// busy, this loads them into the CPU's cache in time.
static __always_inline void await_counters(const struct tunnel *t)
{
	__u32 slot = t->slot;
	struct counters *c = bpf_map_lookup_elem(&tunnel_counters, &slot);

	if (likely(c))
		(void)*(volatile __u64 *)&c->sent_packets;
}

static __always_inline void count_received(const struct tunnel *t, __u32 packets, __u32 bytes)
{
	__u32 slot = t->slot;
	struct counters *c = bpf_map_lookup_elem(&tunnel_counters, &slot);

	if (likely(c)) {
		__sync_fetch_and_add(&c->received_packets, packets);
		__sync_fetch_and_add(&c->received_bytes, bytes);
	}
}

// count_sent returns the approximate number of packets sent before.
static __always_inline __u64 count_sent(const struct tunnel *t, __u32 packets, __u32 bytes)
{
	__u32 slot = t->slot;
	struct counters *c = bpf_map_lookup_elem(&tunnel_counters, &slot);
	__u64 before = 0;

	if (likely(c)) {
		before = c->sent_packets;
		__sync_fetch_and_add(&c->sent_packets, packets);
		__sync_fetch_and_add(&c->sent_bytes, bytes);
	}
	return before;
}
