// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// What a CPU remembers of what it has looked up. Programs of one CPU do not interrupt each
// other, because all run with bottom halves disabled, so an entry does not change while it is
// used.
#pragma once

#include "maps.h"

// How long something is used without looking again, in ns. So much later programs follow a
// change of the maps that the node program has not made.
#define LASTS 10000000

// The same for routes. So much later than the kernel's own packets, a tunnel's packets follow
// a change of these.
#define WAY_LASTS 100000000

// moment is when a packet is looked at. It must be taken before anything is looked up.
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

// validate makes an entry valid as of a moment, in which it was looked up. Until then it is
// not, so a packet that comes between finds nothing half done.
static __always_inline void validate(struct validity *v, const struct moment *m, __u32 tunnel)
{
	v->since = m->now;
	v->tunnel = tunnel;
	v->generation = m->generation;
}

// looking makes an entry not valid by clearing a word of it, before something else is looked
// up for it.
static __always_inline void looking(__u32 *word)
{
	*(volatile __u32 *)word = 0;
}

// after is zero. A lookup with it in the key depends on the generation that was
// read, and so is read after it, on CPUs too that read memory in another order otherwise. A
// barrier would keep the CPU from waiting for several lines of memory at a time.
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

// sending_of finds the entry of a packet's flow. It is of that flow if is_sending says so.
static __always_inline struct sending *sending_of(const struct packet *p)
{
	__u32 slot = (mix(&p->flow.source) >> 16 ^ p->flow.source_port) % ENCAP_CACHE;

	return bpf_map_lookup_elem(&encap_cache, &slot);
}

// is_sending reports whether an entry is of a packet's flow, and still valid.
static __always_inline int is_sending(const struct sending *s, const struct packet *p, __u32 ifindex, const struct moment *m)
{
	return holds(&s->validity, m, s->validity.tunnel) && s->ifindex == ifindex &&
	       same_address(&s->flow.source, &p->flow.source) && same_address(&s->flow.destination, &p->flow.destination) &&
	       s->flow.source_port == p->flow.source_port && s->flow.protocol == p->flow.protocol;
}

// is_remembered reports whether packets of a kind may be remembered: those for which nothing
// else is looked up.
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
