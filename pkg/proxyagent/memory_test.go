// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMemoryLimit(t *testing.T) {
	file := filepath.Join(t.TempDir(), "memory.max")
	for content, want := range map[string]uint64{
		"max\n": 0, "": 0, "0\n": 0, "-1\n": 0, "268435456\n": 256<<20 - 48<<20, "16777216\n": 8 << 20,
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := memoryLimit(file); got != want {
			t.Errorf("%q: %d, want %d", content, got, want)
		}
	}
	if got := memoryLimit(file + ".none"); got != 0 {
		t.Errorf("without the file: %d", got)
	}
}
