// SPDX-License-Identifier: Apache-2.0

// Package embedetcd runs one etcd member inside the process of the API server,
// for an installation of one server that wants no etcd cluster to look after.
//
// The member listens on a unix socket in its own data directory and nothing else, so
// the permissions of that directory decide who can reach it. It keeps
// etcd's defaults for durability: an acknowledged write is on disk.
//
// The package knows nothing of Kubernetes. It does not compact the history
// (the API server's compactor does) and does not form a cluster: for several
// members run etcd by itself and name it with --etcd-servers.
package embedetcd
