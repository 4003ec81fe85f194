// SPDX-License-Identifier: Apache-2.0

// Package speaker announces routes to BGP peers. It is declarative: Apply updates the
// sessions and the routes. It does not import routes: everything that a peer sends is
// refused, and a peer that exceeds its limit loses its session for a while.
//
// It uses the gobgp library. A session carries the address family of the peer's address,
// and the next hop of each route is the local address of the session.
package speaker
