// SPDX-License-Identifier: Apache-2.0

// Package noderestriction restricts a node to writing its own state, regardless of RBAC:
// its own entries of proxy-if-info in the status of load balancers and gateway proxies,
// its own GatewayNode object, and, for nodes of earlier releases, its own entry of nodes
// in the status of the EPIC object. A compromised node therefore can't report for others.
// A node can only write proxy-if-info entries of proxies that run on it, as determined by
// package placement.
//
// The plugin checks the object that is about to be stored, so all requests are treated
// alike: updates, patches and applies, of the object or its status, of single objects or
// collections, including dry runs. Package nodeidentity determines which node sent a
// request.
package noderestriction
