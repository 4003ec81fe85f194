// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"regexp/syntax"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

func TestRegexps(t *testing.T) {
	for s, message := range map[string]string{
		`/v4/advisory/[0-9a-z-]{36}/clone`:     "",
		`/api/v1/object/[\w]{32}/action`:       "",
		strings.Repeat("/[^/]+", 30):           "",
		`/static/[a-zA-Z0-9._-]{0,200}`:        "",
		`(?i)^(www\.)?example\.(com|org|net)$`: "",
		`\p{Greek}+`:                           "",
		`(`:                                    "not a regular expression in RE2 syntax",
		`a{2}{2}{2}{2}`:                        "not a regular expression",
		`a{1001}`:                              "not a regular expression",
		`(?=a)`:                                "not a regular expression",
		`[ab][cd]{1000}[ef]{1000}`:             "too complex",
		`(abc{30}){30}[xz]{999}`:               "too complex",
		`((a?){30}){30}`:                       "too complex",
		`\pL\pL\pL`:                            "too complex",
		`\pL\pN\pL\PN\pL`:                      "more than 4 Unicode classes",
		"(" + strings.Repeat("[ab]", 1000) + "){1000}":        "too complex",
		strings.Repeat("(", 1001) + strings.Repeat(")", 1001): "not a regular expression",
	} {
		var r regexps
		expect(t, r.check(field.NewPath("r"), s), map[bool]string{false: "r"}[message == ""], message)
	}
}

// All expressions of an object together are bounded, too.
func TestRegexpsTogether(t *testing.T) {
	path := field.NewPath("r")
	var programs regexps
	const s = `[0-9a-f]{600}`
	for range epic.MaxRegexpPrograms / 1201 {
		expect(t, programs.check(path, s), "", "")
	}
	expect(t, programs.check(path, s), "r", "together compile to more than 20000")
	var bytes regexps
	long := "x" + strings.Repeat("|", 4095)
	for range maxRegexpText / 4096 {
		bytes.check(path, long)
	}
	expect(t, bytes.check(path, "x"), "r", "more than 32768 bytes")
}

// TestProgramSize compares the estimate with what Envoy reported for these
// expressions, and with Go's own programs.
func TestProgramSize(t *testing.T) {
	for s, reported := range map[string]int{
		`^/v4/advisory/[0-9a-z-]{36}/clone$`:    118,
		`^/api/v1/object/[\w]{32}/action$`:      107,
		"/" + strings.Repeat("/[^/]+", 7) + "/": 115,
	} {
		parsed, err := syntax.Parse(s, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		if size := programSize(parsed); size < reported*8/10 || size > reported*2 {
			t.Errorf("%s: estimated %d, Envoy counts %d", s, size, reported)
		}
	}
}

// FuzzRegexps holds that an accepted expression compiles to a small program,
// and that no expression costs much.
func FuzzRegexps(f *testing.F) {
	for _, s := range []string{"a*", "(a|b){3,9}", `[^/]+`, `\pL`, `(?i)k{9}`, `(?:a{0,30}){30}`, "(((((x))))){2,}", `\x{10FFFF}*`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > maxHeaderValue {
			return
		}
		var errs field.ErrorList
		cost := allocated(func() {
			var r regexps
			errs = r.check(field.NewPath("r"), s)
		})
		if most := uint64(256<<10 + 2000*len(s)); cost > most {
			t.Errorf("%q allocated %d bytes, more than %d", s, cost, most)
		}
		if len(errs) > 0 {
			return
		}
		parsed, err := syntax.Parse(s, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		program, err := syntax.Compile(parsed.Simplify())
		if err != nil {
			t.Fatal(err)
		}
		if n := len(program.Inst); n > 3*epic.MaxRegexpProgram {
			t.Errorf("%q was accepted and has %d instructions", s, n)
		}
	})
}
