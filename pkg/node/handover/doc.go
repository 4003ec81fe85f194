// SPDX-License-Identifier: Apache-2.0

// Package handover decides how long a proxy that ends keeps getting new connections.
//
// When a pod is deleted, its Envoy serves as usual for some seconds more. A gateway node
// that withdrew the route at once would leave the address without a proxy until another pod
// of the object is ready, for example when a node is drained. So the node keeps the route
// until one is, on whichever node, and for a limited time: the proxy ends in any case.
package handover
