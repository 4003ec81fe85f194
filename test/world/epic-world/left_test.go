// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/test/netlab"
)

// A demonstration removes what an earlier one left that was killed, and nothing else.
func TestSweep(t *testing.T) {
	netlab.Require(t)
	before := &demo{dir: t.TempDir(), lab: netlab.New()}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(before.note("lab", before.lab.Prefix()))
	n, err := before.lab.Namespace("left")
	must(err)
	must(os.Mkdir(before.in("gateway"), 0o700))
	_, err = before.mount("gateway")
	must(err)
	// Two programs, one of which is another owner's with a process ID that is in the
	// record.
	run := func(dir string) (ended chan error) {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", "read line", dir+"/x")
		_, err := cmd.StdinPipe() // on which it waits
		must(err)
		must(cmd.Start())
		ended = make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		must(before.note("process", cmd.Process.Pid))
		return ended
	}
	own, foreign := run(before.dir), run("/elsewhere")

	must((&demo{dir: before.dir}).sweep())
	select {
	case <-own:
	case <-time.After(time.Minute):
		t.Error("The program that was left goes on")
	}
	select {
	case err := <-foreign:
		t.Errorf("Somebody else's program was ended: %v", err)
	default:
	}
	if _, err := os.Stat(n.Path); !os.IsNotExist(err) {
		t.Errorf("The namespace is still there: %v", err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(filepath.Join(before.dir, "gateway", "bpf"), &fs); err != nil || fs.Type == unix.BPF_FS_MAGIC {
		t.Errorf("The bpffs is still mounted: %v", err)
	}
	// Once more, with the same record.
	must((&demo{dir: before.dir}).sweep())
}
