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

var (
	link = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	// notInAnchor is what a heading's anchor leaves out, as GitHub and GitLab make it.
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors returns the anchors of a page's headings.
func anchors(text string) (out []string) {
	code := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "```") {
			code = !code
		}
		if heading := headingLine.FindStringSubmatch(line); heading != nil && !code {
			plain := notInAnchor.ReplaceAllString(strings.ToLower(heading[1]), "")
			out = append(out, strings.ReplaceAll(plain, " ", "-"))
		}
	}
	return out
}

// brokenLinks returns the links of a page, below root, that lead nowhere. Links to other
// sites are not followed.
func brokenLinks(root, page string) (out []string, err error) {
	data, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		return nil, err
	}
	for _, match := range link.FindAllStringSubmatch(string(data), -1) {
		target, anchor, _ := strings.Cut(match[1], "#")
		if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
			continue
		}
		file := filepath.Join(root, page)
		if target != "" {
			file = filepath.Join(filepath.Dir(file), target)
		}
		text, err := os.ReadFile(file)
		switch {
		case err != nil:
			if info, statErr := os.Stat(file); statErr != nil || !info.IsDir() {
				out = append(out, match[1])
			}
		case anchor != "" && !slices.Contains(anchors(string(text)), anchor):
			out = append(out, match[1])
		}
	}
	return out, nil
}

func TestLinks(t *testing.T) {
	names := []string{"CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"}
	for _, p := range pages(t) {
		names = append(names, p.name)
	}
	for _, name := range names {
		broken, err := brokenLinks(root, name)
		if err != nil {
			t.Error(err)
		}
		for _, target := range broken {
			t.Errorf("%s: the link %s leads nowhere", name, target)
		}
	}
}

func TestBrokenLinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"a.md":     "# Top\n[b](sub/b.md) [b](sub/b.md#the-server-s--of-etcd) [folder](sub) [own](#top)\n[gone](b.md) [gone](sub/b.md#top) [own](#bottom) [away](https://example.com/x#y)\n```\n# bottom\n```\n",
		"sub/b.md": "## The server `s`, & of etcd!\n[a](../a.md#top)\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for page, want := range map[string][]string{
		"a.md":     {"b.md", "sub/b.md#top", "#bottom"},
		"sub/b.md": nil,
	} {
		if got, err := brokenLinks(dir, page); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v, want %q", page, got, err, want)
		}
	}
}
