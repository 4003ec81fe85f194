// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"errors"
	"io/fs"
	"os"
)

// writeFile replaces a file in one step: every reader sees the old or the new content.
// Nothing is synced, since a folder in memory does not outlive the machine.
func writeFile(path string, content []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// removeFile removes a file if it is there.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
