// SPDX-License-Identifier: Apache-2.0

// Package edge decides which edge settings hold for a proxy: its own as far as its
// service group allows them, the group's where it has none, and defaults for the rest. It
// is pure. The API server refuses what the group does not allow, and the operator, which
// sees groups change later, ignores it.
package edge
