// SPDX-License-Identifier: Apache-2.0

package backup

import "syscall"

// freeBytes returns how many bytes this user can still write to a directory.
func freeBytes(dir string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil
}
