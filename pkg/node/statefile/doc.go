// SPDX-License-Identifier: Apache-2.0

// Package statefile manages the files that a node program needs when it restarts: its last
// state, and a lock that excludes a second program. Files are replaced atomically, and
// damaged files are detected. The package does not know their contents.
package statefile
