// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// identity distinguishes a process from a later one with the same ID by its start time,
// in clock ticks since the boot of the machine.
type identity struct {
	PID   int    `json:"pid"`
	Start string `json:"start"`
}

// started returns the identity of a running process.
func started(pid int) (identity, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return identity{}, err
	}
	// The second field is the program's name in parentheses, which may contain any
	// characters; the start time is the 22nd field, and the state the third.
	end := bytes.LastIndexByte(data, ')')
	fields := strings.Fields(string(data[end+1:]))
	const state, start = 0, 19
	if end < 0 || len(fields) <= start {
		return identity{}, fmt.Errorf("the kernel's description of process %d can't be read", pid)
	}
	if fields[state] == "Z" {
		return identity{}, os.ErrProcessDone
	}
	return identity{PID: pid, Start: fields[start]}, nil
}

// alive reports whether the process still runs.
func (i identity) alive() bool {
	now, err := started(i.PID)
	return i.PID > 1 && err == nil && now == i
}

// child is a running process: one that this program started, or one that an earlier
// operator left running.
type child struct {
	identity
	done chan struct{}
}

// start starts a program in its own session, so it survives this one, with a mark by
// which it can be found.
func start(argv []string, mark, dir, log string, in func(func() error) error) (*child, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // it outlives this program
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, file, file
	cmd.Env = append(os.Environ(), markVariable+"="+mark)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := in(cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	c := &child{identity: identity{PID: cmd.Process.Pid}, done: make(chan struct{})}
	// Before it is waited for, its ID can't be reused.
	if c.identity, err = started(cmd.Process.Pid); errors.Is(err, os.ErrProcessDone) {
		err = nil
		c.PID = cmd.Process.Pid
	}
	if err != nil {
		// Otherwise it would run unmanaged.
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	go func() {
		_ = cmd.Wait() // its log explains why it ended
		close(c.done)
	}()
	return c, nil
}

// adopt takes over a process that an earlier operator started, or returns nil if it has
// ended.
func adopt(i identity) *child {
	if !i.alive() {
		return nil
	}
	c := &child{identity: i, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.watch()
	}()
	return c
}

// watch waits until the process, which is not a child of this program, has ended.
func (c *child) watch() {
	const interval = time.Second
	fd, err := unix.PidfdOpen(c.PID, 0)
	if err != nil {
		for c.alive() { // the kernel does not support such descriptors
			time.Sleep(interval)
		}
		return
	}
	defer func() { _ = unix.Close(fd) }()
	// It may have ended, and its ID been reused, before the descriptor was created.
	for c.alive() {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if err == nil && n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func (c *child) running() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// stop asks the process to end, and kills what is left of its process group after the
// grace period.
func (c *child) stop(grace time.Duration) error {
	if c.running() && c.alive() {
		if err := syscall.Kill(c.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop process %d: %w", c.PID, err)
		}
	}
	select {
	case <-c.done:
		return nil
	case <-time.After(grace):
	}
	// The process group has the same ID as its first process, so the ID can't be reused
	// while that process runs.
	if c.alive() {
		if err := syscall.Kill(-c.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill process %s: %w", strconv.Itoa(c.PID), err)
		}
	}
	<-c.done
	return nil
}
