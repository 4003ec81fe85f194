// SPDX-License-Identifier: Apache-2.0

package statefile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/acnodal/epic/pkg/privatefile"
)

// ErrDamaged indicates that a file has been corrupted, or was written in a version that
// this program does not read.
var ErrDamaged = errors.New("damaged state file")

// File is a file with a JSON value. Its first line contains the version and a checksum of
// the rest. Only its owner may read it, because it may contain keys.
type File struct {
	// Path is the path of the file, in a directory used only by the node program.
	Path string
	// Version is the version of the value's format.
	Version int
}

// Load reads the value. It returns false if there is no file.
func (f File) Load(value any) (bool, error) {
	b, err := os.ReadFile(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	line, body, _ := bytes.Cut(b, []byte("\n"))
	if string(line) != f.header(body) {
		return false, fmt.Errorf("%s: %w: its first line does not fit the rest", f.Path, ErrDamaged)
	}
	if err := json.Unmarshal(body, value); err != nil {
		return false, fmt.Errorf("%s: %w: %w", f.Path, ErrDamaged, err)
	}
	return true, nil
}

// Save replaces the file. If it succeeds, the value survives a power failure; if it
// fails, the file is unchanged.
func (f File) Save(value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if err := privatefile.Write(f.Path, []byte(f.header(body)+"\n"), body); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(f.Path))
}

func (f File) header(body []byte) string {
	sum := sha256.Sum256(body)
	return fmt.Sprintf("epic-node state %d %s", f.Version, hex.EncodeToString(sum[:]))
}

func syncDirectory(path string) (err error) {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return d.Sync()
}
