// SPDX-License-Identifier: Apache-2.0

// Package version compares the versions that Envoys report with the one that this release
// of EPIC is made for. It is pure.
package version

import (
	"cmp"
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// The version of Envoy that this release of EPIC is made for and tested with. All of its
// patch releases are supported.
const (
	Major = 1
	Minor = 40
)

// Made is that version as text.
var Made = fmt.Sprintf("%d.%d", Major, Minor)

// limit limits each number of a version. A tenant may choose the Envoy image, and thus
// what it reports; no release comes near this.
const limit = 10000

// Version is the version of an Envoy. The zero value is an unknown one.
type Version struct {
	Major, Minor, Patch uint32
}

// Of returns the version that an Envoy reports about itself in its first request. It is unknown
// if the Envoy reports none, or one that no Envoy has.
func Of(node *corev3.Node) Version {
	v := node.GetUserAgentBuildVersion().GetVersion()
	if max(v.GetMajorNumber(), v.GetMinorNumber(), v.GetPatch()) >= limit {
		return Version{}
	}
	return Version{v.GetMajorNumber(), v.GetMinorNumber(), v.GetPatch()}
}

// Parse parses the format of String. It returns an unknown version for anything else.
func Parse(s string) Version {
	var v Version
	n, err := fmt.Sscanf(s, "%d.%d.%d", &v.Major, &v.Minor, &v.Patch)
	if err != nil || n != 3 || v.String() != s || max(v.Major, v.Minor, v.Patch) >= limit {
		return Version{}
	}
	return v
}

// Known reports whether an Envoy reported the version.
func (v Version) Known() bool { return v != Version{} }

// String returns the version in Envoy's format, such as 1.40.0.
func (v Version) String() string {
	if !v.Known() {
		return "unknown"
	}
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}

// Differs returns how a version compares with the one that this release of EPIC is made for:
// negative for an older one, positive for a newer one, and 0 for one of its patch releases and
// for one that is unknown.
func (v Version) Differs() int {
	if !v.Known() {
		return 0
	}
	return cmp.Or(cmp.Compare(v.Major, Major), cmp.Compare(v.Minor, Minor))
}

// Compare orders versions, unknown ones first.
func (v Version) Compare(o Version) int {
	return cmp.Or(cmp.Compare(v.Major, o.Major), cmp.Compare(v.Minor, o.Minor), cmp.Compare(v.Patch, o.Patch))
}
