// SPDX-License-Identifier: Apache-2.0

package embedetcd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

// checkDatabase opens and closes the database. If etcd can't open it, etcd panics in a
// separate goroutine, which can't be recovered.
func checkDatabase(dataDir string) error {
	path := filepath.Join(MemberDir(dataDir), "member", "snap", "db")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return db.Close()
}

func unreadable(err error) error {
	return fmt.Errorf("its files can't be read: %w; restore a snapshot into a new directory (epic-apiserver restore)", err)
}
