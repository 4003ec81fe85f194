// SPDX-License-Identifier: Apache-2.0

// Package embedetcd runs one etcd member in the process of the API server, for an
// installation with one server and no separate etcd cluster.
//
// The member only listens on a Unix socket in its data directory, so the permissions of
// that directory determine who can reach it. It uses etcd's default durability: an
// acknowledged write is on disk.
//
// The package does not depend on Kubernetes. It does not compact the history, which the
// API server's compactor does, and does not form a cluster: for several members, run etcd
// separately and set --etcd-servers.
package embedetcd
