// SPDX-License-Identifier: Apache-2.0

package validation

import "runtime"

// allocated returns the number of bytes that f allocates. Bytes, unlike time, are the
// same on a busy machine.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
