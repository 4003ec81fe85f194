// SPDX-License-Identifier: Apache-2.0

package world

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/acnodal/epic/test/netlab"
)

// Process is a program that runs in a namespace.
type Process struct {
	// Log is the file with what it printed.
	Log  string
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Start starts a program in a namespace, or on the machine itself if that is nil.
// What it prints is added to the file.
func Start(n *netlab.Namespace, log, program string, args ...string) (*Process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	cmd := exec.Command(program, args...) //nolint:noctx // it outlives the call; Stop ends it
	cmd.Stdout, cmd.Stderr = file, file
	// Ctrl-C in a terminal is for the one who started it, who then stops it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if n == nil {
		err = cmd.Start()
	} else {
		err = n.Start(cmd)
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(program), err)
	}
	p := &Process{Log: log, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// ID returns the process ID.
func (p *Process) ID() int { return p.cmd.Process.Pid }

// Exited is closed when the program has ended.
func (p *Process) Exited() <-chan struct{} { return p.done }

// Err is how the program ended; nil before that, and after a good end.
func (p *Process) Err() error {
	select {
	case <-p.done:
		if p.err != nil {
			return fmt.Errorf("%s: %w; its log is %s", filepath.Base(p.cmd.Path), p.err, p.Log)
		}
	default:
	}
	return nil
}

// Signal sends a signal.
func (p *Process) Signal(signal os.Signal) error { return p.cmd.Process.Signal(signal) }

// Kill ends the program at once, without a word, and waits until it is gone.
func (p *Process) Kill() error {
	err := p.cmd.Process.Kill()
	<-p.done
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Stop asks the program to end, and kills it if it has not after 20 seconds. The error
// then has the stacks of a Go program, which show what it waits for.
func (p *Process) Stop() error {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if p.ended(20 * time.Second) {
		return p.Err()
	}
	printed, _ := os.Stat(p.Log)
	err := p.Signal(syscall.SIGQUIT)
	if !p.ended(5 * time.Second) {
		err = errors.Join(err, p.Kill())
	}
	return errors.Join(fmt.Errorf("%s did not end within 20 seconds of a request to", filepath.Base(p.cmd.Path)), err, p.printed(printed))
}

func (p *Process) ended(within time.Duration) bool {
	select {
	case <-p.done:
		return true
	case <-time.After(within):
		return false
	}
}

// printed is what the program printed since its log was as given.
func (p *Process) printed(since os.FileInfo) error {
	text, err := os.ReadFile(p.Log)
	if err != nil || since == nil || since.Size() >= int64(len(text)) {
		return err
	}
	return errors.New(string(text[since.Size():]))
}
