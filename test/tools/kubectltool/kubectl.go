// SPDX-License-Identifier: Apache-2.0

// Package kubectltool finds or builds kubectl for tests.
package kubectltool

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// module is the path of the module that builds kubectl's callers.
const module = "github.com/acnodal/epic"

// Path returns the path of kubectl: the one that $KUBECTL names, the one that "make
// build" built, or else one that it builds in the same place. A test that needs
// kubectl is never skipped: it fails if there is none and none can be built.
func Path(t testing.TB) string {
	t.Helper()
	root, err := root()
	if err != nil {
		t.Fatal(err)
	}
	path, err := find(os.Getenv("KUBECTL"), root)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// root returns the root of the repository, in which every test runs.
func root() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output() //nolint:noctx // it takes no time
	if err != nil {
		return "", fmt.Errorf("find the root of %s: %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}

func find(named, root string) (string, error) {
	if named != "" {
		path, err := filepath.Abs(named)
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return "", fmt.Errorf("the environment variable KUBECTL: %w; unset it to have kubectl built", err)
		}
		return path, nil
	}
	path := filepath.Join(root, "bin", "kubectl")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, build(root, path)
}

// build builds kubectl. Tests of several packages may do so at once, so the program
// appears in its place whole.
func build(root, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // as make has it
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".kubectl-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	made := filepath.Join(dir, "kubectl")
	cmd := exec.Command(filepath.Join(root, "hack", "kubectl.sh"), made) //nolint:noctx // the test's own timeout ends it
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("there is no kubectl at %s and it can't be built; set KUBECTL, or run \"make build\": %w\n%s", path, err, strings.TrimSpace(string(out)))
	}
	return os.Rename(made, path)
}
