// SPDX-License-Identifier: Apache-2.0

// Package layer2 answers ARP and neighbor discovery for public addresses, so a network
// without BGP sends what is for them to this node. One node answers for an address.
//
// Nodes elect it on the wire, for each address and interface, without any other server:
//
//   - A candidate, a node on which a proxy of the address is ready, probes for the address as
//     RFC 5227 and RFC 4862 have a host do that would like to use it. The owner answers.
//   - A candidate whose probes are not answered announces the address and is the owner. Candidates that
//     come later in the order wait longer. So none answers while another does, and each
//     part of a network that is split has an owner.
//   - The order is that of rendezvous hashing, over the address and the nodes' hardware
//     addresses: the addresses spread over the nodes, and few move when a node comes or goes.
//   - An owner that hears the announcement of another yields if that comes first in the
//     order, and repeats its own otherwise.
//   - An owner that is no longer ready, or is not the first of candidates that have been there
//     for a while, no longer answers the probes of the candidate that shall have the address, but
//     answers everybody else. So it hands over without a gap.
//
// [Election] is the state machine: it neither sends nor waits. [Server] has the sockets.
package layer2
