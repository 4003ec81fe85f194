// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"
)

func TestExtract(t *testing.T) {
	const source = "// A comment\n// of two lines.\n\n//go:embed x\npackage a // says it\n\nimport \"some path\"\n\n" +
		"type t struct {\n\tF int `json:\"a tag\"`\n}\n\n/* A block\n * of old. */\nvar s = \"one \" +\n\t\"sentence\" + f(\"another one\") + `raw\ntext`\n"
	for name, test := range map[string]struct {
		file, text string
		want       []passage
	}{
		"Go": {"a.go", source, []passage{
			{1, "A comment\nof two lines."}, {5, "says it"}, {13, "A block\nof old."},
			{15, "one sentence"}, {16, "another one"}, {16, "raw\ntext"},
		}},
		"a Go test": {"a_test.go", source, []passage{
			{1, "A comment\nof two lines."}, {5, "says it"}, {13, "A block\nof old."},
		}},
		"a page": {"docs/a.md", "# Title\n\nSee `some\ncode` and [this](beside.md)\nor that.\n\n```sh\ncode\n```\n| a cell | b |\n", []passage{
			{1, "# Title"}, {3, "See `\n` and [this``\nor that."}, {10, "| a cell | b |"},
		}},
		"a script":             {"a.sh", "#!/bin/sh\n# Says it\n# twice.\nx=1 # once\ny=\"$#\"\n", []passage{{2, "Says it\ntwice.\nonce"}}},
		"C":                    {"a.h", "// One.\nint x; // two\n/* three */\n", []passage{{1, "One.\ntwo\nthree "}}},
		"a manifest":           {"a.yaml", "# One.\na: b # two\nsummary: three\n", []passage{{1, "One.\ntwo\nthree"}}},
		"generated code":       {"pkg/apis/epic/v1/zz_generated.deepcopy.go", source, nil},
		"what tests expect":    {"pkg/a/testdata/a.out.yaml", "# says it\n", nil},
		"generated pages":      {"docs/reference-api.md", "It says.\n", nil},
		"what is not a format": {"a.bin", "It says.\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := extract(test.file, []byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
	if _, err := extract("a.go", []byte("package")); err == nil {
		t.Error("a file that can't be parsed was accepted")
	}
}
