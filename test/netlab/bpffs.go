// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// BPFFS mounts a file system for pinned programs and maps for the test, and returns its
// directory. The end of the test unmounts it, which removes what is pinned in it.
func BPFFS(t testing.TB) string {
	t.Helper()
	Require(t)
	dir := filepath.Join(t.TempDir(), "bpf")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Fatalf("mount a bpffs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount the bpffs: %v", err)
		}
	})
	return dir
}
