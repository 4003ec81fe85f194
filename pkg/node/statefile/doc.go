// SPDX-License-Identifier: Apache-2.0

// Package statefile keeps files that a node program needs when it starts again:
// its last state, and a lock that keeps a second program away. A file is replaced
// whole or not at all, and a damaged one is noticed. It knows nothing of what is in
// them.
package statefile
