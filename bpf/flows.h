// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Which of several pods of a proxy, all of which have its address on this gateway, a flow
// belongs to. Each address has a map of its own for that, so a flood of flows of one proxy
// makes the node forget flows of no other.
#pragma once

#include "fragments.h"
#include "memory.h"

// note_flow notes by which interface and tunnel a proxy sends a flow. This and what follows
// is global, so the verifier looks at it once.
__noinline int note_flow(const struct packet *p, __u32 tunnel, __u32 ifindex)
{
	struct path path = {.tunnel = tunnel, .ifindex = ifindex}, *had;
	void *flows;

	if (!p)
		return 0;
	flows = bpf_map_lookup_elem(&proxy_flows, &p->flow.destination);
	if (!flows)
		return 0;
	had = bpf_map_lookup_elem(flows, &p->flow);
	if (likely(had && had->ifindex == ifindex && had->tunnel == tunnel))
		return 0;
	bpf_map_update_elem(flows, &p->flow, &path, BPF_ANY);
	count_noted(&flow_counts, p, 1);
	return 0;
}

// interface_of_flow returns the interface by which a flow is sent. It is another one, which
// the caller names, if that is not known.
__noinline __u32 interface_of_flow(const struct packet *p, __u32 tunnel, __u32 otherwise)
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
	if (likely(path && path->tunnel == tunnel && bpf_map_lookup_elem(&proxies, &path->ifindex)))
		return path->ifindex;
	count_noted(&flow_counts, p, 0);
	return otherwise;
}
