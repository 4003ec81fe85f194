// SPDX-License-Identifier: Apache-2.0

// Package buildinfo returns the release of a program. It does not contain the versions of
// libraries.
package buildinfo

import "runtime/debug"

// release is set by the linker in a release: hack/release.sh.
var release string

// Tagged returns the tag of this program's release, or "" for a program built from a
// working tree. The release's images have the same tag.
func Tagged() string { return release }

// Release returns the tag of the release, or otherwise what the Go toolchain wrote into
// the binary: a tag, or a pseudo-version with the commit; "(devel)" if it wrote nothing.
func Release() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
