// SPDX-License-Identifier: Apache-2.0

// Package cni is the node program's side of EPIC's CNI plugin: it reports which pods are
// proxies and what each of them needs, keeps what was attached, and repairs it.
//
// The plugin itself, in the package plugin, does the work of an ADD and a DEL, in its own
// process, which the container runtime starts with all rights. So a DEL works without the
// node program, and the node program needs few rights: only to make an interface again
// that somebody deleted it enters a pod's network namespace, for which it needs
// CAP_SYS_ADMIN and the mount of /run/netns. Without them it describes what it cannot
// repair.
package cni
