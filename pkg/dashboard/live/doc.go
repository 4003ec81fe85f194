// SPDX-License-Identifier: Apache-2.0

// Package live keeps an overview of an installation up to date with watches.
//
// It reads with the permissions of its caller and leaves out everything else. If the API
// is unavailable, it reports this, keeps the last state, and continues when the API is
// available again.
package live
