// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"k8s.io/klog/v2"
)

// supervisor runs an Envoy and restarts it when it exits.
type supervisor struct {
	path      string
	arguments []string
	stdout    io.Writer
	stderr    io.Writer
	counters  *counters

	mu sync.Mutex
	// process is the running Envoy, or nil; started is when it was started.
	process *os.Process
	started time.Time
	stopped bool
}

const (
	// drainTime is how long Envoy continues to serve connections of a listener that was
	// replaced. It ends requests that take longer.
	drainTime = time.Hour

	minRestart = 100 * time.Millisecond
	maxRestart = 30 * time.Second
	// stable is how long an Envoy has to run for its exit not to count as a failed start.
	stable = 10 * time.Second
)

// arguments returns Envoy's command line.
func arguments(bootstrap, logLevel string, concurrency int) []string {
	args := []string{
		"--config-path", bootstrap,
		"--disable-hot-restart",
		"--drain-time-s", strconv.Itoa(int(drainTime.Seconds())),
		// Ask clients to close their connections immediately, not spread over the drain
		// time.
		"--drain-strategy", "immediate",
		"--log-level", logLevel,
		// Looking for unknown fields takes up to a third of the time to read many routes,
		// and Envoy ignores them in any case.
		"--ignore-unknown-dynamic-fields",
	}
	if concurrency > 0 {
		args = append(args, "--concurrency", strconv.Itoa(concurrency))
	}
	return args
}

// run keeps an Envoy running until stop. The first restart is immediate; if Envoys exit
// soon after their start, the delay grows.
func (s *supervisor) run(ctx context.Context) {
	logger := klog.FromContext(ctx)
	for failures := 0; ; {
		begun := time.Now()
		err := s.once()
		s.mu.Lock()
		stopped := s.stopped
		s.mu.Unlock()
		if stopped || ctx.Err() != nil {
			return
		}
		s.counters.restarts.Add(1)
		wait := minRestart
		if time.Since(begun) >= stable {
			failures = 0
		} else if failures++; failures > 1 {
			wait = backoff(failures, minRestart, maxRestart)
		}
		logger.Error(err, "Envoy exited, restarting it", "after", time.Since(begun).Round(time.Millisecond), "wait", wait.Round(time.Millisecond))
		if !sleep(ctx, wait) {
			return
		}
	}
}

// once runs one Envoy until it exits.
func (s *supervisor) once() error {
	// Envoy ends with this program, even if that is killed. The kernel ties this to the
	// thread that starts Envoy, which must not end.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command(s.path, s.arguments...) //nolint:noctx // signals end Envoy
	cmd.Stdout, cmd.Stderr = s.stdout, s.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return nil
	}
	err := cmd.Start()
	if err == nil {
		s.process, s.started = cmd.Process, time.Now()
	}
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("start Envoy: %w", err)
	}
	err = cmd.Wait()
	s.mu.Lock()
	s.process = nil
	s.mu.Unlock()
	if err == nil {
		err = errors.New("it exited on its own")
	}
	return err
}

// signal forwards a signal.
func (s *supervisor) signal(sig os.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		_ = s.process.Signal(sig)
	}
}

// state returns Envoy's process ID, or 0, and its start time.
func (s *supervisor) state() (pid int, started time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		pid = s.process.Pid
	}
	return pid, s.started
}

// stop ends Envoy permanently, gracefully at first.
func (s *supervisor) stop(done <-chan struct{}) {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.signal(syscall.SIGTERM)
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		s.signal(syscall.SIGKILL)
		<-done
	}
}
