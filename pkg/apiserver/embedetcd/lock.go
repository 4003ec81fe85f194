// SPDX-License-Identifier: Apache-2.0

package embedetcd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
)

// lockName is the name of the lock file that shows which process uses a data directory.
const lockName = "lock"

// HeldError indicates that another process uses a data directory.
type HeldError struct {
	// DataDir is the directory.
	DataDir string
	// PID is the process ID in the lock file, or 0.
	PID int
}

// Error implements error.
func (e *HeldError) Error() string {
	holder := "another process"
	if e.PID != 0 {
		holder = fmt.Sprintf("another process (pid %d)", e.PID)
	}
	return fmt.Sprintf("data directory %s is in use by %s; stop that process, or choose another --data-dir", e.DataDir, holder)
}

// lockDir locks dataDir for the lifetime of this process. etcd has its own lock, but
// waits for it silently, and first removes the socket of the running member. The kernel
// releases the lock when the process ends for any reason.
func lockDir(dataDir string) (*fileutil.LockedFile, error) {
	path := filepath.Join(dataDir, lockName)
	f, err := fileutil.TryLockFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fileutil.ErrLocked) {
		return nil, &HeldError{DataDir: dataDir, PID: readPID(path)}
	}
	if err != nil {
		return nil, fmt.Errorf("can't lock the data directory: %w; choose another --data-dir, or make this one writable for the user that runs the server", err)
	}
	if err := writePID(f); err != nil {
		f.Close() //nolint:errcheck,gosec // the write's error says more
		return nil, fmt.Errorf("can't write to the data directory %s: %w", dataDir, err)
	}
	return f, nil
}

func writePID(f *fileutil.LockedFile) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func readPID(path string) int {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0
	}
	return pid
}
