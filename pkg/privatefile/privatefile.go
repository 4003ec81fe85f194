// SPDX-License-Identifier: Apache-2.0

// Package privatefile replaces files that only their owner may read: keys, tokens,
// and state that a program keeps between runs.
package privatefile

import (
	"fmt"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// mode lets only the owner read and write a file.
const mode = 0o600

// Write replaces a file by the parts of its content, one after the other, in one
// step: no reader and no crash sees a part of it. The mode of a file that is there
// does not matter.
func Write(path string, parts ...[]byte) (err error) {
	// The temporary file is in the same folder: another one may be readable by
	// others, or on another file system.
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(mode))
	if err != nil {
		return fmt.Errorf("can't write %s: %w", path, err)
	}
	defer f.Cleanup() //nolint:errcheck // the first error says more
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
