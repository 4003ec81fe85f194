// SPDX-License-Identifier: Apache-2.0

// Package noderestriction lets a node write only what concerns that node,
// whatever RBAC lets it write: its own entries of proxy-if-info in the status of
// load balancers and gateway proxies, its own GatewayNode object, and, for nodes of
// earlier releases, its own entry of nodes in the status of the EPIC object. A node
// that was broken into can then not speak for others. Its
// entries of proxy-if-info are those of proxies that run on it, which package
// placement decides, so it can't reach proxies that were never there.
//
// It looks at the object as it is about to be stored, so it makes no
// difference by which request it came: update, patch or apply, of the object or
// its status, alone or in a collection, for real or as a dry run. Which node sent
// a request package nodeidentity says.
package noderestriction
