// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// The maps. Tunnels, services and policies are never evicted: if such a map is full, the node
// program reports an error. Flows and fragments are learned from packets, and the least
// recently used ones are evicted. The node program sets the sizes.
#pragma once

#include "layout.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, __u32);
	__type(value, struct tunnel);
} tunnels SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 131072);
	__type(key, __u32);
	__type(value, struct counters);
} tunnel_counters SEC(".maps");

// (interface, endpoint) -> tunnel. Gateway.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 524288);
	__type(key, struct endpoint);
	__type(value, struct service);
} services SEC(".maps");

// (tunnel, endpoint) -> the proxy.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 524288);
	__type(key, struct endpoint);
	__type(value, struct policy);
} policies SEC(".maps");

// (endpoint, proxy) -> tunnel. Client.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1048576);
	__type(key, struct flow);
	__type(value, struct reply);
} replies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct proxy);
} proxies SEC(".maps");

// The published ports of each proxy at its own addresses, by its interface. Outside tunnels, a
// proxy may only send replies from these ports. The entry of an address without a port is for
// ICMP.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, struct endpoint);
	__type(value, __u32);
} published_ports SEC(".maps");

// The endpoints that a proxy reaches without a tunnel, by its interface. Endpoints that were
// removed or that have a tunnel have no entry here.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, struct endpoint);
	__type(value, __u32);
} direct SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct place);
	__type(value, __u32);
} local_endpoints SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct attachment_key);
	__type(value, struct attachment);
} attachments SEC(".maps");

// Client.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, struct flow);
	__type(value, struct path);
} flows SEC(".maps");

struct one_proxys_flows {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct flow);
	__type(value, struct path);
};

// A map like flows for each address of a proxy that has several interfaces on a gateway node.
// Flows learned from one proxy's packets therefore never evict those of another. The node
// program creates and removes these maps.
struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 32768);
	__type(key, struct address);
	__array(values, struct one_proxys_flows);
} proxy_flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 32768);
	__type(key, struct address);
	__type(value, struct flow_count);
} flow_counts SEC(".maps");

// The packets whose first fragment was seen, on a client node. All endpoints of a client node
// belong to one tenant.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct fragments);
	__type(value, struct fragment_path);
} fragmented SEC(".maps");

struct one_proxys_fragments {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct fragments);
	__type(value, struct fragment_path);
};

// A map like fragmented for each address of a proxy on a gateway node. The node program creates
// and removes these maps, like those in proxy_flows.
struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 32768);
	__type(key, struct address);
	__array(values, struct one_proxys_fragments);
} proxy_fragments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 32768);
	__type(key, struct address);
	__type(value, struct flow_count);
} fragment_counts SEC(".maps");

// For each CPU, the routes of the tunnels it last sent packets into, by tunnel ID.
#define ROUTE_CACHE 16384
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ROUTE_CACHE);
	__type(key, __u32);
	__type(value, struct way);
} route_cache SEC(".maps");

// For each CPU, the lookup results for recent packets. These caches are small, so they stay in
// the CPU's own cache.
#define ENCAP_CACHE 64
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ENCAP_CACHE);
	__type(key, __u32);
	__type(value, struct sending);
} encap_cache SEC(".maps");

#define DECAP_CACHE 64
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DECAP_CACHE);
	__type(key, __u32);
	__type(value, struct receiving);
} decap_cache SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DROP_REASONS);
	__type(key, enum drop_reason);
	__type(value, __u64);
} drops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
	__type(value, struct event);
} events SEC(".maps");

// Set before the programs are loaded.
const volatile __u8 gateway = 1; // this node is a gateway
const volatile __be16 port = 0;  // of the tunnels on this node

// An interface of the underlay.
volatile __u32 uplink;

// A bit for the hash of each address in replies to which endpoints send. The client program
// sees all other traffic of the node too; nearly all of it is recognized here without
// any lookup.
#define RECEIVERS 65536
volatile __u64 receivers[RECEIVERS / 64];

// Set while published ports are not all known after an upgrade from a version without them:
// until they are, packets that the proxies of that version send outside tunnels pass as before.
volatile __u32 lenient;

// Number of changes of the maps.
volatile __u32 generation;

// The IDs of the traced tunnels; unused elements are zero. Their number is checked first, so a
// packet costs only one load while nothing is traced.
volatile __u32 traces;
volatile __u32 traced[TRACES];
