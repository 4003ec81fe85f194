// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"slices"
	"strings"
	"testing"
)

func TestDocuments(t *testing.T) {
	for name, test := range map[string]struct {
		stream string
		want   []string
		err    string
	}{
		"nothing":              {},
		"comments only":        {stream: "# one\n---\n# two\n"},
		"one":                  {stream: "a: 1\n", want: []string{"a: 1"}},
		"several":              {stream: "a: 1\n---\n# comment\n---\nb: 2\n", want: []string{"a: 1", "b: 2"}},
		"comment in front":     {stream: "# comment\na: 1\n", want: []string{"# comment\na: 1"}},
		"no YAML after a good": {stream: "a: 1\n---\nb: [\n", want: []string{"a: 1"}, err: "b: ["},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			var failed string
			for document, err := range Documents([]byte(test.stream)) {
				if err != nil {
					failed = err.Error()
					continue
				}
				got = append(got, strings.TrimSpace(string(document)))
			}
			if !slices.Equal(got, test.want) || (failed != "") != (test.err != "") || !strings.Contains(failed, test.err) {
				t.Errorf("got %q and the error %q", got, failed)
			}
		})
	}
}
