// SPDX-License-Identifier: Apache-2.0

// Package edge computes the effective edge settings of a proxy: its own as far as its
// service group allows them, otherwise the group's, and otherwise the defaults. It is
// pure. The API server refuses settings that the group does not allow, and the operator,
// which may see later changes of the group, ignores them.
package edge
