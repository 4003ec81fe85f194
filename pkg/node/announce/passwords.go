// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxPassword is the maximum length of a TCP MD5 password in Linux.
const maxPassword = 80

// Passwords is a directory with a file for each password, such as a mounted Secret.
type Passwords string

// Get returns the password with a name.
func (p Passwords) Get(name string) (string, error) {
	way := fmt.Sprintf("add it to the Secret epic-bgp-passwords, or as a file in %s on this node", p)
	if p == "" {
		return "", fmt.Errorf("the password %q is not known: start the node program with --bgp-password-dir", name)
	}
	if name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return "", fmt.Errorf("%q cannot be the name of a password", name)
	}
	f, err := os.Open(filepath.Join(string(p), name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no password %q: %s", name, way)
	}
	if err != nil {
		return "", fmt.Errorf("read the password %q: %w", name, err)
	}
	defer func() { _ = f.Close() }()
	const newline = 2
	data, err := io.ReadAll(io.LimitReader(f, maxPassword+newline+1))
	if err != nil {
		return "", fmt.Errorf("read the password %q: %w", name, err)
	}
	// Editors add a newline to the end of a file.
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch {
	case text == "":
		return "", fmt.Errorf("the password %q is empty: %s", name, way)
	case len(text) > maxPassword:
		return "", fmt.Errorf("the password %q is longer than %d bytes: choose a shorter one", name, maxPassword)
	case strings.ContainsAny(text, "\x00\n\r"):
		return "", fmt.Errorf("the password %q has more than one line: write one", name)
	}
	return text, nil
}
