// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// How a block is run.
const (
	besideServer = "sh"
	inWorld      = "sh world"
	inNamespace  = "sh netns"
	flagsOnly    = "sh help"
	makeTargets  = "sh make"
	manifests    = "yaml"
	bare         = ""
)

// installPage is the page whose bare blocks hack/install.sh runs.
const installPage = "docs/install.md"

// TestEveryBlockIsClaimed fails for a block that no test runs.
func TestEveryBlockIsClaimed(t *testing.T) {
	tested := endToEnd(t)
	makefile := read(t, "Makefile")
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			switch b.info {
			case besideServer, inWorld, inNamespace, flagsOnly, manifests, "text", "conf":
			case makeTargets:
				for _, line := range strings.Split(strings.TrimSpace(b.text), "\n") {
					line, _, _ = strings.Cut(line, "#")
					line = strings.TrimSpace(line)
					if strings.HasPrefix(line, "hack/") {
						// "make verify" or the Makefile runs it.
						if read(t, line); !strings.Contains(makefile+read(t, "hack/verify.sh")+read(t, "hack/verify-codegen.sh"), line) {
							t.Errorf("%s:%d: nothing runs %s", b.page, b.line, line)
						}
						continue
					}
					target, ok := strings.CutPrefix(strings.TrimPrefix(line, "sudo "), "make ")
					if !ok || !strings.Contains(makefile, "\n"+target+":") {
						t.Errorf("%s:%d: %q is no target of the Makefile", b.page, b.line, line)
					}
				}
			case bare:
				switch {
				case b.page != installPage:
					t.Errorf("%s:%d: the block has no language: give it one, as package test/docs says", b.page, b.line)
				case strings.Contains(tested, strconv.Quote(b.heading)):
				case strings.Contains(makefile, "\t"+strings.TrimSpace(b.text)+"\n"):
				case b.heading == "Install":
				default:
					t.Errorf("%s:%d: no end-to-end test runs what is under the heading %q", b.page, b.line, b.heading)
				}
			default:
				t.Errorf("%s:%d: nobody knows what to do with a block of %q: see package test/docs", b.page, b.line, b.info)
			}
		}
	}
}

// endToEnd is the text of the end-to-end tests, which name headings.
func endToEnd(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "test", "e2e", "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("The end-to-end tests: %v, %v", files, err)
	}
	var all strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	return all.String()
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
