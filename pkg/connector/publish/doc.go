// SPDX-License-Identifier: Apache-2.0

// Package publish computes what a client cluster publishes in EPIC. It is pure: from
// objects of the client cluster it computes the desired EPIC objects and the statuses of
// the client cluster's objects, and equal input gives equal output.
//
// There is one function per kind: Class, Gateway (with its ListenerSets), RouteOf and
// (*Route).Publish, Policy, EndpointSlice and Service. Each reads other objects through a
// View, so the cost of a change depends on what the object needs, not on the size of the
// cluster.
//
// The rules are those of the Gateway API v1.6.3, experimental channel. Everything that
// only the client cluster knows is resolved here before it is sent to EPIC: references to
// other namespaces and their grants, the namespaces and kinds that a listener allows,
// conflicts between listeners, ports of Services, certificates, policies, and precedence.
package publish
