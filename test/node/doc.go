// SPDX-License-Identifier: Apache-2.0

// Package node tests the node programs end to end: API objects alone make packets
// flow through a small Internet of namespaces, with a real API server, the
// controller and both node programs as processes. It needs root.
package node
