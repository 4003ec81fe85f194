// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/test/netlab"
)

// record is a file that names what a demonstration made outside its directory, line
// by line, so the next one can remove it if this one is killed:
//
//	lab PREFIX     the namespaces whose names begin with PREFIX
//	process PID    a program, which has the demonstration's directory in its arguments
const record = "made"

// note adds a line to the record.
func (d *demo) note(what string, value any) error {
	f, err := os.OpenFile(d.in(record), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, what, value)
	return errors.Join(err, f.Close())
}

// sweep removes what a demonstration left that was killed: programs, mounts of
// bpffs, and namespaces. Mostly there is nothing.
func (d *demo) sweep() error {
	var errs []error
	lines, err := os.ReadFile(d.in(record))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var labs []string
	for scanner := bufio.NewScanner(strings.NewReader(string(lines))); scanner.Scan(); {
		switch what, value, _ := strings.Cut(scanner.Text(), " "); what {
		case "process":
			if pid, err := strconv.Atoi(value); err == nil && isOf(pid, d.dir) {
				errs = append(errs, terminate(pid, d.dir))
			}
		case "lab":
			labs = append(labs, value)
		}
	}
	if len(lines) > 0 {
		errs = append(errs, d.endProxies())
	}
	left, _ := filepath.Glob(d.in("*", "bpf"))
	for _, dir := range left {
		_ = unix.Unmount(dir, unix.MNT_DETACH) // there may be none
	}
	for _, prefix := range labs {
		errs = append(errs, netlab.RemoveNamed(prefix))
	}
	return errors.Join(errs...)
}

// isOf reports whether a process has the directory in its arguments. Its number
// alone does not say so: another process may have it by now.
func isOf(pid int, dir string) bool {
	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(arguments), dir+"/")
}

// goodbye is how long a program of an earlier run may take to end.
const goodbye = 10 * time.Second

// terminate ends a process that is not a child of this one.
func terminate(pid int, dir string) error {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop process %d of an earlier run: %w", pid, err)
		}
		for deadline := time.Now().Add(goodbye); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			if !isOf(pid, dir) {
				return nil
			}
		}
	}
	return fmt.Errorf("process %d of an earlier run does not end", pid)
}
