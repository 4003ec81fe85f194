// SPDX-License-Identifier: Apache-2.0

// Package cni is the node program's side of EPIC's CNI plugin: it determines which pods
// are proxies and what each of them needs, records attachments, and repairs them.
//
// The plugin itself, in package plugin, performs an ADD and a DEL in its own process,
// which the container runtime starts with all privileges. Therefore a DEL works without
// the node program, and the node program needs few privileges. It only enters a pod's
// network namespace to recreate a deleted interface, which requires CAP_SYS_ADMIN and the
// mount of /run/netns. Without them, it reports what it cannot repair.
package cni
