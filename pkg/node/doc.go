// SPDX-License-Identifier: Apache-2.0

// Package node is the node program: it combines the API, the data plane, the control
// protocol and the host's network on one node. Gateway is its role on a gateway node,
// Client that on a client node. Each of the packages below does one part and does not
// depend on the others; this package wires them together, in an order in which a start
// loses no packet:
//
//  1. Objects that an earlier program left in the kernel keep working.
//  2. The last state on disk is applied, and the control protocol starts.
//  3. The API is watched; objects that it no longer has are removed.
//  4. Only when everything wanted is applied, leftovers are removed, and from then on,
//     removed objects are restored.
//
// When the program ends, everything that it created stays. It runs no shell command.
package node
