// SPDX-License-Identifier: Apache-2.0

// Package dnsname renders the DNS names of proxies from the templates of their service
// groups.
//
// A template is text with plain fields, such as {{.LBName}}.example.com, and supports
// nothing else of Go's templates: no functions, pipelines or conditions. A tenant writes
// the template and the server renders it, so it must not be able to make the server do
// much work.
package dnsname

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template/parse"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/acnodal/epic/pkg/shorten"
)

// MaxTemplateLength is the maximum length of a template. A name has at most 253
// characters, and the longest field's name is shorter than that of a label.
const MaxTemplateLength = 1024

// DNSParams are the values of a template's fields. Values that a proxy does not have are
// empty.
type DNSParams struct {
	// LBName is the name of the load balancer or the gateway proxy.
	LBName string
	// LBSGName is the name of its service group.
	LBSGName string
	// PureLBServiceName is the display name of a load balancer.
	PureLBServiceName string
	// ClusterServiceName is the display name of a gateway proxy.
	ClusterServiceName string
	// ClusterServiceNS is the namespace of the Gateway in the tenant's cluster. It may be
	// empty, because clients may omit it: the name then has no part for it.
	ClusterServiceNS string
	// Account is the name of the account.
	Account string
	// IPAddress is the public address. Its dots and colons are replaced by dashes.
	IPAddress string
}

// SampleParams has a value for every field, to try a template with.
var SampleParams = DNSParams{
	LBName:             "lb",
	LBSGName:           "group",
	PureLBServiceName:  "service",
	ClusterServiceName: "service",
	ClusterServiceNS:   "namespace",
	Account:            "account",
	IPAddress:          "192.0.2.1",
}

// fields are the names of a template's fields, in the order used in messages.
var fields = []string{"LBName", "LBSGName", "PureLBServiceName", "ClusterServiceName", "ClusterServiceNS", "Account", "IPAddress"}

func (p DNSParams) value(field string) string {
	switch field {
	case "LBName":
		return p.LBName
	case "LBSGName":
		return p.LBSGName
	case "PureLBServiceName":
		return p.PureLBServiceName
	case "ClusterServiceName":
		return p.ClusterServiceName
	case "ClusterServiceNS":
		return p.ClusterServiceNS
	case "Account":
		return p.Account
	case "IPAddress":
		return strings.NewReplacer(".", "-", ":", "-").Replace(p.IPAddress)
	}
	return ""
}

// RenderDNSName renders a template. DNS is not case-sensitive, so the name is in lower
// case. It returns an error if the template contains anything but text and the fields of
// DNSParams, if a field that it uses and that every object has is empty, or if the result
// is not a DNS name.
func RenderDNSName(template string, params DNSParams) (string, error) {
	parts, err := parseTemplate(template)
	if err != nil {
		return "", err
	}
	var name strings.Builder
	for _, p := range parts {
		if p.field == "" {
			name.WriteString(p.text)
			continue
		}
		value := params.value(p.field)
		if value == "" && p.field == optionalField {
			value = absent
		}
		if value == "" {
			return "", fmt.Errorf("{{.%s}} has no value for this object: use another field, or set the object's", p.field)
		}
		name.WriteString(value)
	}
	out := strings.ToLower(withoutAbsent(name.String()))
	if msgs := validation.IsDNS1123Subdomain(out); len(msgs) > 0 {
		return "", fmt.Errorf("renders %q, which is not a DNS name: %s", shown(out), strings.Join(msgs, "; "))
	}
	for label := range strings.SplitSeq(out, ".") {
		if len(label) > validation.DNS1123LabelMaxLength {
			return "", fmt.Errorf("renders %q, in which %q is longer than the maximum of %d characters between dots",
				shown(out), shown(label), validation.DNS1123LabelMaxLength)
		}
	}
	return out, nil
}

// optionalField is the name of the one field that may be empty, and absent its
// placeholder until it is removed. No template contains it: see parseTemplate.
const (
	optionalField = "ClusterServiceNS"
	absent        = "\x00"
)

// withoutAbsent removes the placeholders of empty fields, with one of the dots or dashes
// around each: service..example.com is not a name.
func withoutAbsent(name string) string {
	if !strings.Contains(name, absent) {
		return name
	}
	var labels []string
	for label := range strings.SplitSeq(name, ".") {
		rest := label
		for _, place := range []string{absent + "-", "-" + absent, absent} {
			rest = strings.ReplaceAll(rest, place, "")
		}
		if rest != "" || label == "" {
			labels = append(labels, rest)
		}
	}
	return strings.Join(labels, ".")
}

// part is a piece of a template: text, or the name of a field.
type part struct{ text, field string }

func parseTemplate(template string) ([]part, error) {
	if len(template) > MaxTemplateLength {
		return nil, fmt.Errorf("is longer than %d characters: shorten it", MaxTemplateLength)
	}
	if strings.Contains(template, absent) {
		return nil, errors.New("contains a zero byte: remove it")
	}
	const name = "dnsName"
	trees := map[string]*parse.Tree{}
	parser := parse.New(name)
	// Functions are rejected below, known or not, with the fix.
	parser.Mode = parse.SkipFuncCheck
	tree, err := parser.Parse(template, "", "", trees)
	if err != nil {
		return nil, fmt.Errorf("does not parse as a template: %w", err)
	}
	if tree.Root == nil || len(trees) > 1 {
		return nil, errNotPlain("it defines templates")
	}
	var parts []part
	for _, n := range tree.Root.Nodes {
		p, err := plain(n)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// plain accepts text and {{.Field}}.
func plain(n parse.Node) (part, error) {
	switch n := n.(type) {
	case *parse.TextNode:
		return part{text: string(n.Text)}, nil
	case *parse.ActionNode:
		if len(n.Pipe.Decl) > 0 || len(n.Pipe.Cmds) != 1 || len(n.Pipe.Cmds[0].Args) != 1 {
			return part{}, errNotPlain(n.String())
		}
		f, ok := n.Pipe.Cmds[0].Args[0].(*parse.FieldNode)
		if !ok || len(f.Ident) != 1 || !slices.Contains(fields, f.Ident[0]) {
			return part{}, errNotPlain(n.String())
		}
		return part{field: f.Ident[0]}, nil
	}
	return part{}, errNotPlain(n.String())
}

func errNotPlain(what string) error {
	return fmt.Errorf("%s is not allowed: use text and these fields only: {{.%s}}", shown(what), strings.Join(fields, "}}, {{."))
}

// shown returns a text in a form suitable for a message.
func shown(s string) string { return shorten.To(80, s) }
