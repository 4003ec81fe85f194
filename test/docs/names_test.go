// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/acnodal/epic/test/tools/testfunc"
)

var (
	// testName is a test as pages name it: its folder and its function.
	testName = regexp.MustCompile(`^((?:cmd|hack|pkg|test)/[\w/-]+)\.((?:Test|Fuzz|Benchmark)\w+)$`)
	// pathName is a file or folder of this repository. Words in capitals are for the reader
	// to replace.
	pathName   = regexp.MustCompile(`^(?:artifacts|bpf|cmd|docs|hack|pkg|test)/[\w./-]*$`)
	inCapitals = regexp.MustCompile(`(^|/|_)[A-Z]{3,}`)
)

// TestNamesExist fails for a test or a path that a page names and that does not exist.
func TestNamesExist(t *testing.T) {
	tests := 0
	for _, p := range pages(t) {
		for _, code := range p.inline {
			if match := testName.FindStringSubmatch(code.text); match != nil {
				tests++
				if !testfunc.Exists(t, filepath.Join(root, match[1]), match[2]) {
					t.Errorf("%s:%d: there is no test %s in %s", code.page, code.line, match[2], match[1])
				}
			} else if pathName.MatchString(code.text) && !inCapitals.MatchString(code.text) {
				if _, err := os.Stat(filepath.Join(root, code.text)); err != nil {
					t.Errorf("%s:%d: there is no %s", code.page, code.line, code.text)
				}
			}
		}
	}
	if tests < 50 {
		t.Errorf("The pages name %d tests: this test no longer finds them", tests)
	}
}
