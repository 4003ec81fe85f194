// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the root of the repository.
const root = "../.."

// block is a fenced block of a page.
type block struct {
	page, heading string
	line          int
	// info is what follows the fence: a language, and what else.
	info, text string
}

// page is a file with its blocks, and with the code that stands in its lines.
type page struct {
	name   string
	blocks []block
	inline []inline
}

// inline is code in a line.
type inline struct {
	page, text string
	line       int
}

// pages returns README.md and the pages of docs and its folders, sorted by name.
func pages(t *testing.T) []page {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(files) < 5 {
		t.Fatalf("The pages of docs: %d, %v", len(files), err)
	}
	below, err := filepath.Glob(filepath.Join(root, "docs", "*", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, below...)
	slices.Sort(files)
	var out []page
	for _, file := range append([]string{filepath.Join(root, "README.md")}, files...) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			t.Fatal(err)
		}
		p, problem := parse(name, string(data))
		if problem != "" {
			t.Error(problem)
		}
		out = append(out, p)
	}
	return out
}

var (
	headingLine = regexp.MustCompile(`^#+ (.+)$`)
	codeSpan    = regexp.MustCompile("`([^`]+)`")
)

// parse finds the blocks and the code in a page, and returns what is wrong with it.
func parse(name, text string) (p page, problem string) {
	p.name = name
	var open *block
	heading := ""
	var prose []string
	from := 0
	endProse := func() {
		// Code may be broken between lines of a paragraph.
		whole := strings.Join(prose, "\n")
		for _, at := range codeSpan.FindAllStringSubmatchIndex(whole, -1) {
			p.inline = append(p.inline, inline{name, strings.Join(strings.Fields(whole[at[2]:at[3]]), " "), from + strings.Count(whole[:at[0]], "\n")})
		}
		prose = nil
	}
	for i, line := range strings.Split(text, "\n") {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && open == nil:
			endProse()
			open = &block{page: name, heading: heading, line: i + 1, info: strings.TrimPrefix(strings.TrimSpace(line), "```")}
		case fence:
			p.blocks = append(p.blocks, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		case headingLine.MatchString(line):
			endProse()
			heading = headingLine.FindStringSubmatch(line)[1]
		case strings.TrimSpace(line) == "":
			endProse()
		default:
			if len(prose) == 0 {
				from = i + 1
			}
			prose = append(prose, line)
		}
	}
	endProse()
	if open != nil {
		return p, name + ": a block is not closed"
	}
	return p, ""
}

func TestParse(t *testing.T) {
	p, problem := parse("x.md", "# One\n\nSee `kubectl get\nlb` and `b`.\n\n```sh world\nls\n```\n## Two\n```\na\n\nb\n```\n| `c` | d |\n")
	if problem != "" {
		t.Fatal(problem)
	}
	want := []block{{"x.md", "One", 6, "sh world", "ls\n"}, {"x.md", "Two", 10, "", "a\n\nb\n"}}
	if !slices.Equal(p.blocks, want) {
		t.Errorf("The blocks are %+v", p.blocks)
	}
	if got, want := p.inline, []inline{{"x.md", "kubectl get lb", 3}, {"x.md", "b", 4}, {"x.md", "c", 15}}; !slices.Equal(got, want) {
		t.Errorf("The code is %+v", got)
	}
	if _, problem := parse("x.md", "```\na\n"); problem == "" {
		t.Error("A block without an end was taken")
	}
}
