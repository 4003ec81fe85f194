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
)

// event is a line of "go test -json"; "go doc cmd/test2json" has the fields.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// foreignSuites are tests that Kubernetes wrote for any storage. They skip the
// cases that are not for one with a cache by themselves, wherever they run: such
// a case is neither passed nor left out by us.
const foreignSuites = "TestUpstreamSuites/cached/"

type report struct {
	out     io.Writer
	output  map[string][]string
	skipped []string
	passed  int
	failed  int
}

func main() {
	r := &report{out: os.Stdout, output: map[string][]string{}}
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	if !r.summarize(os.Getenv("EPIC_NO_SKIP") == "1") {
		os.Exit(1)
	}
}

func (r *report) read(in io.Reader) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, 64<<20)
	for scanner.Scan() {
		var e event
		if json.Unmarshal(scanner.Bytes(), &e) != nil {
			// Not everything that go prints is JSON.
			r.print(scanner.Text() + "\n")
			continue
		}
		r.add(e)
	}
	return scanner.Err()
}

func (r *report) add(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		r.output[key] = append(r.output[key], e.Output)
	case "build-output":
		r.print(e.Output)
	case "pass", "skip", "fail":
		if e.Test == "" {
			r.finishPackage(e, key)
		} else {
			r.finishTest(e, key)
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

func (r *report) finishTest(e event, key string) {
	switch e.Action {
	case "pass":
		r.passed++
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
	}
}

// summarize prints the end and says whether all is well.
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
