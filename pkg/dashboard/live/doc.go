// SPDX-License-Identifier: Apache-2.0

// Package live keeps an overview of an installation up to date by watches.
//
// It reads with the rights of its caller and leaves out what these do not allow. If the API
// is away, it reports so and keeps the last state, and it continues when the API is back.
package live
