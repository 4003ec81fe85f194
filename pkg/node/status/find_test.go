// SPDX-License-Identifier: Apache-2.0

package status

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindSocket(t *testing.T) {
	dir := t.TempDir()
	usual, proc := filepath.Join(dir, "status.sock"), filepath.Join(dir, "proc")
	run := func(pid string, words ...string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(proc, pid), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, pid, "cmdline"), []byte(strings.Join(words, "\x00")+"\x00"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run("1", "init")
	run("2", "/bin/epic-node", "status", "--status-socket=/not/this")
	run("3", "vi", "client", "--status-socket=/nor/this")
	if got, err := findSocket(usual, proc); err == nil || !strings.Contains(err.Error(), usual) || !strings.Contains(err.Error(), "--status-socket") {
		t.Errorf("Without a program: %q, %v", got, err)
	}
	run("4", "/bin/epic-node", "gateway", "--status-socket=/run/a.sock", "--port=1")
	if got, err := findSocket(usual, proc); err != nil || got != "/run/a.sock" {
		t.Errorf("One program: %q, %v", got, err)
	}
	run("5", "epic-node", "client", "--status-socket", "/run/b.sock")
	if got, err := findSocket(usual, proc); err == nil || !strings.Contains(err.Error(), "/run/a.sock\n  /run/b.sock") {
		t.Errorf("Two programs: %q, %v", got, err)
	}
	if err := os.WriteFile(usual, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := findSocket(usual, proc); err != nil || got != usual {
		t.Errorf("The usual socket: %q, %v", got, err)
	}
}
