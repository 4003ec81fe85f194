// SPDX-License-Identifier: Apache-2.0

package shorten

import "testing"

func TestTo(t *testing.T) {
	for _, c := range []struct {
		most       int
		text, want string
	}{
		{3, "", ""},
		{3, "abc", "abc"},
		{3, "abcd", "abc..."},
		{4, "abcé", "abc..."},
		{5, "abcé", "abcé"},
		{2, "€", "..."},
		{3, "\xffab", "\xffab"},
		{3, "\xffabc", "ab..."},
	} {
		if got := To(c.most, c.text); got != c.want {
			t.Errorf("%q with at most %d bytes: got %q, want %q", c.text, c.most, got, c.want)
		}
	}
}
