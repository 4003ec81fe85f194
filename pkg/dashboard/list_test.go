// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/acnodal/epic/pkg/overview"
)

func TestList(t *testing.T) {
	type entry struct {
		name  string
		state overview.State
	}
	var all []entry
	for i := range 120 {
		all = append(all, entry{fmt.Sprintf("Proxy-%03d", i), []overview.State{overview.Good, overview.Bad, overview.Warning, overview.Unknown}[i%4]})
	}
	for query, want := range map[string]string{
		"":                              "1-50 of 120/120, page 1 of 3, Proxy-000",
		"page=3":                        "101-120 of 120/120, page 3 of 3, Proxy-100",
		"page=99":                       "101-120 of 120/120, page 3 of 3, Proxy-100",
		"page=-1":                       "1-50 of 120/120, page 1 of 3, Proxy-000",
		"page=x":                        "1-50 of 120/120, page 1 of 3, Proxy-000",
		"q=proxy-11":                    "1-10 of 10/120, page 1 of 1, Proxy-110",
		"q=+PROXY-11+&page=7":           "1-10 of 10/120, page 1 of 1, Proxy-110",
		"q=none":                        "1-0 of 0/120, page 1 of 1, ",
		"state=bad":                     "1-30 of 30/120, page 1 of 1, Proxy-001",
		"state=problems":                "1-50 of 60/120, page 1 of 2, Proxy-001",
		"state=problems&page=2":         "51-60 of 60/120, page 2 of 2, Proxy-101",
		"state=nonsense":                "1-50 of 120/120, page 1 of 3, Proxy-000",
		"state=ok&q=-00":                "1-3 of 3/120, page 1 of 1, Proxy-000",
		"q=" + strings.Repeat("ä", 300): "1-0 of 0/120, page 1 of 1, ",
	} {
		l := newList(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?"+query, http.NoBody), 50)
		items := filtered(&l, all, func(e *entry) (overview.State, []string) { return e.state, []string{e.name} })
		first := ""
		if len(items) > 0 {
			first = items[0].name
		}
		if got := fmt.Sprintf("%d-%d of %d/%d, page %d of %d, %s", l.First, l.Last, l.Found, l.All, l.Page, l.Pages, first); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
		if len(l.Query) > longestQuery {
			t.Errorf("%s: the search has %d bytes", query, len(l.Query))
		}
		// The link to another page keeps the filter.
		link, err := url.ParseQuery(strings.TrimPrefix(l.Link(2), "?"))
		if err != nil || link.Get("q") != l.Query || link.Get("state") != l.State || link.Get("page") != "2" {
			t.Errorf("%s: %s", query, l.Link(2))
		}
	}
}
