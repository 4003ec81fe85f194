// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// disk is a separate file system, ext4 on a loop device, that can be slow and full.
type disk struct {
	path string
	mu   sync.Mutex
}

// newDisk makes and mounts one of a size at a path. The file is sparse.
func newDisk(ctx context.Context, image, path string, size int64) (*disk, error) {
	file, err := os.OpenFile(image, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(file.Truncate(size), file.Close(), os.MkdirAll(path, 0o700)); err != nil {
		return nil, err
	}
	for _, command := range [][]string{
		// No blocks are reserved for root, for whom the disk would never be full.
		{"mkfs.ext4", "-q", "-F", "-m", "0", image},
		{"mount", "-o", "loop", image, path},
	} {
		if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, out)
		}
	}
	return &disk{path: path}, nil
}

// fill takes all the space there is until the returned function is called.
func (d *disk) fill() (restore func() error, err error) {
	path := filepath.Join(d.path, "chaos.fill")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	var at int64
	for step := int64(64 << 20); step >= 4096; {
		if err := unix.Fallocate(int(file.Fd()), 0, at, step); err == nil {
			at += step
		} else if errors.Is(err, unix.ENOSPC) {
			step /= 2
		} else if !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(err, file.Close(), os.Remove(path))
		}
	}
	return func() error { return os.Remove(path) }, file.Close()
}

// The ioctls of linux/fs.h that stop all writes to a file system, and let them continue.
const (
	fiFreeze = 0xC0045877
	fiThaw   = 0xC0045878
)

// slow has writes stand still for most of the time until the context ends.
func (d *disk) slow(ctx context.Context, still, moving time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, err := os.Open(d.path)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	for ctx.Err() == nil {
		if err := unix.IoctlSetInt(int(dir.Fd()), fiFreeze, 0); err != nil {
			return fmt.Errorf("freeze %s: %w", d.path, err)
		}
		pause(ctx, still)
		if err := unix.IoctlSetInt(int(dir.Fd()), fiThaw, 0); err != nil {
			return fmt.Errorf("thaw %s: %w", d.path, err)
		}
		pause(ctx, moving)
	}
	return nil
}
