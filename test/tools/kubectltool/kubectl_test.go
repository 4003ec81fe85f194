// SPDX-License-Identifier: Apache-2.0

package kubectltool

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "own")
	built := filepath.Join(dir, "bin", "kubectl")
	if err := os.WriteFile(own, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if path, err := find(own, dir); err != nil || path != own {
		t.Errorf("The named one: %s, %v", path, err)
	}
	if path, err := find(filepath.Join(dir, "none"), dir); err == nil || !strings.Contains(err.Error(), "KUBECTL") {
		t.Errorf("A name of nothing: %s, %v", path, err)
	}
	// A build that fails is an error, and never a reason to go on without.
	if path, err := find("", dir); err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("Without a source: %s, %v", path, err)
	}
	source := filepath.Join(dir, "hack", "tools", "kubectl")
	if err := os.MkdirAll(source, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"go.mod": "module kubectl\n", "main.go": "package main\n\nfunc main() {}\n"} {
		if err := os.WriteFile(filepath.Join(source, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if path, err := find("", dir); err != nil || path != built {
			t.Errorf("The one to build: %s, %v", path, err)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(built)); err != nil || len(entries) != 1 {
		t.Errorf("Something is left beside it: %v, %v", entries, err)
	}
}
