// SPDX-License-Identifier: Apache-2.0

// Package buildinfo reports which release a program is. It knows nothing of the
// versions of libraries.
package buildinfo

import "runtime/debug"

// Release is what the Go toolchain wrote into the binary: the release's tag, or a
// pseudo-version with the commit; "(devel)" where it wrote nothing.
func Release() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
