// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/kube-openapi/pkg/validation/spec"
)

const (
	// references begins the reference to a definition.
	references = "#/definitions/"
	// own begins the names of EPIC's types, gateway those of the Gateway API's.
	own     = "com.github.acnodal.epic.pkg.apis.epic.v1."
	gateway = "io.k8s.sigs.gateway-api.apis.v1."
)

const introduction = `<!-- Generated from the types in pkg/apis/epic/v1 by "make generate": edit the comments there. -->

# Kinds and fields

Everything in ` + "`epic.acnodal.io/v1`" + `, as ` + "`kubectl explain KIND --recursive`" + ` describes it. A field
in bold is required. [reference.md](reference.md#kinds) has the short names of the kinds and
what each is for.
`

// page returns the reference of EPIC's kinds, followed by the types that they share.
func page(schemas map[string]spec.Schema) string {
	types := map[string]spec.Schema{}
	for name, schema := range schemas {
		if short, ok := strings.CutPrefix(name, own); ok {
			types[short] = schema
		}
	}
	var kinds []string
	inlined := map[string]bool{}
	for name, schema := range types {
		switch {
		case isList(schema):
			inlined[name] = true
		case isKind(schema):
			kinds = append(kinds, name)
			inlined[name] = true
			for _, part := range []string{"spec", "status"} {
				inlined[typeOf(schema.Properties[part])] = true
			}
		}
	}
	slices.Sort(kinds)
	var out strings.Builder
	out.WriteString(introduction)
	for _, kind := range kinds {
		schema := types[kind]
		fmt.Fprintf(&out, "\n## %s\n\n%s\n", kind, prose(schema.Description))
		rest := schema
		rest.Properties = maps.Clone(schema.Properties)
		for _, field := range []string{"apiVersion", "kind", "metadata"} {
			delete(rest.Properties, field)
		}
		for _, part := range []string{"spec", "status"} {
			property, ok := schema.Properties[part]
			if !ok {
				continue
			}
			delete(rest.Properties, part)
			fmt.Fprintf(&out, "\n`%s`: %s\n\n", part, prose(property.Description))
			out.WriteString(table(types[typeOf(property)]))
		}
		if len(rest.Properties) > 0 {
			out.WriteString("\n" + table(rest))
		}
	}
	out.WriteString("\n## Types\n")
	for _, name := range slices.Sorted(maps.Keys(types)) {
		if schema := types[name]; !inlined[name] {
			fmt.Fprintf(&out, "\n### %s\n\n%s\n", name, prose(schema.Description))
			if len(schema.Properties) > 0 {
				out.WriteString("\n" + table(schema))
			}
		}
	}
	return out.String()
}

// isKind reports whether a type is an object by itself. An EndpointSlice within an object
// has metadata of a type of EPIC.
func isKind(schema spec.Schema) bool {
	return has(schema, "kind") && has(schema, "apiVersion") && has(schema, "metadata") && typeOf(schema.Properties["metadata"]) == ""
}

// isList reports whether a type is the list of a kind.
func isList(schema spec.Schema) bool {
	return isKind(schema) && has(schema, "items")
}

func has(schema spec.Schema, property string) bool {
	_, ok := schema.Properties[property]
	return ok
}

// typeOf returns the short name of the type of EPIC to which a property refers, or an
// empty string.
func typeOf(property spec.Schema) string {
	name, _ := strings.CutPrefix(property.Ref.String(), references+own)
	if name == property.Ref.String() {
		return ""
	}
	return name
}

// table returns a table of the fields of a type, the required ones first.
func table(schema spec.Schema) string {
	names := slices.SortedFunc(maps.Keys(schema.Properties), func(a, b string) int {
		if first, second := slices.Contains(schema.Required, a), slices.Contains(schema.Required, b); first != second {
			if first {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	var out strings.Builder
	out.WriteString("| field | type | what it is |\n| --- | --- | --- |\n")
	for _, name := range names {
		property := schema.Properties[name]
		field := "`" + name + "`"
		if slices.Contains(schema.Required, name) {
			field = "**" + field + "**"
		}
		fmt.Fprintf(&out, "| %s | %s | %s |\n", field, typeName(property), cell(property.Description))
	}
	return out.String()
}

// typeName returns the type of a field, with a link if this page or the Gateway API's
// describes it.
func typeName(property spec.Schema) string {
	if name := typeOf(property); name != "" {
		return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name))
	}
	if name, ok := strings.CutPrefix(property.Ref.String(), references); ok {
		short := name[strings.LastIndex(name, ".")+1:]
		if strings.HasPrefix(name, gateway) {
			return fmt.Sprintf("[%s](https://gateway-api.sigs.k8s.io/reference/spec/#%s)", short, strings.ToLower(short))
		}
		return short
	}
	switch {
	case len(property.AllOf) == 1:
		return typeName(property.AllOf[0])
	case property.Items != nil && property.Items.Schema != nil:
		return "list of " + typeName(*property.Items.Schema)
	case property.AdditionalProperties != nil && property.AdditionalProperties.Schema != nil:
		return "map of " + typeName(*property.AdditionalProperties.Schema)
	case len(property.Type) == 1:
		return property.Type[0]
	}
	return "any"
}

// enumeration begins the values that openapi-gen adds to the description of an
// enumeration.
const enumeration = "Possible enum values:"

// prose returns a description as a paragraph.
func prose(description string) string {
	text, values, found := strings.Cut(description, enumeration)
	text = strings.Join(strings.Fields(text), " ")
	if found {
		var list []string
		for value := range strings.Lines(values) {
			if value = strings.TrimSpace(value); value != "" {
				list = append(list, strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(value, "- "), "."), "`\"", "`"))
			}
		}
		text += " Values: " + strings.ReplaceAll(strings.Join(list, "; "), "\"`", "`") + "."
	}
	return strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(strings.TrimSpace(text))
}

// cell returns a description for a cell of a table.
func cell(description string) string {
	return strings.ReplaceAll(prose(description), "|", `\|`)
}
