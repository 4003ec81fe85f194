// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSummary(t *testing.T) {
	long := strings.Repeat("word ", 100)
	for in, want := range map[string]string{
		"":                         "",
		"short":                    "short",
		"one\ntwo":                 "one two",
		"one\n" + long:             "one …",
		"  one\n":                  "one",
		"with \x1b[31m a terminal": "with [31m a terminal",
		long:                       strings.TrimSpace(long[:160]) + " …",
	} {
		if got := summary(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := summary(strings.Repeat("ü", 1000)); !utf8.ValidString(got) || utf8.RuneCountInString(got) > longest+2 {
		t.Errorf("A long word: %q", got)
	}
}

func TestWrapped(t *testing.T) {
	for in, want := range map[string][]string{
		"":                    nil,
		"one":                 {"one"},
		"one two three":       {"one two", "three"},
		"one\n\ntwo":          {"one", "two"},
		"incomprehensible it": {"incomprehensible", "it"},
		"a\rb\x07c":           {"a b c"},
	} {
		if got := wrapped(in, 8); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
