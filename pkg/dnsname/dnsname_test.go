// SPDX-License-Identifier: Apache-2.0

package dnsname

import (
	"strings"
	"testing"
)

func TestRenderDNSName(t *testing.T) {
	for _, c := range []struct{ template, want string }{
		{"{{.PureLBServiceName}}.{{.LBSGName}}.client.acnodal.io", "service.group.client.acnodal.io"},
		{"{{ .LBName }}-{{.Account}}.example.com", "lb-account.example.com"},
		{"{{.IPAddress}}.example.com", "192-0-2-1.example.com"},
		{"{{.ClusterServiceName}}.{{.ClusterServiceNS}}.EXAMPLE.com", "service.namespace.example.com"},
		{"{{- .LBName -}} .example.com", "lb.example.com"},
		{"plain.example.com", "plain.example.com"},
	} {
		got, err := RenderDNSName(c.template, SampleParams)
		if err != nil || got != c.want {
			t.Errorf("%q makes %q, %v; want %q", c.template, got, err, c.want)
		}
	}
}

func TestRenderDNSNameIPv6(t *testing.T) {
	got, err := RenderDNSName("ip-{{.IPAddress}}.example.com", DNSParams{IPAddress: "2001:db8::1"})
	if want := "ip-2001-db8--1.example.com"; err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// Whatever is not text or a plain field is refused, because a tenant writes the
// template and the server runs it.
func TestRenderDNSNameRefuses(t *testing.T) {
	for _, c := range []struct{ template, message string }{
		{`{{printf "%0999999999d" 1}}.example.com`, "not allowed"},
		{`{{.LBName | printf "%s"}}`, "not allowed"},
		{`{{print .LBName}}`, "not allowed"},
		{`{{.LBName .Account}}`, "not allowed"},
		{`{{if .LBName}}a{{end}}`, "not allowed"},
		{`{{range .LBName}}a{{end}}`, "not allowed"},
		{`{{with .LBName}}a{{end}}`, "not allowed"},
		{`{{define "x"}}a{{end}}b`, "not allowed"},
		{`{{template "dnsName"}}`, "not allowed"},
		{`{{$x := .LBName}}a`, "not allowed"},
		{`{{.}}`, "not allowed"},
		{`{{"a"}}`, "not allowed"},
		{`{{.LBName.Length}}`, "not allowed"},
		{`{{(.LBName)}}`, "not allowed"},
		{`{{.Nothing}}.example.com`, "not allowed"},
		{`{{.LBName`, "does not parse"},
		{`{{.LBName}} example`, "not a DNS name"},
		{`.example.com`, "not a DNS name"},
		{``, "not a DNS name"},
		{`*.example.com`, "not a DNS name"},
		{strings.Repeat("a", 64) + ".example.com", "between dots"},
		{strings.Repeat("a.", 130) + "com", "not a DNS name"},
		{strings.Repeat("a", MaxTemplateLength+1), "longer than"},
	} {
		got, err := RenderDNSName(c.template, SampleParams)
		if err == nil || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%.60q makes %q, %v; want an error with %q", c.template, got, err, c.message)
		}
	}
}

func TestRenderDNSNameEmptyField(t *testing.T) {
	_, err := RenderDNSName("{{.PureLBServiceName}}.example.com", DNSParams{LBName: "lb"})
	if err == nil || !strings.Contains(err.Error(), "{{.PureLBServiceName}} has no value") {
		t.Errorf("got %v, want an error that names the field", err)
	}
}

// A client may leave the namespace of its Gateway out.
func TestRenderDNSNameWithoutNamespace(t *testing.T) {
	params := SampleParams
	params.ClusterServiceNS = ""
	for template, want := range map[string]string{
		"{{.ClusterServiceName}}.{{.ClusterServiceNS}}.{{.Account}}.example.com":       "service.account.example.com",
		"{{.ClusterServiceNS}}.{{.ClusterServiceName}}.example.com":                    "service.example.com",
		"{{.ClusterServiceName}}-{{.ClusterServiceNS}}-{{.Account}}.example.com":       "service-account.example.com",
		"{{.ClusterServiceNS}}-{{.ClusterServiceName}}.example.com":                    "service.example.com",
		"{{.ClusterServiceName}}-{{.ClusterServiceNS}}.example.com":                    "service.example.com",
		"a{{.ClusterServiceNS}}b.example.com":                                          "ab.example.com",
		"{{.ClusterServiceNS}}{{.ClusterServiceNS}}.{{.LBName}}.{{.ClusterServiceNS}}": "lb",
		"{{.ClusterServiceNS}}-{{.ClusterServiceNS}}.{{.LBName}}.example.com":          "lb.example.com",
	} {
		got, err := RenderDNSName(template, params)
		if err != nil || got != want {
			t.Errorf("%q makes %q, %v; want %q", template, got, err, want)
		}
	}
	for _, template := range []string{"{{.ClusterServiceNS}}", "a..{{.ClusterServiceNS}}.b", "\x00a.example.com", "a\x00-.example.com"} {
		if got, err := RenderDNSName(template, params); err == nil {
			t.Errorf("%q makes %q", template, got)
		}
	}
}

// A field can't bring template text in.
func TestRenderDNSNameIsNotRecursive(t *testing.T) {
	_, err := RenderDNSName("{{.LBName}}.example.com", DNSParams{LBName: "{{.Account}}", Account: "account"})
	if err == nil {
		t.Error("a value was taken for a template")
	}
}
