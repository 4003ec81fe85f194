// SPDX-License-Identifier: Apache-2.0

package validation

import "runtime"

// allocated is how many bytes f allocates in all. Bytes, unlike time, are the
// same on a busy machine.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
