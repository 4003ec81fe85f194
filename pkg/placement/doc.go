// SPDX-License-Identifier: Apache-2.0

// Package placement decides whether a proxy runs on a gateway node. What a node
// reports about its proxies, and the keys that it gets for their tunnels, are
// worth no more than this: a node that was broken into reports what it likes.
//
// A proxy runs where status.proxy-placements of its object lists it. A proxy that
// is not listed there is a pod of the gateway cluster, and runs on the Node to
// which the cluster's scheduler bound it. A server in standalone mode has no
// cluster, so there the list alone decides.
package placement
