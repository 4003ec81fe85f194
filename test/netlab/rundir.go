// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// runDir is the directory in which "ip netns" and nsenter look for namespaces by name.
const runDir = "/run/netns"

// named is the directory of names as it was when this process first used it. The
// descriptor refers to it even if something is mounted over the path later.
var named = sync.OnceValues(func() (int, error) {
	if err := os.MkdirAll(runDir, 0o755); err != nil { //nolint:gosec // like "ip netns"
		return -1, err
	}
	if err := share(runDir); err != nil {
		return -1, fmt.Errorf("make %s a shared mount: %w", runDir, err)
	}
	return unix.Open(runDir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
})

// share makes the directory a separate shared mount, as "ip netns" does on its first run.
// If "ip netns" ran first after a namespace got its name, its mount of the directory over
// itself would hide the name's mount, which could no longer be unmounted.
func share(dir string) error {
	err := unix.Mount("", dir, "", unix.MS_SHARED|unix.MS_REC, "")
	if !errors.Is(err, unix.EINVAL) {
		return err
	}
	if err := unix.Mount(dir, dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	return unix.Mount("", dir, "", unix.MS_SHARED|unix.MS_REC, "")
}

// bind gives the calling thread's network namespace a name.
func bind(name string) (string, error) {
	if _, err := named(); err != nil {
		return "", err
	}
	path := filepath.Join(runDir, name)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444) //nolint:gosec // like "ip netns"
	if err != nil {
		return "", err
	}
	if err := file.Close(); err != nil {
		return "", err
	}
	self := fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
	if err := unix.Mount(self, path, "none", unix.MS_BIND, ""); err != nil {
		return "", errors.Join(fmt.Errorf("mount %s: %w", path, err), os.Remove(path))
	}
	return path, nil
}

// unbind removes a name, regardless of the number of mounts on it and of mounts over the
// directory since then.
func unbind(path string) error {
	dir, err := named()
	if err != nil {
		return err
	}
	inside := fmt.Sprintf("/proc/self/fd/%d/%s", dir, filepath.Base(path))
	if err := errors.Join(unmountAll(path), unmountAll(inside)); err != nil {
		return err
	}
	if err := os.Remove(inside); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// unmountAll removes every mount at a path.
func unmountAll(path string) error {
	for {
		switch err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); {
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
			return nil // nothing is mounted there
		case err != nil:
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
}
