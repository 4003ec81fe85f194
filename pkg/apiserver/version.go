// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"cmp"
	"runtime/debug"
	"strings"

	"k8s.io/apimachinery/pkg/version"
	basecompatibility "k8s.io/component-base/compatibility"
	baseversion "k8s.io/component-base/version"

	"github.com/acnodal/epic/pkg/buildinfo"
)

// libraryModule is the module whose version determines the version of the Kubernetes API
// conventions that the server follows: its v0.37.2 belongs to Kubernetes 1.37.2.
const libraryModule = "k8s.io/apiserver"

// ReportedVersion is an effective version that /version reports in the form that clients
// expect. kubectl, Helm and client-go parse it as the semantic version of a Kubernetes
// server and compare it with what they, or a chart, support. So it is the version of the
// Kubernetes release whose API server library EPIC is built with, with EPIC's own release
// as build metadata, as in distributions of Kubernetes.
type ReportedVersion struct {
	basecompatibility.EffectiveVersion
	// Kubernetes is the effective version of the library.
	Kubernetes basecompatibility.EffectiveVersion
}

// Info implements basecompatibility.EffectiveVersion.
func (v ReportedVersion) Info() *version.Info {
	info := v.Kubernetes.Info()
	if info == nil {
		return nil
	}
	build, _ := debug.ReadBuildInfo()
	described := describeBuild(*info, build, buildinfo.Release())
	return &described
}

// describeBuild replaces values that only Kubernetes' own build sets by those that the Go
// toolchain recorded.
func describeBuild(info version.Info, build *debug.BuildInfo, release string) version.Info {
	kubernetes := cmp.Or(kubernetesVersion(build), "v"+baseversion.DefaultKubeBinaryVersion+".0")
	info.GitVersion = kubernetes + "+epic-" + metadata(release)
	info.GitCommit, info.GitTreeState, info.BuildDate = "", "", ""
	if build == nil {
		return info
	}
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			info.GitCommit = s.Value
		case "vcs.time":
			info.BuildDate = s.Value
		case "vcs.modified":
			info.GitTreeState = "clean"
			if s.Value == "true" {
				info.GitTreeState = "dirty"
			}
		}
	}
	return info
}

// kubernetesVersion returns the release of Kubernetes that the library belongs to, or ""
// if the toolchain did not record a release of it.
func kubernetesVersion(build *debug.BuildInfo) string {
	if build == nil {
		return ""
	}
	for _, dep := range build.Deps {
		if dep.Path != libraryModule {
			continue
		}
		if dep.Replace != nil {
			dep = dep.Replace
		}
		if minor, ok := strings.CutPrefix(dep.Version, "v0."); ok && isRelease(minor) {
			return "v1." + minor
		}
	}
	return ""
}

// isRelease reports whether s consists of two numbers separated by a dot, such as 37.2.
func isRelease(s string) bool {
	minor, patch, ok := strings.Cut(s, ".")
	return ok && isNumber(minor) && isNumber(patch)
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == "" && (s == "0" || s[0] != '0')
}

// metadata converts a release to build metadata of a semantic version: letters, digits
// and dashes, separated by single dots.
func metadata(release string) string {
	parts := strings.FieldsFunc(release, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-'
	})
	return cmp.Or(strings.Join(parts, "."), "unknown")
}
