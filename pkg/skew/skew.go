// SPDX-License-Identifier: Apache-2.0

// Package skew decides which versions of EPIC's parts work together. docs/releases.md
// describes the policy.
package skew

import (
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/util/version"

	"github.com/acnodal/epic/pkg/apis/epic"
)

const (
	// ServerHeader is the header of the API server's responses with its version.
	ServerHeader = "Epic-Version"
	// Label is the label of a Lease with the version of the leading program.
	Label = epic.LabelPrefix + "version"
	// ConnectorAnnotation is the annotation of the role binding of a client cluster's
	// nodes with the version of its connector.
	ConnectorAnnotation = epic.LabelPrefix + "connector-version"
)

// Part is a kind of program.
type Part string

// Values of Part.
const (
	APIServer   Part = "API server"
	Controller  Part = "controller"
	Operator    Part = "operator"
	GatewayNode Part = "gateway node"
	Connector   Part = "connector"
	Tool        Part = "epicctl"
)

// rules defines by how many minor versions a part may be older and newer than the API
// server.
var rules = map[Part]struct{ older, newer int }{
	APIServer:   {1, 0},
	Controller:  {1, 0},
	Operator:    {1, 0},
	GatewayNode: {1, 0},
	Connector:   {2, 0},
	Tool:        {1, 1},
}

// Check returns why a part with a version does not work with an API server with a
// version, the newest of its replicas; empty if it does, or if one of them is not a
// release.
func Check(part Part, of, server string) string {
	have, err := version.ParseSemantic(of)
	if err != nil || !IsRelease(of) || !IsRelease(server) {
		return ""
	}
	want, err := version.ParseSemantic(server)
	if err != nil {
		return ""
	}
	rule := rules[part]
	if have.Major() != want.Major() {
		return fmt.Sprintf("another major version than the API server's %s", server)
	}
	switch difference := int(have.Minor()) - int(want.Minor()); {
	case difference > rule.newer && rule.newer == 0:
		return fmt.Sprintf("newer than the API server (%s): upgrade the API server first", server)
	case difference > rule.newer:
		return fmt.Sprintf("more than %s newer than the API server (%s)", minors(rule.newer), server)
	case -difference > rule.older:
		return fmt.Sprintf("more than %s older than the API server (%s): upgrade it", minors(rule.older), server)
	}
	return ""
}

func minors(n int) string {
	if n == 1 {
		return "1 minor version"
	}
	return fmt.Sprintf("%d minor versions", n)
}

// IsRelease reports whether a version is a release, and not a working tree.
func IsRelease(text string) bool {
	v, err := version.ParseSemantic(text)
	// A working tree has a pseudo-version, such as v0.0.0-20260102030405-abcdef123456.
	return err == nil && (v.Major() > 0 || v.Minor() > 0 || v.Patch() > 0) && !pseudo(v.PreRelease())
}

// Newest returns the newest of versions, or the first that is not a release.
func Newest(versions []string) string {
	newest := ""
	for _, text := range versions {
		if !IsRelease(text) {
			return text
		}
		if newest == "" || version.MustParseSemantic(newest).LessThan(version.MustParseSemantic(text)) {
			newest = text
		}
	}
	return newest
}

var (
	commit  = regexp.MustCompile(`(^|\.)[0-9]{14}-[0-9a-f]{12}$`)
	noLabel = regexp.MustCompile(`[^A-Za-z0-9._-]+`)
	edges   = regexp.MustCompile(`^[^A-Za-z0-9]+|[^A-Za-z0-9]+$`)
)

func pseudo(preRelease string) bool { return commit.MatchString(preRelease) }

// LabelValue converts a version to a label value, which allows fewer characters.
func LabelValue(text string) string {
	text = noLabel.ReplaceAllString(text, "_")
	if len(text) > 63 {
		text = text[:63]
	}
	return edges.ReplaceAllString(text, "")
}
