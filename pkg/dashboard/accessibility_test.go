// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	_ "embed"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
)

// checkPage returns what is wrong with the page that a browser shows: its outline, its
// landmarks, labels, IDs, and the contrast of each text.
//
//go:embed testdata/checkpage.js
var checkPage string

// axe is what the axe-core library finds in the page.
const axe = `axe.run(document, {resultTypes: ["violations"]}).then((r) => r.violations.map((v) => v.id + ": " + v.help + ": " + v.nodes.map((n) => n.html).join(" ")))`

// named are the roles that screen readers read the names of.
var named = []string{"link", "button", "textbox", "searchbox", "combobox", "navigation", "progressbar", "table", "article", "form", "search"}

// accessible checks the page that a tab shows. Where EPIC_AXE names the file axe.min.js of
// axe-core, that library checks it too.
func accessible(ctx context.Context, t *testing.T, what string) {
	t.Helper()
	for _, fault := range js[[]string](ctx, t, checkPage) {
		t.Errorf("%s: %s", what, fault)
	}
	tree := value(ctx, t, func(ctx context.Context, _ *chromedp.Target) (accessibility.GetFullAXTreeResult, error) {
		return chromedp.Call(ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	})
	text := func(v *accessibility.Value) (s string) {
		if v == nil || json.Unmarshal(v.Value, &s) != nil {
			return ""
		}
		return s
	}
	count := map[string]int{}
	for _, node := range tree.Nodes {
		role := text(node.Role)
		if node.Ignored || role == "" {
			continue
		}
		count[role]++
		if slices.Contains(named, role) && text(node.Name) == "" {
			t.Errorf("%s: a %s has no name for screen readers", what, role)
		}
	}
	for _, role := range []string{"main", "banner", "contentinfo", "heading", "status"} {
		if count[role] == 0 {
			t.Errorf("%s: there is no %s: %v", what, role, count)
		}
	}
	file := os.Getenv("EPIC_AXE")
	if file == "" {
		return
	}
	script, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	js[any](ctx, t, string(script)+";0")
	for _, fault := range value(ctx, t, chromedp.Evaluate[[]string](axe, chromedp.EvalAwaitPromise)) {
		t.Errorf("%s: axe-core: %s", what, fault)
	}
}
