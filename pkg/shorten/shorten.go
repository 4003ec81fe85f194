// SPDX-License-Identifier: Apache-2.0

// Package shorten shortens foreign texts so they fit into messages.
package shorten

import "strings"

// To returns a text unchanged if it has at most that many bytes, and otherwise its
// beginning followed by "...". It does not split characters.
func To(most int, text string) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
