// SPDX-License-Identifier: Apache-2.0

// Package holdback decides how long the addresses of a new proxy wait for its tunnels
// before this node announces them.
//
// A proxy is ready as soon as its Envoy is configured. The tunnels from this node to the
// endpoints open at about the same time, but not at the same moment: the controller has
// to write them, both nodes have to fetch their keys, and the far end has to prove its
// address. A node that announced the address before that would attract visitors from
// nodes that serve them, and reset their connections. So a node waits until the tunnels
// carry packets.
//
// The rule only delays the first announcement. It never withdraws a route that was
// announced, and waiting ends after a limited time regardless of the tunnels, because an
// error response is better than no route. The limit is short if no other gateway node has
// a proxy of the object: then no node serves the visitors in the meantime, and waiting
// only helps if the tunnels are about to open.
//
// The package is pure: it neither reads a clock nor performs I/O.
package holdback
