// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// passage is connected text, such as a paragraph or a comment. It has the lines of the
// file, without the markup of prose.
type passage struct {
	line int
	text string
}

// generated matches generated files, and those that tests compare with.
var generated = regexp.MustCompile(`(^|/)testdata/|(^|/)zz_generated|\.pb\.go$|^pkg/generated/|generated\.proto$|^docs/reference-api\.md$|^docs/conformance-report\.yaml$`)

// extract returns the prose of a file: comments, pages, and the strings of programs that
// are sentences.
func extract(name string, source []byte) ([]passage, error) {
	text := string(source)
	switch base := filepath.Base(name); {
	case generated.MatchString(name):
		return nil, nil
	case strings.HasSuffix(base, ".go"):
		return extractGo(name, source)
	case strings.HasSuffix(base, ".md"):
		return extractMarkdown(text), nil
	case strings.HasSuffix(base, ".c"), strings.HasSuffix(base, ".h"):
		return extractLines(text, slashComment), nil
	case strings.HasSuffix(base, ".yaml"), strings.HasSuffix(base, ".yml"):
		return extractLines(text, yamlProse), nil
	case strings.HasSuffix(base, ".sh"), base == "Makefile", strings.HasSuffix(base, ".service"), name == ".ci/run":
		return extractLines(text, hashComment), nil
	}
	return nil, nil
}

// extractGo returns the comments of a file and, except in tests, its strings that contain
// a space. Strings in tests may be any text.
func extractGo(name string, source []byte) ([]passage, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("reading the comments: %w", err)
	}
	line := func(pos token.Pos) int { return files.Position(pos).Line }
	var out []passage
	for _, group := range file.Comments {
		// Text drops directives, and thus their lines.
		var lines []string
		for _, comment := range group.List {
			body := strings.TrimSuffix(strings.TrimPrefix(comment.Text, "/*"), "*/")
			if strings.HasPrefix(comment.Text, "//go:") || strings.HasPrefix(comment.Text, "//nolint") {
				body = ""
			}
			for one := range strings.SplitSeq(body, "\n") {
				lines = append(lines, strings.TrimSpace(strings.TrimLeft(one, "/*\t ")))
			}
		}
		out = append(out, passage{line(group.Pos()), strings.Join(lines, "\n")})
	}
	if strings.HasSuffix(name, "_test.go") {
		return sentences(out), nil
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field:
			n.Tag = nil // not a sentence
		case *ast.BinaryExpr:
			if text, ok := concatenation(n); ok {
				out = append(out, passage{line(n.Pos()), text})
				return false
			}
		case *ast.BasicLit:
			if text, ok := concatenation(n); ok {
				out = append(out, passage{line(n.Pos()), text})
			}
		}
		return true
	})
	return sentences(out), nil
}

// sentences returns the passages with more than one word, sorted by line.
func sentences(passages []passage) []passage {
	out := slices.DeleteFunc(passages, func(p passage) bool { return len(strings.Fields(p.text)) < 2 })
	slices.SortStableFunc(out, func(a, b passage) int { return a.line - b.line })
	return out
}

// concatenation returns the text of a string literal, or of several concatenated ones.
func concatenation(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "", false
		}
		left, ok := concatenation(e.X)
		if !ok {
			return "", false
		}
		right, ok := concatenation(e.Y)
		return left + right, ok
	}
	return "", false
}

// codeSpan matches code in a line, and the target of a link, which are not prose.
var codeSpan = regexp.MustCompile("`[^`]+`|\\]\\([^)]*\\)|https?://\\S+")

// extractMarkdown returns the paragraphs, headings and cells of tables.
func extractMarkdown(text string) (out []passage) {
	fenced := false
	var open []string
	from := 0
	flush := func() {
		if len(open) > 0 {
			whole := codeSpan.ReplaceAllStringFunc(strings.Join(open, "\n"), func(code string) string {
				return "`" + strings.Repeat("\n", strings.Count(code, "\n")) + "`"
			})
			out = append(out, passage{from, whole})
		}
		open = nil
	}
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "```"):
			flush()
			fenced = !fenced
		case fenced:
		case trimmed == "":
			flush()
		case strings.HasPrefix(trimmed, "|"), strings.HasPrefix(trimmed, "#"):
			flush()
			from, open = i+1, []string{trimmed}
			flush()
		default:
			if len(open) == 0 {
				from = i + 1
			}
			open = append(open, trimmed)
		}
	}
	flush()
	return out
}

// extractLines returns the prose of consecutive lines.
func extractLines(text string, prose func(line string) string) (out []passage) {
	var open []string
	from := 0
	flush := func() {
		if len(open) > 0 {
			out = append(out, passage{from, strings.Join(open, "\n")})
		}
		open = nil
	}
	for i, line := range strings.Split(text, "\n") {
		found := prose(line)
		if found == "" {
			flush()
			continue
		}
		if len(open) == 0 {
			from = i + 1
		}
		open = append(open, found)
	}
	flush()
	return out
}

var (
	hash      = regexp.MustCompile(`(?:^|\s)##? (.*)$`)
	slashes   = regexp.MustCompile(`(?:^|\s)// (.*)$|^\s*(?:/\*+|\*) (.*?)(?:\*/)?$`)
	shownText = regexp.MustCompile(`^\s*(?:summary|description|message): (.*)$`)
)

// hashComment returns the comment of a line of a script, Makefile or configuration.
func hashComment(line string) string {
	if match := hash.FindStringSubmatch(line); match != nil {
		return match[1]
	}
	return ""
}

// slashComment returns the comment of a line of C.
func slashComment(line string) string {
	if match := slashes.FindStringSubmatch(line); match != nil {
		return match[1] + match[2]
	}
	return ""
}

// yamlProse returns the comment of a line of YAML, or the text of a field that people
// read.
func yamlProse(line string) string {
	if match := shownText.FindStringSubmatch(line); match != nil {
		return match[1]
	}
	return hashComment(line)
}
