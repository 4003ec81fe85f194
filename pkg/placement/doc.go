// SPDX-License-Identifier: Apache-2.0

// Package placement decides whether a proxy runs on a gateway node. A node's reports about
// its proxies, and the keys that it gets for their tunnels, depend on this decision,
// because a compromised node could report anything.
//
// A proxy runs where status.proxy-placements of its object lists it. A proxy that is not
// listed there is a pod of the gateway cluster, and runs on the Node to which the
// cluster's scheduler bound it. A standalone server has no cluster, so only the list
// counts there.
package placement
