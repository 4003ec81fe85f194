// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// worthRepeating returns the failed top-level tests, by package, if there are at most
// limit of them and nothing else failed, such as a build. It returns nil otherwise.
func (r *report) worthRepeating(limit int) map[string][]string {
	count := 0
	for _, pkg := range r.failedPackages {
		if len(r.failedTests[pkg]) == 0 {
			return nil
		}
		count += len(r.failedTests[pkg])
	}
	if count > limit {
		return nil
	}
	return r.failedTests
}

// repeat runs tests once more, each package with "go test" in dir, and reports whether
// all of them pass. It prints those that failed only once, which is a bug in the test or
// in the tested code.
func repeat(tests map[string][]string, dir string) bool {
	all := true
	for _, pkg := range slices.Sorted(maps.Keys(tests)) {
		names := tests[pkg]
		fmt.Printf("repeating what failed of %s: %s\n", pkg, strings.Join(names, ", "))
		// A failed test prints the reason.
		r := newReport(os.Stdout, time.Now)
		if err := r.run(dir, "-count=1", "-timeout=30m", "-run", "^("+strings.Join(names, "|")+")$", pkg); err != nil {
			fmt.Printf("failed twice: %s: %s: %v\n", pkg, strings.Join(names, ", "), err)
			all = false
			continue
		}
		fmt.Printf("FLAKY: failed once and passed when repeated: %s: %s\n", pkg, strings.Join(names, ", "))
	}
	return all
}
