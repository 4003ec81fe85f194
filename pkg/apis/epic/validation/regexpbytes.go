// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Envoy compares bytes: it runs RE2 with the encoding Latin-1, and its RE2 knows the
// Unicode of 2022. So it refuses some of what Go's parser takes: escapes of characters
// beyond \xFF, and classes with newer or looser names.

// maxByte is the last character that an escape may stand for.
const maxByte = 0xFF

// newScripts are the names of Unicode scripts that Envoy's RE2 does not know.
var newScripts = map[string]bool{
	"Garay": true, "Gurung_Khema": true, "Kirat_Rai": true, "Ol_Onal": true, "Sunuwar": true, "Todhri": true, "Tulu_Tigalari": true,
	"Beria_Erfe": true, "Sidetic": true, "Tai_Yo": true, "Tolong_Siki": true,
}

// foreignEscape returns what in an expression that Go's parser has accepted is not an
// escape of Envoy's RE2; empty if there is nothing.
func foreignEscape(s string) string {
	for i := 0; i+1 < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		i++
		rest := s[i+1:]
		switch c := s[i]; {
		case c == 'Q':
			// Literal text up to \E, or to the end.
			end := strings.Index(rest, `\E`)
			if end < 0 {
				return ""
			}
			i += end + 2
		case c == 'x' && strings.HasPrefix(rest, "{"):
			digits, _, _ := strings.Cut(rest[1:], "}")
			if n, err := strconv.ParseUint(digits, 16, 32); err != nil || n > maxByte {
				return fmt.Sprintf(`\x{%s} stands for a character beyond \xFF: write the character itself`, quoted(digits))
			}
		case c >= '0' && c <= '7':
			if n, ok := octal(s[i:]); ok && n > maxByte {
				return fmt.Sprintf(`\%s stands for a character beyond \xFF: write the character itself`, s[i:i+3])
			}
		case c == 'p' || c == 'P':
			name := className(rest)
			if !knownClass(name) {
				return fmt.Sprintf(`the Unicode class %s is not known: use the short name of a category, such as L or Nd, or the name of a script, such as Greek`, quoted(name))
			}
		}
	}
	return ""
}

// octal reads the three digits of an escape; fewer are never beyond a byte.
func octal(s string) (uint64, bool) {
	if len(s) < 3 {
		return 0, false
	}
	n, err := strconv.ParseUint(s[:3], 8, 32)
	return n, err == nil
}

// className is the name of the class after \p or \P.
func className(rest string) string {
	if !strings.HasPrefix(rest, "{") {
		for _, r := range rest {
			return string(r)
		}
		return ""
	}
	name, _, _ := strings.Cut(rest[1:], "}")
	return strings.TrimPrefix(name, "^")
}

func knownClass(name string) bool {
	if name == "Any" {
		return true
	}
	if _, ok := unicode.Categories[name]; ok {
		return len(name) <= 2 && name != "Cn" && name != "LC"
	}
	_, ok := unicode.Scripts[name]
	return ok && !newScripts[name]
}
