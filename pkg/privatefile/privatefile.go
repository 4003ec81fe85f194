// SPDX-License-Identifier: Apache-2.0

// Package privatefile replaces files that only their owner may read: keys, tokens,
// and state that a program keeps between runs.
package privatefile

import (
	"fmt"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// mode allows only the owner to read and write a file.
const mode = 0o600

// Write atomically replaces a file by the concatenation of parts: neither a reader nor a
// crash sees a partial file. The mode of an existing file does not matter.
func Write(path string, parts ...[]byte) (err error) {
	// The temporary file is in the same directory: another one may be readable by others,
	// or on another file system.
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(mode))
	if err != nil {
		return fmt.Errorf("can't write %s: %w", path, err)
	}
	defer f.Cleanup() //nolint:errcheck // the first error is more informative
	for _, b := range parts {
		if _, err := f.Write(b); err != nil {
			return fmt.Errorf("can't write %s: %w", path, err)
		}
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("can't write %s: %w", path, err)
	}
	return nil
}
