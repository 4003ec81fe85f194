// SPDX-License-Identifier: Apache-2.0

// Package apiserver puts the EPIC API server together from its parts: the
// generic API server of Kubernetes, the registry with EPIC's kinds, and the
// etcd under it.
//
// Config, Complete and New are as in any aggregated API server. The command
// line is read in package options, the embedded etcd runs in package embedetcd,
// the certificates of a standalone server come from package pki, and package
// backup writes and reads snapshots. What the kinds are and what they may hold
// is not known here.
package apiserver
