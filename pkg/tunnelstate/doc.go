// SPDX-License-Identifier: Apache-2.0

// Package tunnelstate determines which tunnels are up from the reports of gateway nodes
// in their GatewayNode objects. The controller sets conditions from it, and the operator
// selects endpoints.
//
// The state of a tunnel only counts if it comes from the gateway node on which the tunnel
// ends, which the caller knows from the load balancer or gateway proxy that has the
// tunnel. So a compromised gateway node can only report wrong states for its own tunnels.
//
// A tunnel without a report is Unknown, never Down: a node of an earlier release does not
// report, a node that has just started does not know yet, and the reports of a node that
// stopped sending heartbeats are outdated.
package tunnelstate
