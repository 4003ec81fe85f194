// SPDX-License-Identifier: Apache-2.0

// Package speaker announces routes to BGP peers. It is declarative: Apply makes the
// sessions and the routes equal to what is wanted. It imports nothing: whatever a peer
// sends is refused, and a peer that sends more than it may loses its session for a while.
//
// The protocol is gobgp's. A session carries the address family of the peer's address,
// and the next hop of each route is the local address of the session.
package speaker
