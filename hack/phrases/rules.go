// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// rule is a phrase to avoid.
type rule struct {
	// Avoid is a regular expression for whole words, in any case. A space in it stands
	// for any white space.
	Avoid string `json:"avoid"`
	// Say is better wording.
	Say string `json:"say"`
	// Why is the reason, shared by similar rules.
	Why string `json:"why"`
	// Bad contains the phrase, and Good is the same text without it. They test the rule.
	Bad  string `json:"bad"`
	Good string `json:"good"`

	expression *regexp.Regexp
}

// exception is a text that contains a phrase and is allowed.
type exception struct {
	// File is the file's path, Text a part of its prose.
	File string `json:"file"`
	Text string `json:"text"`
	Why  string `json:"why"`

	used bool
}

// list is the content of phrases.yaml.
type list struct {
	Rules      []*rule      `json:"rules"`
	Exceptions []*exception `json:"exceptions"`
}

// parseList parses phrases.yaml.
func parseList(data []byte) (*list, error) {
	var l list
	if err := yaml.UnmarshalStrict(data, &l); err != nil {
		return nil, fmt.Errorf("phrases.yaml: %w", err)
	}
	for _, r := range l.Rules {
		if r.Avoid == "" || r.Say == "" || r.Why == "" || r.Bad == "" || r.Good == "" {
			return nil, fmt.Errorf("phrases.yaml: the rule for %q lacks one of avoid, say, why, bad and good", r.Avoid)
		}
		// A phrase that begins or ends with punctuation has no word boundary there.
		begin, end := `\b`, `\b`
		if strings.HasPrefix(r.Avoid, ",") {
			begin = ""
		}
		if strings.HasSuffix(r.Avoid, "]") || strings.HasSuffix(r.Avoid, `\.`) {
			end = ""
		}
		var err error
		if r.expression, err = regexp.Compile(`(?i)` + begin + `(?:` + strings.ReplaceAll(r.Avoid, " ", `\s+`) + `)` + end); err != nil {
			return nil, fmt.Errorf("phrases.yaml: %w", err)
		}
	}
	for _, e := range l.Exceptions {
		if e.File == "" || e.Text == "" || e.Why == "" {
			return nil, fmt.Errorf("phrases.yaml: the exception for %q in %q lacks one of file, text and why", e.Text, e.File)
		}
	}
	return &l, nil
}

// finding is a phrase found in a file.
type finding struct {
	file   string
	line   int
	phrase string
	rule   *rule
}

func (f finding) String() string {
	return fmt.Sprintf("%s:%d: %q: %s (%s)", f.file, f.line, f.phrase, f.rule.Say, f.rule.Why)
}

// check returns the phrases of a file that no exception allows.
func (l *list) check(file string, passages []passage) (out []finding) {
	for _, p := range passages {
		for _, r := range l.Rules {
			for _, at := range r.expression.FindAllStringIndex(p.text, -1) {
				if l.excepted(file, p.text, at[0], at[1]) {
					continue
				}
				out = append(out, finding{
					file: file, line: p.line + strings.Count(p.text[:at[0]], "\n"),
					phrase: strings.Join(strings.Fields(p.text[at[0]:at[1]]), " "), rule: r,
				})
			}
		}
	}
	return out
}

// excepted reports whether an exception's text covers the phrase at these offsets.
func (l *list) excepted(file, text string, from, to int) bool {
	for _, e := range l.Exceptions {
		if e.File != file {
			continue
		}
		pattern := regexp.MustCompile(strings.Join(strings.Fields(regexp.QuoteMeta(e.Text)), `\s+`))
		for _, at := range pattern.FindAllStringIndex(text, -1) {
			if at[0] <= from && to <= at[1] {
				e.used = true
				return true
			}
		}
	}
	return false
}

// unused returns an error for each exception that did not apply.
func (l *list) unused() error {
	var errs []error
	for _, e := range l.Exceptions {
		if !e.used {
			errs = append(errs, fmt.Errorf("phrases.yaml: %s has no phrase to allow in %q: delete the exception", e.File, e.Text))
		}
	}
	return errors.Join(errs...)
}
