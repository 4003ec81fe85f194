// SPDX-License-Identifier: Apache-2.0

// Package dataplane carries packets through GUE tunnels with eBPF programs. It loads and
// pins the programs and their maps, attaches them to interfaces, and provides small
// interfaces with which the rest of a node program fills the maps and reads counters.
//
// It does not know Kubernetes, keys or control messages: its caller provides the tunnels
// and their verified remotes. BPF programs never change a tunnel. Pinned state keeps
// working when the process exits.
package dataplane
