// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//go:build ignore

// The programs of EPIC's data plane. docs/dataplane.md walks a packet through them.

#include "decap.h"
#include "encap.h"
#include "xdp.h"

// Every packet that a proxy's pod sends, on the host's end of its interface.
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

// Every packet that leaves a client node by the underlay.
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

// The same packets once more, attached in another way, so nothing leaves outside a
// tunnel if somebody removes the program above.
SEC("tc")
int epic_client_guard(struct __sk_buff *ctx)
{
	if (ctx->protocol == bpf_htons(ETH_P_IP))
		return guard_client(ctx, 0);
	if (ctx->protocol == bpf_htons(ETH_P_IPV6))
		return guard_client(ctx, 1);
	return TC_ACT_UNSPEC;
}

// Every packet that comes from the underlay.
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
	// The frame is for an interface of a VLAN, or for nobody.
	if (unlikely(ctx->vlan_present && ctx->vlan_tci & VLAN_VID_MASK))
		return TC_ACT_UNSPEC;
	if (ctx->protocol == bpf_htons(ETH_P_IP))
		return decap_ip(ctx, 0);
	if (ctx->protocol == bpf_htons(ETH_P_IPV6))
		return decap_ip(ctx, 1);
	return TC_ACT_UNSPEC;
}

// The same, before tc, where the interface can.
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

// Some helpers are for programs under the GPL only.
char __license[] SEC("license") = "GPL";
