// SPDX-License-Identifier: Apache-2.0

package skew

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		part       Part
		of, server string
		want       string
	}{
		{APIServer, "v1.4.0", "v1.4.2", ""},
		{APIServer, "v1.3.0", "v1.4.2", ""},
		{APIServer, "v1.2.0", "v1.4.2", "more than 1 minor version older"},
		{Controller, "v1.4.9", "v1.4.0", ""},
		{Controller, "v1.3.0", "v1.4.0", ""},
		{Controller, "v1.5.0", "v1.4.0", "newer than the API server (v1.4.0): upgrade the API server first"},
		{Operator, "v1.2.0", "v1.4.0", "more than 1 minor"},
		{GatewayNode, "v1.2.0", "v1.4.0", "upgrade it"},
		{Connector, "v1.2.0", "v1.4.0", ""},
		{Connector, "v1.1.0", "v1.4.0", "more than 2 minor versions older"},
		{Connector, "v1.5.0", "v1.4.0", "newer than"},
		{Tool, "v1.5.0", "v1.4.0", ""},
		{Tool, "v1.3.0", "v1.4.0", ""},
		{Tool, "v1.6.0", "v1.4.0", "more than 1 minor version newer"},
		{Tool, "v2.4.0", "v1.4.0", "another major version"},
		{GatewayNode, "v1.4.0-rc.1", "v1.4.0", ""},
		{GatewayNode, "v1.4.0+dirty", "v1.4.0", ""},
		// Of a working tree, nothing can be told.
		{GatewayNode, "(devel)", "v1.4.0", ""},
		{GatewayNode, "v1.2.0", "(devel)", ""},
		{GatewayNode, "v0.0.0-20260102030405-abcdef123456", "v1.4.0", ""},
		{GatewayNode, "v1.0.1-0.20260102030405-abcdef123456", "v1.4.0", ""},
		{GatewayNode, "", "v1.4.0", ""},
		{GatewayNode, "v1.2.0", "", ""},
	} {
		if got := Check(test.part, test.of, test.server); got != test.want && (test.want == "" || !strings.Contains(got, test.want)) {
			t.Errorf("%s %s with %s: %q, want %q", test.part, test.of, test.server, got, test.want)
		}
	}
}

func TestNewest(t *testing.T) {
	for _, test := range []struct {
		versions []string
		want     string
	}{
		{nil, ""}, {[]string{"v1.9.0", "v1.10.0", "v1.2.0"}, "v1.10.0"}, {[]string{"v1.0.0", "(devel)"}, "(devel)"}, {[]string{"v1.0.0-rc.1", "v1.0.0"}, "v1.0.0"},
	} {
		if got := Newest(test.versions); got != test.want {
			t.Errorf("%v: %s, want %s", test.versions, got, test.want)
		}
	}
}

func FuzzLabelValue(f *testing.F) {
	for _, text := range []string{"v1.2.3", "v1.2.3+dirty", "(devel)", "", strings.Repeat("é", 40), strings.Repeat("a", 62) + "-+"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if problems := validation.IsValidLabelValue(LabelValue(text)); len(problems) > 0 {
			t.Errorf("%q becomes %q: %v", text, LabelValue(text), problems)
		}
		if len(validation.IsValidLabelValue(text)) == 0 && LabelValue(text) != text {
			t.Errorf("%q is changed to %q", text, LabelValue(text))
		}
	})
}
