// SPDX-License-Identifier: Apache-2.0

// Package tunnelstate knows which tunnels work, from what gateway nodes report in
// their GatewayNode objects. The controller sets conditions by it, and the operator
// chooses endpoints by it.
//
// The state of a tunnel counts only if it comes from the gateway node on which the
// tunnel ends, which the caller knows from the load balancer or gateway proxy that
// has the tunnel. So a compromised gateway node can lie about its own tunnels and
// about no others.
//
// A tunnel on which nothing is known is Unknown, never Down: a node of an earlier
// release does not report, a node that has just started does not know yet, and the
// reports of a node that stopped sending heartbeats are out of date.
package tunnelstate
