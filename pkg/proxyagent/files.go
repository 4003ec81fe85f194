// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"errors"
	"io/fs"
	"os"
)

// writeFile atomically replaces a file. It does not sync: a store on a disk does that for
// many files together.
func writeFile(path string, content []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// removeFile removes a file if it exists.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
