// SPDX-License-Identifier: Apache-2.0

// Command testreport runs "go test -json" with its arguments and prints the relevant part
// of the output: a line for each package, the output of failed tests, and at the end the
// skipped tests with the reasons. It exits with 1 if a test failed or, with
// EPIC_NO_SKIP=1, was skipped.
//
// With EPIC_REPEAT=N, up to N tests that failed are run once more, and those that then
// pass are reported as flaky and do not count as failures: a shared machine can be slow
// for longer than any timeout of a test allows for.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// event is a line of "go test -json"; see "go doc cmd/test2json".
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	// Elapsed is in seconds.
	Elapsed float64
}

// foreignSuites are tests that Kubernetes provides for any storage. They always skip the
// cases that do not apply to a storage with a cache, so those do not count as skipped.
const foreignSuites = "TestUpstreamSuites/cached/"

const (
	// long is the duration from which a test gets its own line.
	long = 10 * time.Second
	// quiet is the time without output after which the running tests are printed.
	quiet = 30 * time.Second
	// progress is the prefix of test output that is printed immediately.
	progress = "progress: "
)

type report struct {
	out    io.Writer
	now    func() time.Time
	output map[string][]string
	// running holds the running top-level tests, with their start times.
	running map[string]time.Time
	// printed is when the last line was printed.
	printed time.Time
	skipped []string
	passed  int
	failed  int
	// failedTests holds the failed top-level tests, by package.
	failedTests    map[string][]string
	failedPackages []string
}

func main() {
	dir := flag.String("C", "", "the `directory` to run go in")
	flag.Parse()
	r := newReport(os.Stdout, time.Now)
	err := r.run(*dir, flag.Args()...)
	noSkip := os.Getenv("EPIC_NO_SKIP") == "1"
	if well := r.summarize(noSkip); well && err == nil {
		return
	}
	limit, _ := strconv.Atoi(os.Getenv("EPIC_REPEAT"))
	tests := r.worthRepeating(limit)
	if len(tests) > 0 && (!noSkip || len(r.skipped) == 0) && repeat(tests, *dir) {
		return
	}
	if r.failed == 0 && err != nil {
		fmt.Fprintln(os.Stderr, "testreport: go test:", err)
	}
	os.Exit(1)
}

// run runs "go test" in dir and parses its output.
func (r *report) run(dir string, args ...string) error {
	cmd := exec.CommandContext(context.Background(), "go", append([]string{"test", "-json"}, args...)...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := r.read(out); err != nil {
		return err
	}
	return cmd.Wait()
}

func newReport(out io.Writer, now func() time.Time) *report {
	return &report{
		out: out, now: now, printed: now(),
		output: map[string][]string{}, running: map[string]time.Time{}, failedTests: map[string][]string{},
	}
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
		// Some output of go is not JSON.
		r.print(string(line) + "\n")
		return
	}
	r.add(e)
}

// showRunning prints what is running if nothing was printed for a while.
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
		r.failedPackages = append(r.failedPackages, e.Package)
		r.print(lines...)
		return
	}
	// The last line is "ok" or "no test files"; the lines before it are the package's own
	// output.
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
		if first {
			r.failedTests[e.Package] = append(r.failedTests[e.Package], e.Test)
		}
	case "skip":
		if strings.HasPrefix(e.Test, foreignSuites) {
			return
		}
		r.skipped = append(r.skipped, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(r.output[key])))
	}
}

// reason returns the reason that a test gave when it skipped itself.
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

// summarize prints the summary and reports success.
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
