// SPDX-License-Identifier: Apache-2.0

package embedetcd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// memberDirectory holds etcd's own files: the log and the database.
	memberDirectory = "etcd"
	// socketName is short because the whole path has to fit into a socket address.
	socketName = "etcd.sock"
	// maxSocketPath is the maximum length of a path in a unix socket's address on Linux
	// (108 bytes with the terminating zero); other systems allow slightly less.
	maxSocketPath = 103
)

// MemberDir returns the directory under dataDir in which etcd stores its data.
func MemberDir(dataDir string) string {
	return filepath.Join(dataDir, memberDirectory)
}

// SocketPath returns the path of the socket that the member under dataDir serves.
func SocketPath(dataDir string) string {
	return filepath.Join(dataDir, socketName)
}

// Endpoint returns the address of the member under dataDir for an etcd client.
func Endpoint(dataDir string) string {
	return "unix://" + SocketPath(dataDir)
}

// Initialized reports whether dataDir contains a member's data.
func Initialized(dataDir string) (bool, error) {
	entries, err := os.ReadDir(filepath.Join(MemberDir(dataDir), "member"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("data directory %s: %w", dataDir, err)
	}
	return len(entries) > 0, nil
}

// Prepare makes dataDir usable: existing, private to this user, and short enough for a
// socket. It returns the absolute path.
func Prepare(dataDir string) (string, error) {
	if dataDir == "" {
		return "", errors.New("the data directory is not set: set --data-dir")
	}
	abs, err := filepath.Abs(dataDir)
	if err != nil {
		return "", fmt.Errorf("data directory %s: %w", dataDir, err)
	}
	if n := len(SocketPath(abs)); n > maxSocketPath {
		return "", fmt.Errorf("the path of the data directory is too long for a Unix socket: %s has %d characters, and the maximum is %d: choose a shorter --data-dir", SocketPath(abs), n, maxSocketPath)
	}
	for _, dir := range []string{abs, MemberDir(abs)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", fmt.Errorf("can't create the data directory: %w; choose another --data-dir, or make this one writable for the user that runs the server", err)
		}
		// Users who can enter the directory can use the socket, so restrict the
		// permissions of an existing directory.
		if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a directory requires 0700
			return "", fmt.Errorf("can't make the data directory private: %w", err)
		}
	}
	return abs, nil
}
