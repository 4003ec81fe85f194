// SPDX-License-Identifier: Apache-2.0

// Package announce makes the network send visitors' packets to this node: by BGP or, on a
// network without BGP, by answering ARP and neighbor discovery. It only announces
// addresses that package host delivers to ready proxies.
//
// [Make] is pure: from the platform's settings, the node's labels and the delivered
// addresses, it computes what to announce and to whom. [Announcer] applies the result with
// package speaker (BGP) and package bfd, which detects the loss of a peer within a
// fraction of a second, or with package layer2 (ARP and neighbor discovery).
//
// When a program exits normally, peers that support graceful restart keep its routes,
// because packets are forwarded without it. The next program only announces routes once it
// knows all of them: peers withdraw routes that they do not receive again.
package announce
