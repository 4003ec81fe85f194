// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"
	"strings"
)

// identity identifies an object.
type identity struct{ kind, namespace, name string }

// generatedName matches the hash that kustomize appends to the name of a generated
// object.
var generatedName = regexp.MustCompile(`^(epic-node-client|epic-audit-policy)-[a-z0-9]{10}$`)

func newIdentity(content map[string]any) identity {
	metadata, _ := content["metadata"].(map[string]any)
	id := identity{}
	id.kind, _ = content["kind"].(string)
	id.namespace, _ = metadata["namespace"].(string)
	id.name, _ = metadata["name"].(string)
	id.name = generatedName.ReplaceAllString(id.name, "$1")
	return id
}

func (i identity) String() string { return i.kind + "/" + i.namespace + "/" + i.name }

// object is an object of a chart with its variants.
type object struct {
	identity
	// roots is the number of kustomizations of its group.
	roots      int
	conditions []string
	variants   []variant
}

// variant is an object's text, and the conditions under which it applies.
type variant struct {
	text string
	when []string
}

func (o *object) add(text, when string) {
	for i := range o.variants {
		if o.variants[i].text == text {
			o.variants[i].when = append(o.variants[i].when, when)
			return
		}
	}
	o.variants = append(o.variants, variant{text, []string{when}})
}

// file returns the name of the object's file.
func (o *object) file() string {
	name := strings.ToLower(o.kind) + "-" + o.name
	// The same name in two namespaces.
	if o.namespace != "" && o.namespace != "epic-system" {
		name += "-" + o.namespace
	}
	return strings.ReplaceAll(name, ":", "-") + ".yaml"
}

// text returns the object's template.
func (o *object) text() string {
	var b strings.Builder
	b.WriteString("{{- /* Made by hack/charts of artifacts/install: do not edit. */ -}}\n")
	for _, c := range o.conditions {
		b.WriteString("{{- if " + c + " }}\n")
	}
	o.writeVariants(&b)
	for range o.conditions {
		b.WriteString("{{- end }}\n")
	}
	return b.String()
}

func (o *object) writeVariants(b *strings.Builder) {
	if len(o.variants) == 1 && (len(o.variants[0].when) == o.roots && o.roots > 1 || o.variants[0].when[0] == "") {
		b.WriteString(o.variants[0].text)
		return
	}
	for i, v := range o.variants {
		condition := v.when[0]
		if len(v.when) > 1 {
			condition = "or (" + strings.Join(v.when, ") (") + ")"
		}
		word := "if"
		if i > 0 {
			word = "else if"
		}
		b.WriteString("{{- " + word + " " + condition + " }}\n" + v.text)
	}
	b.WriteString("{{- end }}\n")
}
