// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// mountsEnv names the case that this test binary plays in a mount namespace of its
// own, where it can do what it likes to /run.
const mountsEnv = "NETLAB_TEST_MOUNTS"

// Names go whatever was mounted while they were there, and nothing of them remains.
func TestNamesAmongMounts(t *testing.T) {
	cases := map[string]func(t *testing.T, name string){
		"nothing": func(*testing.T, string) {},
		"as ip netns": func(t *testing.T, _ string) {
			must(t, share(runDir))
		},
		"over the directory": func(t *testing.T, _ string) {
			must(t, unix.Mount(runDir, runDir, "", unix.MS_BIND|unix.MS_REC, ""))
		},
		"over the directory, and shared": func(t *testing.T, _ string) {
			must(t, unix.Mount(runDir, runDir, "", unix.MS_BIND|unix.MS_REC, ""))
			must(t, unix.Mount("", runDir, "", unix.MS_SHARED|unix.MS_REC, ""))
		},
		"twice on the name": func(t *testing.T, name string) {
			must(t, unix.Mount(runDir+"/"+name, runDir+"/"+name, "", unix.MS_BIND, ""))
		},
		"a process with mounts of its own": func(t *testing.T, _ string) {
			cmd := exec.Command("sleep", "60")
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
			must(t, cmd.Start())
			t.Cleanup(func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			})
		},
	}
	if name := os.Getenv(mountsEnv); name != "" {
		removeAmongMounts(t, cases[name])
		return
	}
	Require(t)
	for name := range cases {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNamesAmongMounts$")
			cmd.Env = append(os.Environ(), mountsEnv+"="+name)
			cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
			if out, err := cmd.CombinedOutput(); err != nil || bytes.Contains(out, []byte("no tests to run")) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func removeAmongMounts(t *testing.T, mount func(*testing.T, string)) {
	must(t, unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""))
	must(t, unix.Mount("run", "/run", "tmpfs", 0, ""))
	for _, end := range []func(*Lab) error{
		(*Lab).Close,
		// As the process after one that was killed does it.
		func(l *Lab) error { return RemoveNamed(l.Prefix()) },
	} {
		lab := New()
		n := host(t, lab, "gone")
		mount(t, n.Name)
		must(t, end(lab))
		if _, err := os.Stat(n.Path); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", n.Path, err)
		}
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		must(t, err)
		if strings.Contains(string(mounts), n.Name) {
			t.Errorf("Something is mounted there still:\n%s", mounts)
		}
	}
}

func TestRemoveNamedWantsAPrefix(t *testing.T) {
	for _, prefix := range []string{"", "lab", "-", "default-"} {
		if err := RemoveNamed(prefix); err == nil {
			t.Errorf("%q was taken", prefix)
		}
	}
}
