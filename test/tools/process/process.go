// SPDX-License-Identifier: Apache-2.0

// Package process runs programs for tests that stop, kill and restart them.
package process

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Process is a program that can be started again after it ended.
type Process struct {
	// Name is what messages call it.
	Name string
	// Path is the program, Args are its arguments.
	Path string
	Args []string
	// Log is the file that its output is appended to.
	Log string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
}

// Start starts the program, which ends with this process at the latest.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(p.Path, p.Args...) //nolint:noctx // Kill and Stop end it.
	cmd.Stdout, cmd.Stderr = log, log
	// The kernel ends it with the test, whatever ends the test.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	done := make(chan struct{})
	p.cmd, p.done = cmd, done
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	return nil
}

// Running returns whether the program was started and has not ended.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Signal sends a signal. SIGSTOP and SIGCONT pause and resume the program.
func (p *Process) Signal(signal syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(signal)
	}
}

// Kill ends the program as a power cut does, and waits until it is gone.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.done
	p.cmd = nil
}

// Stop asks the program to end, and kills it if it takes too long. It returns whether the
// program ended by itself.
func (p *Process) Stop(timeout time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return true
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	ended := true
	select {
	case <-p.done:
	case <-time.After(timeout):
		ended = false
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	p.cmd = nil
	return ended
}

// Tail returns the end of the program's log.
func (p *Process) Tail(most int) string {
	data, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-most):])
}

// FreePort returns a TCP port of the loopback address that nobody listens on.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // It returns at once.
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	address, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("%s is no TCP address", l.Addr())
	}
	return address.Port, nil
}
