// SPDX-License-Identifier: Apache-2.0

// Package fieldset lets the objects of a kind be selected by fields: those of
// one value, such as an address, and those of many, such as the nodes to which
// an object has tunnels.
//
// Kubernetes gives an object one value for each field, and compares it as a
// whole. Here a field of many values is the list of them between commas, and
// the selector that reaches the storage knows which fields are lists. A field
// is also an index of the watch cache, which does take many values an object:
// a node's list then costs what concerns that node, not what the system holds.
package fieldset
