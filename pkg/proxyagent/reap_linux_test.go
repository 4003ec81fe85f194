// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Orphans are collected when they end, and a process that somebody waits for is left to
// that.
func TestReap(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Skip(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	var out bytes.Buffer
	shell := exec.Command("sh", "-c", "sleep 0.3 >&- 2>&- & echo $!")
	shell.Stdout = &out
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	go reap(t.Context(), func() int { return shell.Process.Pid })
	if err := shell.Wait(); err != nil {
		t.Errorf("the shell's end was taken by another: %v", err)
	}
	orphan := strings.TrimSpace(out.String())
	eventually(t, "the orphan to be collected", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/%s/stat", orphan))
		return os.IsNotExist(err)
	})
}
