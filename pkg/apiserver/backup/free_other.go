// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package backup

import "math"

// freeBytes does not know: writing finds out.
func freeBytes(string) (uint64, error) { return math.MaxUint64, nil }
