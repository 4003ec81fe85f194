// SPDX-License-Identifier: Apache-2.0

// Package shorten makes texts that others wrote fit into messages.
package shorten

import "strings"

// To returns a text of at most that many bytes as it is, and of a longer one the beginning
// with "..." after it. It cuts no character in two.
func To(most int, text string) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
