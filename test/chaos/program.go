// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/acnodal/epic/test/netlab"
	"github.com/acnodal/epic/test/world"
)

// program is one that is started again when it ends, as systemd does it.
type program struct {
	name string
	host *netlab.Namespace
	path string
	args []string
	log  string
	// exited is called when the program exits unexpectedly.
	exited func(p *program, err error, tail string)

	mu      sync.Mutex
	process *world.Process
	// asked is the process that is to end.
	asked  *world.Process
	starts int
	ended  chan struct{}
}

// restartDelay is how long after its end a program is started again.
const restartDelay = time.Second

// run starts the program, and again whenever it ends, until the context ends.
func (p *program) run(ctx context.Context) error {
	p.ended = make(chan struct{})
	if err := p.start(); err != nil {
		return err
	}
	go func() {
		defer close(p.ended)
		for ctx.Err() == nil {
			p.mu.Lock()
			process := p.process
			p.mu.Unlock()
			select {
			case <-process.Exited():
			case <-ctx.Done():
				return
			}
			p.mu.Lock()
			wanted := p.asked == process
			p.mu.Unlock()
			if !wanted {
				p.exited(p, process.Err(), tail(p.log, 1500))
			}
			for {
				pause(ctx, restartDelay)
				if ctx.Err() != nil || p.start() == nil {
					break
				}
			}
		}
	}()
	return nil
}

func (p *program) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	process, err := world.Start(p.host, p.log, p.path, p.args...)
	if err != nil {
		return err
	}
	p.process = process
	p.starts++
	return nil
}

// now returns the process that runs, and notes that it is to end if asked.
func (p *program) now(toEnd bool) *world.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	if toEnd {
		p.asked = p.process
	}
	return p.process
}

// kill ends the program as a power cut does. It starts again.
func (p *program) kill() error { return p.now(true).Kill() }

// restart ends the program as asked to. It starts again, from a path if one is given.
func (p *program) restart(path string) error {
	if path != "" {
		p.mu.Lock()
		p.path = path
		p.mu.Unlock()
	}
	return p.now(true).Stop()
}

// freeze stops the program for a while.
func (p *program) freeze(ctx context.Context, d time.Duration) error {
	process := p.now(false)
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	pause(ctx, d)
	return process.Signal(syscall.SIGCONT)
}

// stop ends the program permanently, after run's context has ended.
func (p *program) stop() error {
	if p.ended == nil {
		return nil
	}
	<-p.ended
	if p.name == "etcd" {
		// It ends itself by the signal that it got, after it has cleaned up.
		_ = p.now(true).Stop()
		return nil
	}
	return p.now(true).Stop()
}

// tail returns the end of a file.
func tail(path string, most int64) string {
	file, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err.Error()
	}
	b := make([]byte, min(most, info.Size()))
	if _, err := file.ReadAt(b, info.Size()-int64(len(b))); err != nil {
		return err.Error()
	}
	return string(b)
}
