// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPasswords(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("x", maxPassword)
	for name, text := range map[string]string{
		"plain": "secret", "newline": "secret\n", "dos": "secret\r\n", "spaces": " a b ", "long": long + "\n",
		"empty": "", "blank": "\n", "too-long": long + "x", "huge": strings.Repeat("x", 1<<20), "lines": "a\nb", "nul": "a\x00b",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := Passwords(dir)
	for name, want := range map[string]string{"plain": "secret", "newline": "secret", "dos": "secret", "spaces": " a b ", "long": long} {
		if got, err := p.Get(name); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, want := range map[string]string{
		"empty": "is empty", "blank": "is empty", "too-long": "longer than 80 bytes", "huge": "longer than 80 bytes", "lines": "more than one line", "nul": "more than one line",
		"missing": "Secret epic-bgp-passwords", "../plain": "cannot be the name", ".": "cannot be the name", "..": "cannot be the name", "..data": "cannot be the name",
	} {
		if got, err := p.Get(name); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "xxx") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := Passwords("").Get("plain"); err == nil || !strings.Contains(err.Error(), "--bgp-password-dir") {
		t.Errorf("without a folder: %v", err)
	}
}
