// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Which of several tunnels, or of several pods of a proxy on this gateway, a flow belongs to.
// All pods of a proxy have its address, and each chooses its ports by itself. Two of them may
// choose the same port toward the same endpoint, which cannot tell them apart: the flow then
// stays with the first until it ends, and the second is refused.
//
// On a gateway each address has a map of its own, so a flood of flows of one proxy makes the
// node forget flows of no other.
#pragma once

#include "fragments.h"
#include "memory.h"

// Times of flows are in units of about a second.
#define FLOW_UNIT 30

// For how long a TCP flow is in use that has sent nothing: 65 minutes. Proxies close
// connections that were idle for an hour.
#define FLOW_IDLE_TCP 3632

// The same for what has no connection, and for a TCP flow that the endpoint has not answered:
// 64 seconds. Proxies forget a UDP session that was idle for a minute.
#define FLOW_IDLE 60

static __always_inline __u32 flow_time(const struct moment *m)
{
	return m->now >> FLOW_UNIT;
}

// is_taken reports whether a packet, which came by another way than its flow, may not take
// the flow over. Of TCP only a segment that opens a connection may not: the endpoint would
// take it for a forged one of the connection that it has. Others follow a connection that
// goes another way from now on.
static __always_inline int is_taken(const struct path *had, const struct packet *p, __u32 now)
{
	__u32 idle = now - had->seen;

	if (p->protocol != IPPROTO_TCP)
		return idle <= FLOW_IDLE;
	if (likely(!opens_tcp(p)))
		return 0;
	if ((had->sent | had->answered) & TCP_RST || had->sent & had->answered & TCP_FIN)
		return 0;
	return idle <= (had->answered ? FLOW_IDLE_TCP : FLOW_IDLE);
}

// is_there reports whether what a flow goes by is still there, and on a client node still
// leads to the endpoint.
static __always_inline int is_there(const struct path *had, const struct packet *p)
{
	struct endpoint endpoint;

	if (!bpf_map_lookup_elem(&tunnels, &had->tunnel))
		return 0;
	if (gateway)
		return bpf_map_lookup_elem(&proxies, &had->ifindex) != 0;
	endpoint_of(&endpoint, p, had->tunnel);
	return bpf_map_lookup_elem(&policies, &endpoint) != 0;
}

// flow_result is what became of noting a flow.
enum flow_result {
	FLOW_KNOWN,
	FLOW_NOTED,
	FLOW_TAKEN, // it is another's
};

// claim_flow notes that a packet from the proxy comes by a tunnel, and on a gateway by an
// interface.
static __always_inline enum flow_result claim_flow(void *flows, const struct packet *p, __u32 tunnel, __u32 ifindex, __u32 now)
{
	struct path path = {.tunnel = tunnel, .ifindex = ifindex, .seen = now}, *had;

	if (p->protocol == IPPROTO_TCP)
		path.sent = p->tcp_flags & (TCP_FIN | TCP_RST);
	had = bpf_map_lookup_elem(flows, &p->flow);
	if (likely(had && had->tunnel == tunnel && had->ifindex == ifindex)) {
		if (unlikely(had->seen != now))
			had->seen = now;
		if (unlikely(opens_tcp(p))) {
			had->sent = path.sent;
			had->answered = 0;
		} else if (unlikely(path.sent & ~had->sent)) {
			had->sent |= path.sent;
		}
		return FLOW_KNOWN;
	}
	if (had && is_taken(had, p, now) && is_there(had, p))
		return FLOW_TAKEN;
	// Nothing answers a reset.
	if (had && path.sent & TCP_RST)
		return FLOW_KNOWN;
	bpf_map_update_elem(flows, &p->flow, &path, BPF_ANY);
	return FLOW_NOTED;
}

// answer_flow notes that the endpoint sends a packet of a flow.
static __always_inline void answer_flow(struct path *path, const struct packet *p, __u32 now)
{
	__u8 flags = 0;

	if (p->kind == KIND_ICMP_ERROR)
		return;
	if (p->protocol == IPPROTO_TCP)
		flags = p->tcp_flags & (TCP_FIN | TCP_RST | TCP_ACK);
	if (unlikely(path->seen != now))
		path->seen = now;
	if (unlikely(flags & ~path->answered))
		path->answered |= flags;
}

// note_flow notes by which interface and tunnel a proxy sends a flow. It returns zero if the
// flow is another's. This and what follows is global, so the verifier looks at it once.
__noinline int note_flow(const struct packet *p, __u32 tunnel, __u32 ifindex, __u32 now)
{
	enum flow_result result;
	void *flows;

	if (!p)
		return 1;
	flows = bpf_map_lookup_elem(&proxy_flows, &p->flow.destination);
	if (!flows)
		return 1;
	result = claim_flow(flows, p, tunnel, ifindex, now);
	if (unlikely(result == FLOW_NOTED))
		count_noted(&flow_counts, p, 1);
	return result != FLOW_TAKEN;
}

// note_tunnel notes on a client node by which tunnel a flow comes. It returns zero if the flow
// is another tunnel's.
__noinline int note_tunnel(const struct packet *p, __u32 tunnel, __u32 now)
{
	if (!p)
		return 1;
	return claim_flow(&flows, p, tunnel, 0, now) != FLOW_TAKEN;
}

// interface_of_flow returns the interface by which a flow is sent. It is another one, which
// the caller names, if that is not known.
__noinline __u32 interface_of_flow(const struct packet *p, __u32 tunnel, __u32 otherwise, __u32 now)
{
	struct path *path;
	void *flows;

	if (!p)
		return otherwise;
	flows = bpf_map_lookup_elem(&proxy_flows, &p->flow.destination);
	if (!flows)
		return otherwise;
	path = bpf_map_lookup_elem(flows, &p->flow);
	// A flow of a pod that is gone may have the ports of one that is there and opened its
	// connection while it was the only pod.
	if (likely(path && path->tunnel == tunnel && bpf_map_lookup_elem(&proxies, &path->ifindex))) {
		answer_flow(path, p, now);
		return path->ifindex;
	}
	count_noted(&flow_counts, p, 0);
	return otherwise;
}
