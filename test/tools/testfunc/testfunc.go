// SPDX-License-Identifier: Apache-2.0

// Package testfunc finds tests that documents name.
package testfunc

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Exists reports whether a test file of a folder has a function, such as a test.
func Exists(t testing.TB, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}
