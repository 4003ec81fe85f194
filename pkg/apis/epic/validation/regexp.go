// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"regexp/syntax"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// Bounds on the regular expressions of one object. Expressions are parsed and
// measured but never compiled: compiling expands repetitions, and a few hundred
// bytes can expand to gigabytes.
const (
	// maxRegexpText bounds what is parsed at all.
	maxRegexpText = 32 << 10
	// maxUnicodeClasses bounds the classes such as \pL, because a few bytes of
	// them stand for thousands of characters even before compilation.
	maxUnicodeClasses = 4
)

// regexps checks the regular expressions of one object, each and all together.
// The zero value is ready for use.
type regexps struct {
	// text and program are the totals so far.
	text, program int
}

// check checks one expression. It must be called for each expression of an
// object, and its cost is bounded over all of these calls.
func (r *regexps) check(path *field.Path, s string) field.ErrorList {
	refuse := func(format string, args ...any) field.ErrorList {
		return field.ErrorList{field.Invalid(path, quoted(s), fmt.Sprintf(format, args...))}
	}
	if r.text += len(s); r.text > maxRegexpText {
		return refuse("the object has more than %d bytes of regular expressions: use several objects", maxRegexpText)
	}
	if strings.Count(s, `\p`)+strings.Count(s, `\P`) > maxUnicodeClasses {
		return refuse(`has more than %d Unicode classes (\p): write the characters themselves`, maxUnicodeClasses)
	}
	parsed, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return refuse("is not a regular expression in RE2 syntax: %s: correct it", quoted(err.Error()))
	}
	if problem := foreignEscape(s); problem != "" {
		return refuse("is not an expression that Envoy accepts: %s", problem)
	}
	size := programSize(parsed)
	if size > epic.MaxRegexpProgram {
		return refuse("is too complex: it compiles to more than %d instructions, as Envoy counts them; use fewer repetitions, alternatives and character classes", epic.MaxRegexpProgram)
	}
	if r.program += size; r.program > epic.MaxRegexpPrograms {
		return refuse("the regular expressions of the object together compile to more than %d instructions, as Envoy counts them: use several objects", epic.MaxRegexpPrograms)
	}
	return nil
}

// programSize estimates the size of the program that RE2, Envoy's engine,
// compiles an expression to. RE2 matches bytes of UTF-8, so a character class
// costs by its ranges of bytes. It stops counting soon after MaxRegexpProgram.
func programSize(re *syntax.Regexp) int {
	size := 1
	switch re.Op {
	case syntax.OpLiteral:
		size = literalSize(re)
	case syntax.OpCharClass:
		size = classSize(re.Rune)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		size = classSize([]rune{0, unicode.MaxRune})
	case syntax.OpCapture, syntax.OpStar, syntax.OpPlus, syntax.OpQuest:
		size = 2 + programSize(re.Sub[0])
	case syntax.OpRepeat:
		size = repeatSize(programSize(re.Sub[0]), re.Min, re.Max)
	case syntax.OpConcat, syntax.OpAlternate:
		for _, sub := range re.Sub {
			if size += 1 + programSize(sub); size > epic.MaxRegexpProgram {
				break
			}
		}
	default:
		// Assertions and the expressions that match nothing.
	}
	return min(size, epic.MaxRegexpProgram+1)
}

// repeatSize is the size of x{low,high}, where high is -1 without an upper
// bound. Every repetition is a copy.
func repeatSize(x, low, high int) int {
	if high < 0 {
		return 2 + max(low, 1)*x
	}
	return 1 + low*x + (high-low)*(x+1)
}

func literalSize(re *syntax.Regexp) int {
	size := 0
	for _, r := range re.Rune {
		size += max(utf8.RuneLen(r), 1)
	}
	if re.Flags&syntax.FoldCase != 0 {
		size *= 2
	}
	return size
}

// classSize counts the ranges of bytes of a character class, given as pairs of
// its first and last characters.
func classSize(pairs []rune) int {
	// A range of characters beyond ASCII is at most that many ranges of bytes,
	// each of several bytes, that share most of their ends.
	const beyondASCII = 8
	size := 0
	for i := 0; i+1 < len(pairs) && size <= epic.MaxRegexpProgram; i += 2 {
		if pairs[i] <= unicode.MaxASCII {
			size++
		}
		if pairs[i+1] > unicode.MaxASCII {
			size += beyondASCII
		}
	}
	return max(size, 1)
}
