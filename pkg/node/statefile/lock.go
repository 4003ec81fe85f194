// SPDX-License-Identifier: Apache-2.0

package statefile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
)

// Lock is held by at most one process. The kernel releases it when the process ends for
// any reason.
type Lock struct{ file *fileutil.LockedFile }

// Acquire creates the directory, accessible only to root, and locks it. If another
// process holds the lock, the error names it.
func Acquire(directory string) (*Lock, error) {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, fmt.Errorf("create the state directory: %w", err)
	}
	path := filepath.Join(directory, "lock")
	file, err := fileutil.TryLockFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if errors.Is(err, fileutil.ErrLocked) {
		holder := "another process"
		if b, e := os.ReadFile(path); e == nil && len(b) > 0 {
			holder = "process " + strings.TrimSpace(string(b))
		}
		return nil, fmt.Errorf("another node program, %s, uses the state directory %s: stop it, or use another directory", holder, directory)
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := file.Truncate(0); err == nil {
		_, err = fmt.Fprintf(file, "%d\n", os.Getpid())
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
	return &Lock{file}, nil
}

// Release releases the lock.
func (l *Lock) Release() error { return l.file.Close() }
