// SPDX-License-Identifier: Apache-2.0

// Package publish decides what a client cluster publishes in EPIC. It is pure: objects of
// the client cluster go in, the EPIC objects that should exist and the statuses of the
// client cluster's own objects come out, and equal input gives equal output.
//
// There is one function per kind: Class, Gateway (with its ListenerSets), RouteOf and
// (*Route).Publish, Policy, EndpointSlice and Service. Each reads other objects through a
// View, so a change of one object costs what that object needs and not what the
// cluster holds.
//
// The rules are those of the Gateway API v1.6.3, experimental channel. Everything that
// only the client cluster can answer is resolved here and arrives resolved in EPIC:
// references to other namespaces and their grants, the namespaces and kinds that a
// listener allows, conflicts between listeners, ports of Services, certificates,
// policies, and precedence.
package publish
