// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"strings"
	"unicode/utf8"
)

const (
	// longest is the maximum number of characters of a message in a table.
	longest = 160
	// widest is the maximum number of characters in a line of text.
	widest = 96
)

// summary returns a message for a table: one line, truncated to the beginning of its
// first line if it is long.
func summary(s string) string {
	whole := strings.Join(strings.Fields(line(s)), " ")
	if utf8.RuneCountInString(whole) <= longest {
		return whole
	}
	first, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	first = strings.Join(strings.Fields(line(first)), " ")
	if utf8.RuneCountInString(first) <= longest {
		return first + " …"
	}
	cut := string([]rune(first)[:longest])
	if i := strings.LastIndexByte(cut, ' '); i > longest/2 {
		cut = cut[:i]
	}
	return cut + " …"
}

// wrapped returns the lines of a message, wrapped between words at the given width.
func wrapped(s string, width int) (out []string) {
	for _, text := range strings.Split(strings.TrimSpace(s), "\n") {
		text = strings.TrimRight(line(text), " ")
		var b strings.Builder
		for i, word := range strings.Fields(text) {
			if i > 0 && utf8.RuneCountInString(b.String())+1+utf8.RuneCountInString(word) > width {
				out = append(out, b.String())
				b.Reset()
			} else if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(word)
		}
		if b.Len() > 0 {
			out = append(out, b.String())
		}
	}
	return out
}
