// SPDX-License-Identifier: Apache-2.0

package openapi_test

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/acnodal/epic/pkg/apis/openapi"
)

// modelPrefix begins the names of our own types.
const modelPrefix = "com.github.acnodal.epic.pkg.apis.epic.v1."

// originalFields lists the fields that published clients know.
const originalFields = "../epic/v1/testdata/original-fields.txt"

// definitions returns every definition, with references that are just the name
// of what they refer to.
func definitions() map[string]common.OpenAPIDefinition {
	return openapi.GetOpenAPIDefinitions(func(name string) spec.Ref {
		return spec.MustCreateRef("#/" + name)
	})
}

// reference is the name of the definition that a schema refers to.
func reference(schema spec.Schema) (string, bool) {
	if len(schema.AllOf) == 1 {
		schema = schema.AllOf[0]
	}
	return strings.CutPrefix(schema.Ref.String(), "#/")
}

// nested are the schemas inside a schema.
func nested(schema spec.Schema) map[string]spec.Schema {
	inside := map[string]spec.Schema{}
	for name, property := range schema.Properties {
		inside[name] = property
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		inside["[]"] = *schema.Items.Schema
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		inside["{}"] = *schema.AdditionalProperties.Schema
	}
	return inside
}

// reachable returns the names of our types and of all that they refer to.
func reachable(t *testing.T, all map[string]common.OpenAPIDefinition) []string {
	t.Helper()
	seen := map[string]bool{}
	var visit func(from string, schema spec.Schema)
	visit = func(from string, schema spec.Schema) {
		if name, ok := reference(schema); ok && !seen[name] {
			seen[name] = true
			definition, known := all[name]
			if !known {
				t.Errorf("%s refers to %s, which has no definition", from, name)
			}
			visit(name, definition.Schema)
		}
		for _, inside := range nested(schema) {
			visit(from, inside)
		}
	}
	for name, definition := range all {
		if strings.HasPrefix(name, modelPrefix) {
			seen[name] = true
			visit(name, definition.Schema)
		}
	}
	var names []string
	for name := range seen {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// TestReferencesResolve checks that a reference and the key of what it refers to are the
// same text, whether or not a reader unescapes the reference as RFC 6901 has it.
func TestReferencesResolve(t *testing.T) {
	all := definitions()
	for _, name := range reachable(t, all) {
		if strings.ContainsAny(name, "/~%") {
			t.Errorf("%s has a character that references escape", name)
		}
		for _, dependency := range all[name].Dependencies {
			if _, ok := all[dependency]; !ok {
				t.Errorf("%s depends on %s, which has no definition", name, dependency)
			}
		}
	}
}

// TestEverythingIsDescribed checks that kubectl explain has something to say
// about every type and every field, ours and those we took over.
func TestEverythingIsDescribed(t *testing.T) {
	all := definitions()
	names := reachable(t, all)
	if len(names) < 60 {
		t.Fatalf("only %d types are reachable", len(names))
	}
	for _, name := range names {
		schema := all[name].Schema
		// A type that is part of a kind is described by the fields that have it: kubectl
		// explain prints both.
		_, kind := schema.Properties["kind"]
		if own := strings.HasPrefix(name, modelPrefix); own && !kind && schema.Description != "" {
			t.Errorf("%s has a description, which repeats that of each field of its type", name)
		} else if (!own || kind) && schema.Description == "" {
			t.Errorf("%s has no description", name)
		}
		for field, property := range schema.Properties {
			if property.Description == "" {
				t.Errorf("%s.%s has no description", name, field)
			}
		}
	}
}

// TestOriginalFields checks that every field of the API that published clients
// were built against is still there, with its type.
func TestOriginalFields(t *testing.T) {
	file, err := os.Open(originalFields)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()

	all := definitions()
	// path holds the schema at each depth of the current line.
	var path []spec.Schema
	var names []string
	count := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		name := strings.TrimLeft(line, " ")
		depth := len(line) - len(name)
		if depth == 0 {
			definition, ok := all[modelPrefix+name]
			if !ok {
				t.Fatalf("there is no kind %s", name)
			}
			path, names = []spec.Schema{definition.Schema}, []string{name}
			continue
		}
		name, wantType, _ := strings.Cut(name, " ")
		path, names = path[:depth], append(names[:depth], name)
		count++
		schema, ok := path[depth-1].Properties[name]
		if !ok {
			t.Errorf("%s is missing", strings.Join(names, "."))
			path = append(path, spec.Schema{})
			continue
		}
		gotType, content := typeOf(all, schema)
		if gotType != wantType {
			t.Errorf("%s is of type %s, not %s", strings.Join(names, "."), gotType, wantType)
		}
		path = append(path, content)
	}
	if count < 400 {
		t.Errorf("the list has only %d fields", count)
	}
}

// typeOf returns the type of a schema as the list of fields writes it, and the
// schema that has the fields inside.
func typeOf(all map[string]common.OpenAPIDefinition, schema spec.Schema) (string, spec.Schema) {
	if name, ok := reference(schema); ok {
		schema = all[name].Schema
	}
	switch {
	case schema.Format == "int-or-string" || len(schema.OneOf) > 0:
		return "int-or-string", schema
	case schema.Items != nil:
		element, content := typeOf(all, *schema.Items.Schema)
		return "[]" + element, content
	case schema.AdditionalProperties != nil:
		element, content := typeOf(all, *schema.AdditionalProperties.Schema)
		return "{}" + element, content
	case len(schema.Type) == 1:
		return schema.Type[0], schema
	}
	return "unknown", schema
}
