// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//go:build ignore

// The programs of EPIC's data plane. docs/dataplane.md follows a packet through them.

#include "decap.h"
#include "encap.h"
#include "xdp.h"

// epic_gateway_encap handles all packets that a proxy's pod sends. It is attached to the host
// end of the pod's interface.
SEC("tc")
int epic_gateway_encap(struct __sk_buff *ctx)
{
	struct packet p = {};

	if (unlikely(ctx->vlan_present || ctx->pkt_type == PACKET_BROADCAST) && ctx->protocol != bpf_htons(ETH_P_ARP))
		return dropped(ctx, &p, 0, DROP_FRAME, DIRECTION_OUT);
	if (ctx->protocol == bpf_htons(ETH_P_IP))
		return encap_gateway(ctx, 0);
	if (ctx->protocol == bpf_htons(ETH_P_IPV6))
		return encap_gateway(ctx, 1);
	if (ctx->protocol == bpf_htons(ETH_P_ARP))
		return TC_ACT_UNSPEC;
	return dropped(ctx, &p, 0, DROP_FRAME, DIRECTION_OUT);
}

// epic_client_encap handles all packets that leave a client node through the underlay.
SEC("tc")
int epic_client_encap(struct __sk_buff *ctx)
{
	if (unlikely(ctx->tc_index == ENCAPSULATED)) {
		ctx->tc_index = 0;
		return TC_ACT_UNSPEC;
	}
	if (ctx->protocol == bpf_htons(ETH_P_IP))
		return encap_client(ctx, 0);
	if (ctx->protocol == bpf_htons(ETH_P_IPV6))
		return encap_client(ctx, 1);
	return TC_ACT_UNSPEC;
}

// epic_client_guard handles the same packets after epic_client_encap. It is attached
// differently, so no packet leaves outside its tunnel if epic_client_encap is removed.
SEC("tc")
int epic_client_guard(struct __sk_buff *ctx)
{
	if (ctx->protocol == bpf_htons(ETH_P_IP))
		return guard_client(ctx, 0);
	if (ctx->protocol == bpf_htons(ETH_P_IPV6))
		return guard_client(ctx, 1);
	return TC_ACT_UNSPEC;
}

// epic_decap handles all packets that arrive from the underlay.
SEC("tc")
int epic_decap(struct __sk_buff *ctx)
{
	if (gateway) {
		void *data = (void *)(long)ctx->data;
		void *end = (void *)(long)ctx->data_end;
		struct delivery *d = (void *)(long)ctx->data_meta;

		if ((void *)(d + 1) <= data && d->magic == DELIVERY && data + sizeof(struct ethhdr) <= end) {
			struct packet p = {};

			if (unlikely(ctx->pkt_type != PACKET_HOST))
				return dropped(ctx, &p, 0, DROP_FRAME, DIRECTION_IN);
			set_macs(data, d->mac);
			return deliver(d->ifindex, SERVICE_PEER);
		}
	}
	// The frame belongs to the interface of a VLAN, or to none.
	if (unlikely(ctx->vlan_present && ctx->vlan_tci & VLAN_VID_MASK))
		return TC_ACT_UNSPEC;
	if (ctx->protocol == bpf_htons(ETH_P_IP))
		return decap_ip(ctx, 0);
	if (ctx->protocol == bpf_htons(ETH_P_IPV6))
		return decap_ip(ctx, 1);
	return TC_ACT_UNSPEC;
}

// epic_xdp handles the same packets before tc, on interfaces that support it.
SEC("xdp")
int epic_xdp(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return xdp_ip(ctx, 0);
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		return xdp_ip(ctx, 1);
	return XDP_PASS;
}

// Some helpers are restricted to GPL programs.
char __license[] SEC("license") = "GPL";
