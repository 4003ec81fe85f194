// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"regexp"
	"runtime/debug"
	"testing"

	utilversion "k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apimachinery/pkg/version"
)

// semantic is the form that https://semver.org gives for the versions that Helm,
// with the leading v that it allows, and others parse.
var semantic = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
	`(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?$`)

func TestDescribeBuild(t *testing.T) {
	library := func(version string) *debug.BuildInfo {
		return &debug.BuildInfo{Deps: []*debug.Module{{Path: "k8s.io/api", Version: "v0.1.1"}, {Path: "k8s.io/apiserver", Version: version}}}
	}
	replaced := library("v0.30.0")
	replaced.Deps[1].Replace = &debug.Module{Path: "example.com/fork", Version: "v0.37.9"}
	for _, c := range []struct {
		name    string
		build   *debug.BuildInfo
		release string
		want    string
	}{
		{"a release", library("v0.37.2"), "v0.3.0", "v1.37.2+epic-v0.3.0"},
		{"a commit", library("v0.37.2"), "v0.0.0-20261127163000-0123456789ab", "v1.37.2+epic-v0.0.0-20261127163000-0123456789ab"},
		{"a changed tree", library("v0.37.2"), "v0.3.1-0.20261127163000-0123456789ab+dirty", "v1.37.2+epic-v0.3.1-0.20261127163000-0123456789ab.dirty"},
		{"a build outside of version control", library("v0.37.2"), "(devel)", "v1.37.2+epic-devel"},
		{"no release at all", library("v0.37.2"), "", "v1.37.2+epic-unknown"},
		{"a library of no release", library("v0.0.0-20261127163000-0123456789ab"), "v0.3.0", "v1.37.0+epic-v0.3.0"},
		{"a library of a folder", library("(devel)"), "v0.3.0", "v1.37.0+epic-v0.3.0"},
		{"a library with a leading zero", library("v0.037.2"), "v0.3.0", "v1.37.0+epic-v0.3.0"},
		{"a replaced library", replaced, "v0.3.0", "v1.37.9+epic-v0.3.0"},
		{"no build information", nil, "(devel)", "v1.37.0+epic-devel"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := describeBuild(version.Info{Major: "1", Minor: "37", GitVersion: "v0.0.0-master+$Format:%H$", BuildDate: "1970-01-01T00:00:00Z"}, c.build, c.release)
			if got.GitVersion != c.want {
				t.Errorf("got %s, want %s", got.GitVersion, c.want)
			}
			if !semantic.MatchString(got.GitVersion) {
				t.Errorf("%s is no semantic version", got.GitVersion)
			}
			if _, err := utilversion.ParseSemantic(got.GitVersion); err != nil {
				t.Error(err)
			}
			if got.Major != "1" || got.Minor != "37" {
				t.Errorf("major %s, minor %s", got.Major, got.Minor)
			}
		})
	}
}

func TestDescribeBuildCommit(t *testing.T) {
	build := &debug.BuildInfo{Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123"}, {Key: "vcs.time", Value: "2026-11-27T16:30:00Z"}, {Key: "vcs.modified", Value: "true"},
	}}
	got := describeBuild(version.Info{}, build, "v0.3.0")
	if got.GitCommit != "0123" || got.BuildDate != "2026-11-27T16:30:00Z" || got.GitTreeState != "dirty" {
		t.Errorf("got %+v", got)
	}
}
