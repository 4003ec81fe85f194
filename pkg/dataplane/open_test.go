// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"path/filepath"
	"testing"

	"github.com/acnodal/epic/test/netlab"
)

func BenchmarkOpen(b *testing.B) {
	dir := netlab.BPFFS(b)
	for b.Loop() {
		d, err := Open(Options{Role: RoleGateway, PinPath: filepath.Join(dir, "open")})
		must(b, err)
		must(b, d.Remove())
	}
}
