// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func contents(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var visitorName = regexp.MustCompile(`ip netns exec (lab\S+-)visitor`)

// namespaces returns the names of those that a run has made.
func namespaces(t *testing.T, e *environment) []string {
	t.Helper()
	found := visitorName.FindStringSubmatch(e.output.String())
	if found == nil {
		return nil
	}
	paths, err := filepath.Glob("/run/netns/" + found[1] + "*")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, path := range paths {
		out = append(out, filepath.Base(path))
	}
	return out
}

// processes returns those that have a run's directory in their arguments.
func processes(e *environment) (out []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		if line, err := os.ReadFile(file); err == nil && strings.Contains(string(line), e.dir+"/") {
			out = append(out, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return out
}

// waitGone waits until nothing is left of a run: no process, no mount, none of the
// namespaces.
func waitGone(t *testing.T, e *environment, labs []string) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		left = processes(e)
		for _, lab := range labs {
			if _, err := os.Lstat(filepath.Join("/run/netns", lab)); err == nil {
				left = append(left, lab)
			}
		}
		if mounts, err := os.ReadFile("/proc/self/mounts"); err == nil {
			left = append(left, slices.DeleteFunc(strings.Split(string(mounts), "\n"), func(m string) bool { return !strings.Contains(m, e.dir+"/") })...)
		}
		if len(left) == 0 {
			return
		}
	}
	t.Errorf("This is left:\n%s", strings.Join(left, "\n"))
}
