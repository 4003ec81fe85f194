// SPDX-License-Identifier: Apache-2.0

// Package handover decides how long a terminating proxy gets new connections.
//
// When a pod is deleted, its Envoy keeps serving for some seconds. If a gateway node
// withdrew the route immediately, the address would have no proxy until another pod of
// the object is ready, for example when a node is drained. Therefore the node keeps the
// route until another one is ready on any node, but only for a limited time, because the
// proxy terminates in any case.
package handover
