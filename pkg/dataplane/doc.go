// SPDX-License-Identifier: Apache-2.0

// Package dataplane carries packets through GUE tunnels with eBPF programs. It
// loads and pins the programs and their maps, attaches them to interfaces, and
// gives the rest of a node program small interfaces to fill the maps with and to
// read counters from.
//
// It knows nothing of Kubernetes, of keys or of control messages: its caller names the
// tunnels and their verified remotes. Programs never change a tunnel. What is pinned
// keeps working when the process ends.
package dataplane
