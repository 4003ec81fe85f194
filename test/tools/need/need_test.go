// SPDX-License-Identifier: Apache-2.0

package need

import (
	"errors"
	"fmt"
	"testing"
)

// recorder is a test that continues after it was skipped or failed.
type recorder struct {
	testing.TB
	skipped, failed string
}

func (r *recorder) Helper() {}

func (r *recorder) Skipf(format string, args ...any) { r.skipped = fmt.Sprintf(format, args...) }

func (r *recorder) Fatalf(format string, args ...any) { r.failed = fmt.Sprintf(format, args...) }

func TestMet(t *testing.T) {
	for name, c := range map[string]struct {
		noSkip          string
		err             error
		skipped, failed string
	}{
		"there":               {"1", nil, "", ""},
		"missing":             {"", errors.New("gone"), "it: gone", ""},
		"may not be missing":  {"1", errors.New("gone"), "", "it: gone"},
		"another value skips": {"0", errors.New("gone"), "it: gone", ""},
	} {
		t.Setenv("EPIC_NO_SKIP", c.noSkip)
		r := &recorder{TB: t}
		Met(r, "it", c.err)
		if r.skipped != c.skipped || r.failed != c.failed {
			t.Errorf("%s: skipped %q, failed %q", name, r.skipped, r.failed)
		}
	}
}

func TestProgram(t *testing.T) {
	t.Setenv("EPIC_NO_SKIP", "")
	if path := Program(t, "sh", "dash"); path == "" {
		t.Error("no path of sh")
	}
	r := &recorder{TB: t}
	Program(r, "no-such-program", "nothing")
	if want := "no-such-program: it is not in PATH: apt-get install nothing"; r.skipped != want {
		t.Errorf("skipped: %q, want %q", r.skipped, want)
	}
}
