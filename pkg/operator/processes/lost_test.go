// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/acnodal/epic/pkg/operator/workload"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// crashDir is the environment variable with the folder of the operator that TestKilledAtAStart
// starts and that kills itself.
const crashDir = "EPIC_TEST_CRASH_DIR"

// crashing is a network whose operator is killed once it has started a process.
type crashing struct{ Loopback }

func (crashing) Do(_ Link, do func() error) error {
	if err := do(); err != nil {
		return err
	}
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// A proxy whose operator is killed before it knows the process's ID is found by the next
// operator, which starts no second one, and ends it with its object.
func TestKilledAtAStart(t *testing.T) {
	if dir := os.Getenv(crashDir); dir != "" {
		r, err := New(t.Context(), Options{
			Dir: dir, Network: crashing{}, Identities: &identities{},
			Command: func(*workload.Proxy, string, string, string) []string {
				return []string{"/bin/sh", "-c", "echo $$ > pid; " + forever}
			},
			Ready:   func(proxyidentity.Proxy, string) bool { return false },
			Changed: func(proxyidentity.Proxy) {},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Ensure(t.Context(), shop())
		t.Fatalf("the operator still runs: %v", err)
	}

	dir := t.TempDir()
	operator := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestKilledAtAStart$")
	operator.Env = append(os.Environ(), crashDir+"="+dir)
	out, err := operator.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the operator ended with %v:\n%s", err, out)
	}
	key := proxyidentity.Proxy{Namespace: "epic-acme", Kind: "LoadBalancer", Name: "shop"}
	folder := filepath.Join(dir, "p", id(dir, key))
	var process identity
	until(t, "the process runs", func() bool {
		data, err := os.ReadFile(filepath.Join(folder, "pid"))
		if err != nil || !strings.HasSuffix(string(data), "\n") {
			return false
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
		if err != nil {
			t.Fatal(err)
		}
		process, err = started(pid)
		return err == nil
	})
	t.Cleanup(func() {
		if process.alive() {
			_ = syscall.Kill(-process.PID, syscall.SIGKILL)
		}
	})

	for range 2 {
		r := newRig(t, dir, "echo started a second time")
		r.ensure(shop())
		if got := r.proxies[key].Process; got != process || !r.identities.has("allow lb-shop-0") {
			t.Fatalf("the operator goes on with process %v, want %v; %v", got, process, r.identities.said)
		}
		r.Stop()
	}
	r := newRig(t, dir, forever)
	if err := r.Remove(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	until(t, "the process has ended", func() bool { return !process.alive() })
	r.ending.Wait()
}

// Only the first process of a session that has exactly the mark is found.
func TestLost(t *testing.T) {
	const mark = "a-mark-of-this-test"
	begin := func(value string, session bool) identity {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sleep", "1000")
		cmd.Env = []string{markVariable + "=" + value}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: session}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		i, err := started(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	begin(mark+"2", true)
	begin(mark, false)
	begin("", true)
	for _, m := range []string{mark, ""} {
		if got := lost(m); got != (identity{}) {
			t.Errorf("mark %q: found %v", m, got)
		}
	}
	want := begin(mark, true)
	if got := lost(mark); got != want {
		t.Errorf("found %v, want %v", got, want)
	}
}
