// SPDX-License-Identifier: Apache-2.0

package version

import (
	"os"
	"regexp"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
)

func node(major, minor, patch uint32) *corev3.Node {
	return &corev3.Node{UserAgentVersionType: &corev3.Node_UserAgentBuildVersion{UserAgentBuildVersion: &corev3.BuildVersion{
		Version: &typev3.SemanticVersion{MajorNumber: major, MinorNumber: minor, Patch: patch},
	}}}
}

// Patch releases are the same version, and what is unknown is not known to be another one.
func TestVersion(t *testing.T) {
	for name, test := range map[string]struct {
		node    *corev3.Node
		want    string
		differs int
	}{
		"the one EPIC is made for": {node(Major, Minor, 0), Made + ".0", 0},
		"a patch release":          {node(Major, Minor, 7), Made + ".7", 0},
		"an older one":             {node(Major, Minor-1, 9), "1.39.9", -1},
		"a newer one":              {node(Major, Minor+1, 0), "1.41.0", 1},
		"the next major one":       {node(Major+1, 0, 0), "2.0.0", 1},
		"no node":                  {nil, "unknown", 0},
		"a node without a version": {&corev3.Node{Id: "x"}, "unknown", 0},
		"a version as text":        {&corev3.Node{UserAgentVersionType: &corev3.Node_UserAgentVersion{UserAgentVersion: "1.40.0"}}, "unknown", 0},
		"a build without a number": {&corev3.Node{UserAgentVersionType: &corev3.Node_UserAgentBuildVersion{UserAgentBuildVersion: &corev3.BuildVersion{}}}, "unknown", 0},
		"no version of an Envoy":   {node(1, 1<<31, 0), "unknown", 0},
	} {
		v := Of(test.node)
		if v.String() != test.want || v.Differs() != test.differs || v.Known() != (test.want != "unknown") {
			t.Errorf("%s: %s, differs %d; want %s, %d", name, v, v.Differs(), test.want, test.differs)
		}
		if again := Parse(v.String()); again != v {
			t.Errorf("%s: %s is read as %s", name, v, again)
		}
	}
	for _, bad := range []string{"", "1", "1.40", "1.40.0-dev", "1.40.0 ", "v1.40.0", "01.40.0", "1.40.99999", "-1.40.0"} {
		if v := Parse(bad); v.Known() {
			t.Errorf("%q is read as %s", bad, v)
		}
	}
}

// The Envoy that tests and "make run" use, and the one that is documented, are of this version.
func TestMade(t *testing.T) {
	for file, pattern := range map[string]string{
		"../../../hack/envoy.sh":    `(?m)^version=(\d+\.\d+)\.`,
		"../../../docs/support.md":  `(?m)^\| Envoy \| (\d+\.\d+) \|`,
		"../../../docs/operator.md": `built for Envoy (\d+\.\d+)`,
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// Documentation is wrapped.
		found := regexp.MustCompile(strings.ReplaceAll(pattern, " ", `\s`)).FindSubmatch(text)
		if found == nil || string(found[1]) != Made {
			t.Errorf("%s: %q has to have %s", file, found, Made)
		}
	}
}
