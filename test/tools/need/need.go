// SPDX-License-Identifier: Apache-2.0

// Package need skips tests that a machine can't run. Where EPIC_NO_SKIP=1 states that nothing
// may be skipped, such a test fails.
package need

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Met skips or fails a test if err is why what it needs is not there.
func Met(t testing.TB, what string, err error) {
	t.Helper()
	switch {
	case err == nil:
	case os.Getenv("EPIC_NO_SKIP") == "1":
		t.Fatalf("%s: %v", what, err)
	default:
		t.Skipf("%s: %v", what, err)
	}
}

// Program returns the path of a program that packages of Debian have.
func Program(t testing.TB, name, packages string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		err = fmt.Errorf("it is not in PATH: apt-get install %s", packages)
	}
	Met(t, name, err)
	return path
}
