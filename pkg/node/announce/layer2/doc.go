// SPDX-License-Identifier: Apache-2.0

// Package layer2 answers ARP and neighbor discovery for public addresses, so a network
// without BGP sends their packets to this node. One node answers for each address.
//
// Nodes elect it on the wire, for each address and interface, without any other server:
//
//   - A candidate, a node with a ready proxy of the address, probes for the address like a
//     host that wants to use it, as specified in RFC 5227 and RFC 4862. The owner answers.
//   - A candidate whose probes are not answered announces the address and becomes the owner.
//     Candidates that are later in the order wait longer. So no node answers while another
//     does, and each part of a partitioned network has an owner.
//   - The order is determined by rendezvous hashing over the address and the nodes' hardware
//     addresses: the addresses are spread over the nodes, and few move when a node is added
//     or removed.
//   - An owner that receives the announcement of another node yields if that comes first in
//     the order, and otherwise repeats its own.
//   - An owner that is no longer ready, or is not the first of the candidates that have been
//     present for a while, no longer answers the probes of the candidate that should get the
//     address, but answers everybody else. So the handover has no gap.
//
// [Election] is the state machine: it neither sends nor waits. [Server] has the sockets.
package layer2
