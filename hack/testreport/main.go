// SPDX-License-Identifier: Apache-2.0

// Command testreport reads the output of "go test -json" and prints what
// somebody wants to read of it: a line for each package, everything that a
// failed test said, and at the end what was skipped and why. It exits with 1
// where a test failed or, with EPIC_NO_SKIP=1, was skipped.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// event is a line of "go test -json"; "go doc cmd/test2json" has the fields.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	// Elapsed is in seconds.
	Elapsed float64
}

// foreignSuites are tests that Kubernetes wrote for any storage. They skip the
// cases that are not for one with a cache by themselves, wherever they run: such
// a case is neither passed nor left out by us.
const foreignSuites = "TestUpstreamSuites/cached/"

const (
	// long is how much time a test may take before it gets a line of its own.
	long = 10 * time.Second
	// quiet is after how much time without a line the running tests are named.
	quiet = 30 * time.Second
	// progress begins what a test has to say at once.
	progress = "progress: "
)

type report struct {
	out    io.Writer
	now    func() time.Time
	output map[string][]string
	// running are the tests of the first level, by when they began.
	running map[string]time.Time
	// printed is when the last line was.
	printed time.Time
	skipped []string
	passed  int
	failed  int
}

func main() {
	r := newReport(os.Stdout, time.Now)
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	if !r.summarize(os.Getenv("EPIC_NO_SKIP") == "1") {
		os.Exit(1)
	}
}

func newReport(out io.Writer, now func() time.Time) *report {
	return &report{out: out, now: now, output: map[string][]string{}, running: map[string]time.Time{}, printed: now()}
}

func (r *report) read(in io.Reader) error {
	lines, done := make(chan []byte), make(chan error, 1)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(in)
		scanner.Buffer(nil, 64<<20)
		for scanner.Scan() {
			lines <- slices.Clone(scanner.Bytes())
		}
		done <- scanner.Err()
	}()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return <-done
			}
			r.line(line)
		case <-ticker.C:
			r.showRunning()
		}
	}
}

func (r *report) line(line []byte) {
	var e event
	if json.Unmarshal(line, &e) != nil {
		// Not everything that go prints is JSON.
		r.print(string(line) + "\n")
		return
	}
	r.add(e)
}

// showRunning names what is running when nothing was said for a while.
func (r *report) showRunning() {
	now := r.now()
	if now.Sub(r.printed) < quiet || len(r.running) == 0 {
		return
	}
	var tests []string
	for test, begin := range r.running {
		tests = append(tests, fmt.Sprintf("%s for %s", test, now.Sub(begin).Round(time.Second)))
	}
	slices.Sort(tests)
	r.print("running: " + strings.Join(tests, ", ") + "\n")
}

func (r *report) add(e event) {
	key := e.Package + " " + e.Test
	first := e.Test != "" && !strings.Contains(e.Test, "/")
	switch e.Action {
	case "run", "cont":
		if first {
			r.running[key] = r.now()
		}
	case "pause":
		delete(r.running, key)
	case "output":
		r.output[key] = append(r.output[key], e.Output)
		if said, ok := strings.CutPrefix(e.Output, progress); ok {
			r.print(said)
		}
	case "build-output":
		r.print(e.Output)
	case "pass", "skip", "fail":
		delete(r.running, key)
		if e.Test == "" {
			r.finishPackage(e, key)
		} else {
			r.finishTest(e, key, first)
		}
		delete(r.output, key)
	}
}

func (r *report) finishPackage(e event, key string) {
	lines := r.output[key]
	if e.Action == "fail" {
		r.failed++
		r.print(lines...)
		return
	}
	// The last line is "ok" or "no test files"; what stands before is what the
	// package printed of its own.
	if len(lines) > 0 && !strings.Contains(lines[len(lines)-1], "[no test files]") {
		r.print(lines[len(lines)-1])
	}
}

func (r *report) finishTest(e event, key string, first bool) {
	switch e.Action {
	case "pass":
		r.passed++
		if took := time.Duration(e.Elapsed * float64(time.Second)); first && took >= long {
			r.print(fmt.Sprintf("passed: %s after %s\n", e.Test, took.Round(time.Second)))
		}
	case "fail":
		r.failed++
		r.print(r.output[key]...)
	case "skip":
		if strings.HasPrefix(e.Test, foreignSuites) {
			return
		}
		r.skipped = append(r.skipped, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(r.output[key])))
	}
}

// reason is what a test said when it skipped itself.
func reason(lines []string) string {
	var said []string
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			said = append(said, line)
		}
	}
	return strings.Join(said, " ")
}

func (r *report) print(lines ...string) {
	for _, line := range lines {
		fmt.Fprint(r.out, line)
		r.printed = r.now()
	}
}

// summarize prints the end and reports whether all is well.
func (r *report) summarize(noSkip bool) bool {
	slices.Sort(r.skipped)
	for _, skipped := range r.skipped {
		r.print("skipped: " + skipped + "\n")
	}
	r.print(fmt.Sprintf("%d tests passed, %d skipped, %d failed\n", r.passed, len(r.skipped), r.failed))
	if noSkip && len(r.skipped) > 0 {
		r.print("EPIC_NO_SKIP=1: a skipped test is a failure\n")
		return false
	}
	return r.failed == 0
}
