// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/acnodal/epic/pkg/overview"
)

const (
	rowsPerPage     = 50
	problemsPerPage = 25
	nodesPerPage    = 20
	directShown     = 50
	// longestQuery is the maximum length of a search.
	longestQuery = 200
)

// list is a part of a long list: the filter and the page.
type list struct {
	// Query and State are the filter; State is "", "problems" or a state.
	Query, State string
	// Page counts from 1 to Pages.
	Page, Pages int
	// Found is the number of entries of All that match the filter.
	Found, All int
	// First and Last are the numbers of the entries on the page, from 1.
	First, Last int
	perPage     int
}

// newList returns the list that a request selects.
func newList(r *http.Request, perPage int) list {
	q := r.URL.Query()
	l := list{Query: strings.TrimSpace(q.Get("q")), State: q.Get("state"), Page: 1, perPage: perPage}
	if len(l.Query) > longestQuery {
		l.Query = strings.ToValidUTF8(l.Query[:longestQuery], "")
	}
	switch l.State {
	case "problems", string(overview.Bad), string(overview.Warning), string(overview.Unknown), string(overview.Good):
	default:
		l.State = ""
	}
	if n, err := strconv.Atoi(q.Get("page")); err == nil && n > 0 {
		l.Page = n
	}
	return l
}

// Filtered reports whether a filter applies.
func (l list) Filtered() bool { return l.Query != "" || l.State != "" }

// Link returns the query of another page of the same list.
func (l list) Link(page int) string {
	v := url.Values{}
	if l.Query != "" {
		v.Set("q", l.Query)
	}
	if l.State != "" {
		v.Set("state", l.State)
	}
	if page > 1 {
		v.Set("page", strconv.Itoa(page))
	}
	return "?" + v.Encode()
}

// Previous returns the number of the previous page, or 0.
func (l list) Previous() int { return l.Page - 1 }

// Next returns the number of the next page, or 0.
func (l list) Next() int {
	if l.Page >= l.Pages {
		return 0
	}
	return l.Page + 1
}

// keeps reports whether an entry with a state and texts matches the filter.
func (l list) keeps(state overview.State, texts []string) bool {
	switch l.State {
	case "":
	case "problems":
		if state != overview.Bad && state != overview.Warning {
			return false
		}
	default:
		if string(state) != l.State {
			return false
		}
	}
	if l.Query == "" {
		return true
	}
	query := strings.ToLower(l.Query)
	for _, text := range texts {
		if strings.Contains(strings.ToLower(text), query) {
			return true
		}
	}
	return false
}

// filtered returns the entries of the list's page, and completes the list.
func filtered[T any](l *list, all []T, of func(*T) (overview.State, []string)) []T {
	l.All = len(all)
	if l.Filtered() {
		var kept []T
		for i := range all {
			if l.keeps(of(&all[i])) {
				kept = append(kept, all[i])
			}
		}
		all = kept
	}
	l.Found = len(all)
	l.Pages = max(1, (l.Found+l.perPage-1)/l.perPage)
	l.Page = min(l.Page, l.Pages)
	from := (l.Page - 1) * l.perPage
	to := min(from+l.perPage, l.Found)
	l.First, l.Last = from+1, to
	return all[from:to]
}
