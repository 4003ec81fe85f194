// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Lookup results cached by each CPU. Programs on one CPU do not interrupt each other because
// all of them run with bottom halves disabled, so an entry does not change while it is used.
#pragma once

#include "maps.h"

// How long a cached result is used without another lookup, in ns. Changes of the maps that were
// not made by the node program take effect after this time at the latest.
#define LASTS 10000000

// The same for routes. A tunnel's packets follow a change of routes at most this much later
// than the kernel's own packets.
#define WAY_LASTS 100000000

// moment is the time and the generation at which a packet is handled. It must be taken before
// any lookup.
struct moment {
	__u64 now;
	__u32 generation;
};

static __always_inline struct moment this_moment(void)
{
	struct moment m = {.generation = generation + 1, .now = bpf_ktime_get_coarse_ns()};

	return m;
}

static __always_inline int holds_for(const struct validity *v, const struct moment *m, __u32 tunnel, __u64 lasts)
{
	return v->tunnel == tunnel && v->generation == m->generation && m->now - v->since < lasts;
}

static __always_inline int holds(const struct validity *v, const struct moment *m, __u32 tunnel)
{
	return holds_for(v, m, tunnel, LASTS);
}

// validate marks an entry as valid as of the moment at which it was looked up. Until then the
// entry is not valid, so a packet handled in between never uses a half-written entry.
static __always_inline void validate(struct validity *v, const struct moment *m, __u32 tunnel)
{
	v->since = m->now;
	v->tunnel = tunnel;
	v->generation = m->generation;
}

// looking invalidates an entry by clearing one of its words, before another lookup fills the
// entry.
static __always_inline void looking(__u32 *word)
{
	*(volatile __u32 *)word = 0;
}

// after returns zero. A lookup whose key includes it depends on the generation that was read,
// and is therefore performed after that read, even on CPUs that reorder reads. A barrier would
// prevent the CPU from loading several cache lines in parallel.
static __always_inline __u32 after(const struct moment *m)
{
	__u32 zero = m->generation;

	asm volatile("%0 ^= %0" : "+r"(zero));
	return zero;
}

static __always_inline __u32 mix(const struct address *a)
{
	const __u32 *words = (const __u32 *)a->bytes;

	return (words[0] ^ words[1] ^ words[2] ^ words[3]) * 0x9e3779b1;
}

// sending_of returns the entry for a packet's flow. Another flow may occupy it: use is_sending
// to check.
static __always_inline struct sending *sending_of(const struct packet *p)
{
	__u32 slot = (mix(&p->flow.source) >> 16 ^ p->flow.source_port) % ENCAP_CACHE;

	return bpf_map_lookup_elem(&encap_cache, &slot);
}

// is_sending reports whether an entry belongs to a packet's flow and is still valid.
static __always_inline int is_sending(const struct sending *s, const struct packet *p, __u32 ifindex, const struct moment *m)
{
	return holds(&s->validity, m, s->validity.tunnel) && s->ifindex == ifindex &&
	       same_address(&s->flow.source, &p->flow.source) && same_address(&s->flow.destination, &p->flow.destination) &&
	       s->flow.source_port == p->flow.source_port && s->flow.protocol == p->flow.protocol;
}

// is_remembered reports whether the result for a packet may be cached: that is, if it does not
// depend on any other lookup.
static __always_inline int is_remembered(const struct packet *p)
{
	return p->kind == KIND_PORTS && !p->first;
}

static __always_inline void remember_sending(struct sending *s, const struct packet *p, __u32 ifindex, __u32 id, const struct tunnel *t, const struct moment *m)
{
	s->flow.source = p->flow.source;
	s->flow.destination = p->flow.destination;
	s->flow.source_port = p->flow.source_port;
	s->flow.protocol = p->flow.protocol;
	s->ifindex = ifindex;
	s->tunnel = *t;
	validate(&s->validity, m, id);
}
