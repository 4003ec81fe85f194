// SPDX-License-Identifier: Apache-2.0

// Package announce has the network send visitors' packets to this node: by BGP, or on
// a network without BGP by answering ARP and neighbor discovery. It announces what
// package host delivers to proxies that are ready, and nothing else.
//
// [Make] is pure: it computes from the platform's settings, the node's labels and what is
// delivered what there is to announce and to whom. [Announcer] carries it out, by package
// speaker (BGP) and package bfd, which finds out within a fraction of a second that a peer
// is lost, or by package layer2 (ARP and neighbor discovery).
//
// A program that ends in order leaves its routes with the peers that agreed to graceful
// restart, because packets are forwarded without it. The next program announces only when
// it knows everything that it delivers: what a peer does not hear again is withdrawn.
package announce
