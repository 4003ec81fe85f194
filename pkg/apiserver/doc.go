// SPDX-License-Identifier: Apache-2.0

// Package apiserver builds the EPIC API server from the generic API server of Kubernetes,
// the registry with EPIC's kinds, and etcd.
//
// Config, Complete and New work as in any aggregated API server. Package options reads the
// command line, package embedetcd runs the embedded etcd, package pki creates the
// certificates of a standalone server, and package backup writes and reads snapshots. This
// package does not know the individual kinds.
package apiserver
