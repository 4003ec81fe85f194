// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// The tunnel and interface of the later fragments of a packet on a gateway node, as recorded
// from its first fragment. Each address of a proxy has its own map, so a flood of fragments of one proxy never
// evicts entries of another.
#pragma once

#include "maps.h"
#include "packet.h"

// count_noted counts that a flow or first fragment of a proxy's address was recorded, or that
// it was unknown.
static __always_inline void count_noted(void *counts, const struct packet *p, int known)
{
	struct flow_count *c = bpf_map_lookup_elem(counts, &p->flow.destination);

	if (c)
		__sync_fetch_and_add(known ? &c->noted : &c->unknown, 1);
}

// note_first records where the later fragments of a packet go: the tunnel, zero for none, and
// the proxy's interface. The scope is the interface or tunnel on which they arrive. The caller
// has checked the proxy's address. This function and those below are global, so the verifier
// checks them once.
__noinline int note_first(const struct packet *p, __u32 scope, __u32 tunnel, __u32 ifindex)
{
	struct fragment_path path = {.tunnel = tunnel, .ifindex = ifindex};
	struct fragments key;
	void *noted;

	if (!p)
		return 0;
	noted = bpf_map_lookup_elem(&proxy_fragments, &p->flow.destination);
	if (!noted)
		return 0;
	fragments_of(&key, p, scope);
	bpf_map_update_elem(noted, &key, &path, BPF_ANY);
	count_noted(&fragment_counts, p, 1);
	return 0;
}

// rest_goes returns the interface that was recorded with the first fragment of a packet if that
// used the given tunnel, zero for none. Otherwise it returns a negative number.
__noinline long rest_goes(const struct packet *p, __u32 scope, __u32 tunnel)
{
	struct fragments key;
	struct fragment_path *path;
	void *noted;

	if (!p)
		return -1;
	noted = bpf_map_lookup_elem(&proxy_fragments, &p->flow.destination);
	if (!noted)
		return -1;
	fragments_of(&key, p, scope);
	path = bpf_map_lookup_elem(noted, &key);
	if (path && path->tunnel == tunnel)
		return path->ifindex;
	count_noted(&fragment_counts, p, 0);
	return -1;
}
