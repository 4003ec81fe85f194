// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// The maps. Tunnels, services and policies never evict: a full one is an error
// that the node program reports. Flows and fragments are learned from packets, so
// the least recently used gives way. Sizes are set by the node program.
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

// The published ports of each proxy at its own addresses, by its interface. Outside a
// tunnel a proxy may only answer from these. The entry of an address without port is for
// ICMP.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, struct endpoint);
	__type(value, __u32);
} published_ports SEC(".maps");

// The endpoints that a proxy reaches without a tunnel, by its interface. An endpoint that
// was removed, or has a tunnel, has no entry here.
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

// A map like flows for each address of proxies that several interfaces of a gateway have. So
// what is learned from one proxy's packets displaces nothing that was learned from another's.
// The node program makes and removes them.
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

// The packets whose first fragment has come by, on a client node. All of its endpoints are
// of one tenant.
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

// A map like fragmented for each address of a proxy on a gateway. The node program makes and
// removes them, as those of flows.
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

// Every CPU's routes of the tunnels that it has sent by last, by their IDs.
#define ROUTE_CACHE 16384
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ROUTE_CACHE);
	__type(key, __u32);
	__type(value, struct way);
} route_cache SEC(".maps");

// What every CPU knows of the packets that it has seen last. There are few, so they
// stay in the CPU's own cache.
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

// Set before loading.
const volatile __u8 gateway = 1; // this node is a gateway
const volatile __be16 port = 0;  // of the tunnels at this node

// An interface of the underlay.
volatile __u32 uplink;

// A bit for the hash of each address in replies to which endpoints answer. A client node's
// other traffic, all of which its program sees, nearly always ends here.
#define RECEIVERS 65536
volatile __u64 receivers[RECEIVERS / 64];

// An earlier version, which knew no published ports, left proxies behind whose ports are not
// all known yet. Until they are, what they send outside tunnels passes as it did.
volatile __u32 lenient;

// How often the maps have been changed.
volatile __u32 generation;

// The IDs of the tunnels that are traced, zero where there is none. The count is
// looked at first, so a packet pays one load while nothing is traced.
volatile __u32 traces;
volatile __u32 traced[TRACES];
