// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Which of several tunnels, or of several pods of a proxy on this gateway node, a flow belongs
// to. All pods of a proxy share its address, and each chooses its own ports. Two pods may
// choose the same port toward the same endpoint, which can't distinguish them. The flow then
// belongs to the first pod until it ends, and the second pod is refused.
//
// On a gateway node, each address has its own map, so a flood of flows of one proxy never
// evicts flows of another.
#pragma once

#include "fragments.h"
#include "memory.h"

// Times of flows are in units of 2^30 ns, about a second.
#define FLOW_UNIT 30

// How long a TCP flow without packets stays in use: 65 minutes. Proxies close connections that
// were idle for an hour.
#define FLOW_IDLE_TCP 3632

// The same for flows without a connection, and for TCP flows that the endpoint has not
// answered: 64 seconds. Proxies forget a UDP session that was idle for a minute.
#define FLOW_IDLE 60

static __always_inline __u32 flow_time(const struct moment *m)
{
	return m->now >> FLOW_UNIT;
}

// is_taken reports whether a packet that arrived through another tunnel or interface than its
// flow is refused instead of taking over the flow. For TCP, only a segment that opens a
// connection is refused: the endpoint would treat it as a forged segment of the connection that
// it already has. Other segments belong to a connection that has moved to another path.
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

// is_there reports whether the tunnel and, on a gateway node, the interface of a flow still
// exist, and on a client node whether the tunnel still leads to the endpoint.
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

// flow_result is the result of recording a flow.
enum flow_result {
	FLOW_KNOWN,
	FLOW_NOTED,
	FLOW_TAKEN, // it belongs to another tunnel or pod
};

// claim_flow records the tunnel through which a packet from the proxy arrives and, on a gateway
// node, the interface.
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
	// A reset gets no reply, so it does not take over the flow.
	if (had && path.sent & TCP_RST)
		return FLOW_KNOWN;
	bpf_map_update_elem(flows, &p->flow, &path, BPF_ANY);
	return FLOW_NOTED;
}

// answer_flow records that the endpoint has sent a packet of a flow.
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

// note_flow records the interface and the tunnel through which a proxy sends a flow. It returns
// zero if the flow belongs to another pod. This function and those below are global, so the
// verifier checks them once.
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

// note_tunnel records on a client node the tunnel through which a flow arrives. It returns zero
// if the flow belongs to another tunnel.
__noinline int note_tunnel(const struct packet *p, __u32 tunnel, __u32 now)
{
	if (!p)
		return 1;
	return claim_flow(&flows, p, tunnel, 0, now) != FLOW_TAKEN;
}

// interface_of_flow returns the interface from which a flow is sent, or the given default if it
// is unknown.
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
	// A recorded flow of a pod that no longer exists may have the same ports as the flow of
	// an existing pod that opened its connection while it was the only pod.
	if (likely(path && path->tunnel == tunnel && bpf_map_lookup_elem(&proxies, &path->ifindex))) {
		answer_flow(path, p, now);
		return path->ifindex;
	}
	count_noted(&flow_counts, p, 0);
	return otherwise;
}
