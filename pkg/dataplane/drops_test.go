// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/acnodal/epic/bpf"
)

// The programs' reasons, the package's and those in docs/dataplane.md are the same.
func TestDropReasons(t *testing.T) {
	if got, want := len(dropReasons), int(bpf.KernelDropReasonDROP_REASONS)-1; got != want {
		t.Errorf("there are names for %d reasons, the programs have %d", got, want)
	}
	var names []DropReason
	for i, drop := range dropReasons {
		if int(drop.number) != i+1 {
			t.Errorf("reason %s has the number %d, want %d", drop.reason, drop.number, i+1)
		}
		names = append(names, drop.reason)
	}
	text, err := os.ReadFile("../../docs/dataplane.md")
	must(t, err)
	var documented []DropReason
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (in|out|both) \\|").FindAllSubmatch(text, -1) {
		documented = append(documented, DropReason(row[1]))
	}
	if !slices.Equal(documented, names) {
		t.Errorf("docs/dataplane.md explains %v\nthe code has %v", documented, names)
	}
}
