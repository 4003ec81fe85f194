// SPDX-License-Identifier: Apache-2.0

// Package netlab makes small networks of namespaces on one machine: hosts,
// veth pairs, bridges, routers and NATs, in which tests run real programs. Everything that
// a lab made goes when it is closed. It needs root, and it knows nothing of
// EPIC.
package netlab
