// SPDX-License-Identifier: Apache-2.0

// Package fieldset lets clients select the objects of a kind by fields with one value,
// such as an address, and fields with many values, such as the nodes to which an object
// has tunnels.
//
// Kubernetes gives an object one value for each field, and compares it as a whole. Here,
// a field with many values is a comma-separated list, and the selector that reaches the
// storage knows which fields are lists. A field is also an index of the watch cache,
// which accepts many values per object: the cost of a node's list then depends on the
// objects of that node, not on all objects.
package fieldset
