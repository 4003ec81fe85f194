// SPDX-License-Identifier: Apache-2.0

// Package host keeps what a gateway node needs outside its proxies' pods: the
// bridges to which their second interfaces are attached, the routes of their
// public addresses, and the firewall that lets only published ports through.
//
// It is declarative: it is told what there has to be, makes the kernel equal to
// that, and restores what somebody removes. It uses netlink and nftables
// directly and runs no command. It knows nothing of Kubernetes, makes no proxy's
// interface, and touches no tunnel.
//
// # Objects on the host
//
// Everything is marked, so a program that restarts finds what an earlier
// one made, and nothing else is ever changed or removed:
//
//   - bridges, with the alias [Alias] and a hardware address computed from the
//     bridge's name, so what proxies know of it stays true when it is made
//     again. Its ports are isolated: proxies reach each other, if at all, through
//     the node's routing and its firewall.
//   - the announced routes, in the main table, with the protocol number
//     [RouteProtocol]: one for each public address, or for the aggregate that the
//     pool asks for, while a proxy on this node is ready. package announce announces
//     them, or a routing daemon exports the routes of that protocol.
//   - the delivery routes, in a table of their own ([Table]) which a rule looks up
//     before the main table: one for each address, to all of its proxies on this
//     node, so several share the load. A proxy is addressed by permanent
//     neighbor entries, and never asked by ARP or neighbor discovery, so it cannot
//     claim another's address.
//   - the routes of connections, while an address has several proxies: one table for each
//     slot (see [MarkMask]) with a rule by the packet's mark before the delivery table's.
//     So a connection stays with the proxy that has it.
//   - the nftables table inet/[FirewallTable]. It lets visitors reach published ports
//     only, and lets out only what proxies answer from these and what they send to their
//     direct endpoints. Other tables are not changed: a drop policy of another firewall still drops, and has to be opened
//     there.
//
// Settings of the whole machine (forwarding), and other firewalls that drop forwarded
// packets, are looked at and reported, not changed.
package host
