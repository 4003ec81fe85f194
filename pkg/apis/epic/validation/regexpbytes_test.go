// SPDX-License-Identifier: Apache-2.0

package validation

import "testing"

func TestForeignEscape(t *testing.T) {
	for s, refused := range map[string]bool{
		`\x{FF}`: false, `\x{100}`: true, `[^\x{10FFFF}]`: true, `\xFF`: false, `\\x{100}`: false, `\Q\x{100}\E`: false, `\Qa\E\x{100}`: true, `\Q\x{100}`: false,
		`\377`: false, `\400`: true, `\777`: true, `\77`: false, `\12`: false,
		`\pL`: false, `\PN`: false, `\p{L}`: false, `\p{^Lu}`: false, `\p{Greek}`: false, `\p{Any}`: false, `\p{Letter}`: true, `\p{greek}`: true, `\p{Cn}`: true, `\p{LC}`: true,
		`\p{Assigned}`: true, `\p{Garay}`: true, `日本`: false, `\d+\s`: false, `a\`: false,
	} {
		if got := foreignEscape(s); (got != "") != refused {
			t.Errorf("foreignEscape(%q) = %q, want a reason: %t", s, got, refused)
		}
	}
}
