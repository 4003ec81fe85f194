// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/acnodal/epic/test/tools/need"
)

// Lab is a set of namespaces that are created and removed together.
type Lab struct {
	prefix string

	mu         sync.Mutex
	namespaces []*Namespace
}

var labs atomic.Int32

// Prefix returns the prefix of the names of the lab's namespaces. RemoveNamed removes
// them by it after the process was killed.
func (l *Lab) Prefix() string { return l.prefix }

// RemoveNamed removes the names of all namespaces with a lab's prefix. The kernel removes
// a namespace when its last process has ended.
func RemoveNamed(prefix string) error {
	if !strings.HasPrefix(prefix, "lab") || !strings.HasSuffix(prefix, "-") {
		return fmt.Errorf("%q is not the prefix of a lab", prefix)
	}
	paths, err := filepath.Glob(filepath.Join(runDir, prefix+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range paths {
		errs = append(errs, unbind(path))
	}
	return errors.Join(errs...)
}

// New returns an empty lab. The names of its namespaces begin with the process ID, so
// labs of several processes do not conflict.
func New() *Lab {
	return &Lab{prefix: fmt.Sprintf("lab%d-%d-", os.Getpid(), labs.Add(1))}
}

// Test returns a lab that is closed when the test ends. It skips a test that may not
// create namespaces, or fails it with EPIC_NO_SKIP=1.
func Test(t testing.TB) *Lab {
	t.Helper()
	Require(t)
	lab := New()
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Errorf("remove the lab: %v", err)
		}
	})
	return lab
}

// Require skips a test that may not create namespaces and load programs, or fails it with
// EPIC_NO_SKIP=1.
func Require(t testing.TB) {
	t.Helper()
	need.Met(t, "network namespaces", Possible())
}

// Possible returns an error with the reason if this process cannot create namespaces.
func Possible() error {
	if os.Geteuid() != 0 {
		return errors.New("this needs root; run it with sudo")
	}
	probe, err := newNamespace(fmt.Sprintf("lab%d-probe%d", os.Getpid(), labs.Add(1)))
	if err != nil {
		return err
	}
	return probe.remove()
}

// Namespace creates a namespace whose loopback interface is up.
func (l *Lab) Namespace(name string) (*Namespace, error) {
	if strings.Contains(name, "/") {
		return nil, fmt.Errorf("namespace %q: a name has no slash", name)
	}
	n, err := newNamespace(l.prefix + name)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.namespaces = append(l.namespaces, n)
	return n, nil
}

// Close removes all namespaces, including their interfaces, routes, rules and programs.
// All processes in them must have ended.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, n := range l.namespaces {
		errs = append(errs, n.remove())
	}
	l.namespaces = nil
	return errors.Join(errs...)
}
