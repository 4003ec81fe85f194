// SPDX-License-Identifier: Apache-2.0

// Package controller maintains the tunnels of load balancers and gateway proxies: one for
// each pair of a client node on which an endpoint runs and a gateway node on which a proxy
// runs. It removes pairs that are no longer needed, sets status conditions on every kind,
// and evicts gateway nodes that stop sending heartbeats.
//
// Each kind has a controller, run by controller-runtime, in <kind>_controller.go, which
// defines what it reconciles, from which caches, and on which events. Pure functions
// compute the plan of an object's tunnels (plan.go) and its conditions.
//
// The API server assigns tunnel IDs when a pair is written, and the node programs carry
// the packets.
//
// All decisions are made from caches, and a write only applies to the version of the
// object on which the decision was based. Running several controllers at once is safe;
// they only duplicate work.
package controller
