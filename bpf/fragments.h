// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// The way of the rest of a fragmented packet at a gateway, noted from its first fragment.
// Each address of a proxy has a map of its own for that, so a flood of fragments of one proxy
// makes the node forget those of no other.
#pragma once

#include "maps.h"
#include "packet.h"

// count_noted counts that something of a proxy's address was noted, or that it was not known.
static __always_inline void count_noted(void *counts, const struct packet *p, int known)
{
	struct flow_count *c = bpf_map_lookup_elem(counts, &p->flow.destination);

	if (c)
		__sync_fetch_and_add(known ? &c->noted : &c->unknown, 1);
}

// note_first notes where the fragments that follow a first one go: by a tunnel, zero if by
// none, and by a proxy's interface. The scope is what they come by. The proxy's address has
// been checked. This and what follows is global, so the verifier looks at it once.
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

// rest_goes returns the interface that was noted with the first fragment of a packet, if that
// went by the tunnel, zero for none. Otherwise it returns a negative number.
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
