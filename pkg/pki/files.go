// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/acnodal/epic/pkg/privatefile"
)

// pair is a certificate and its key, as files.
type pair struct {
	certFile, keyFile string
}

func pairIn(dir, name string) pair {
	return pair{certFile: filepath.Join(dir, name+".crt"), keyFile: filepath.Join(dir, name+".key")}
}

// read returns the content of both files, or nil and nil if either is missing: a
// half-written pair is created again.
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

// write replaces both files. It writes the key first, and a reader that sees the new key
// with the old certificate keeps its current pair, because the two don't match.
func (p pair) write(cert, key []byte) error {
	if err := privatefile.Write(p.keyFile, key); err != nil {
		return err
	}
	return privatefile.Write(p.certFile, cert)
}
