// SPDX-License-Identifier: Apache-2.0

// Package netlab creates small networks of namespaces on one machine: hosts, veth pairs,
// bridges, routers and NATs, in which tests run real programs. Closing a lab removes
// everything that it created. The package requires root, and does not depend on EPIC.
package netlab
