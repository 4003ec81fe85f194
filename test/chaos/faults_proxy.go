// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// proxyProcess is a process of a proxy, an Envoy or the epic-proxy that started it.
type proxyProcess struct {
	pid    int
	object string
}

// signaled kills an Envoy or an epic-proxy, or freezes it for a while.
func signaled(name string, freeze bool) func(context.Context, *fault) error {
	return func(ctx context.Context, f *fault) error {
		all, err := f.proxyProcesses(name)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return errors.New("there is no " + name)
		}
		p := all[f.Pick%uint64(len(all))]
		w := f.window(p.object, window{control: true, data: true, tenant: -1, object: f.oracle.objectNamed(p.object)})
		defer f.shut(w)
		if !freeze {
			return ignoreGone(syscall.Kill(p.pid, syscall.SIGKILL))
		}
		if err := syscall.Kill(p.pid, syscall.SIGSTOP); err != nil {
			return ignoreGone(err)
		}
		pause(ctx, f.For)
		return ignoreGone(syscall.Kill(p.pid, syscall.SIGCONT))
	}
}

// ignoreGone lets a process have ended by itself.
func ignoreGone(err error) error {
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// proxyProcesses finds the processes of proxies that run a program, ordered by folder.
func (s *site) proxyProcesses(name string) ([]proxyProcess, error) {
	records, err := filepath.Glob(filepath.Join(s.opDir(), "p", "*", "record.json"))
	if err != nil {
		return nil, err
	}
	var out []proxyProcess
	for _, file := range records {
		var record struct {
			Kind, Namespace, Name string
			Process               struct{ PID int }
		}
		text, err := os.ReadFile(file)
		if err != nil || strings.Contains(filepath.Dir(file), ".ended-") {
			continue // it has just ended
		}
		if err := json.Unmarshal(text, &record); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		kind := "lb"
		if strings.EqualFold(record.Kind, "gwproxy") {
			kind = "gwp"
		}
		object := fmt.Sprintf("%s/%s/%s", record.Namespace, kind, record.Name)
		// Each proxy is the first process of a session of its own.
		for _, pid := range session(record.Process.PID) {
			if runs(pid, name) {
				out = append(out, proxyProcess{pid, object})
			}
		}
	}
	return out, nil
}

// session returns the processes of a session.
func session(id int) []int {
	var out []int
	for _, pid := range processIDs() {
		if sid, err := unix.Getsid(pid); err == nil && sid == id {
			out = append(out, pid)
		}
	}
	return out
}

// processIDs returns those of all processes.
func processIDs() []int {
	entries, _ := os.ReadDir("/proc")
	var out []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

// runs reports whether a process runs a program.
func runs(pid int, name string) bool {
	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	first, _, _ := strings.Cut(string(arguments), "\x00")
	return err == nil && filepath.Base(first) == name
}
