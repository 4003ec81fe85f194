// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// pair is a certificate and its key, as files.
type pair struct {
	certFile, keyFile string
}

func pairIn(dir, name string) pair {
	return pair{certFile: filepath.Join(dir, name+".crt"), keyFile: filepath.Join(dir, name+".key")}
}

// read returns the content of both files, or nil and nil where either is
// missing: a half-written pair is made anew.
func (p pair) read() (cert, key []byte, err error) {
	cert, err = os.ReadFile(p.certFile)
	if err == nil {
		key, err = os.ReadFile(p.keyFile)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	return cert, key, err
}

// write replaces both files. The key goes first, and a reader that sees the new
// key with the old certificate keeps what it had, since the two don't match.
func (p pair) write(cert, key []byte) error {
	if err := WriteFile(p.keyFile, key); err != nil {
		return err
	}
	return WriteFile(p.certFile, cert)
}

// WriteFile replaces a file in one step, readable by its owner alone, so that
// no reader and no crash sees half of it.
func WriteFile(path string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("can't write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name()) //nolint:errcheck,gosec // the first error says more
			err = fmt.Errorf("can't write %s: %w", path, err)
		}
	}()
	// CreateTemp makes files with mode 0600.
	if _, err = f.Write(content); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
