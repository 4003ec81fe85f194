// SPDX-License-Identifier: Apache-2.0

// Package host maintains what a gateway node needs outside its proxies' pods: the bridges
// to which their second interfaces are attached, the routes of their public addresses,
// and the firewall that only allows published ports.
//
// It is declarative: it gets a desired state, updates the kernel, and restores what
// somebody removes. It uses netlink and nftables directly and runs no command. It does
// not depend on Kubernetes, does not create proxies' interfaces, and does not change
// tunnels.
//
// # Objects on the host
//
// Everything is marked, so a program that restarts finds what an earlier one created, and
// no other object is ever changed or removed:
//
//   - bridges, with the alias [Alias] and a hardware address computed from the
//     bridge's name, so the proxies' neighbor entries stay valid when a bridge is
//     recreated. Its ports are isolated: proxies reach each other, if at all, through
//     the node's routing and its firewall.
//   - the announced routes, in the main table, with the protocol number
//     [RouteProtocol]: one for each public address, or for the aggregate that the
//     pool requests, while a proxy on this node is ready. Package announce announces
//     them, or a routing daemon exports the routes of that protocol.
//   - the delivery routes, in a separate table ([Table]) which a rule looks up before
//     the main table: one for each address, to all of its proxies on this node, so
//     several share the load. A proxy is addressed by permanent neighbor entries, and
//     never resolved by ARP or neighbor discovery, so it cannot claim another's
//     address.
//   - the routes of connections, while an address has several proxies: one table for
//     each slot (see [MarkMask]) with a rule by the packet's mark before that of the
//     delivery table. So a connection stays with its proxy.
//   - the nftables table inet/[FirewallTable]. It allows visitors to reach published
//     ports only, and only allows the replies of proxies from these and packets to
//     their direct endpoints. Other tables are not changed: a drop policy of another
//     firewall still drops, and has to be opened there.
//
// Settings of the whole machine (forwarding), and other firewalls that drop forwarded
// packets, are checked and reported, not changed.
package host
