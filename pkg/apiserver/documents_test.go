// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
)

const (
	// modelPrefix begins the names of our types in the documents.
	modelPrefix = "com.github.acnodal.epic.pkg.apis.epic.v1."
	// statusModel is the type of an answer that is not an object.
	statusModel = "io.k8s.apimachinery.pkg.apis.meta.v1.Status"
	// eventModel is the type of what a watch sends.
	eventModel = "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent"
)

// documents are the OpenAPI documents of a server, made ready to validate with.
type documents map[string]map[string]*spec.Schema

// servedDocuments reads both documents.
func servedDocuments(t *testing.T, c *rawClient) documents {
	t.Helper()
	v2, v3 := &spec.Swagger{}, &spec3.OpenAPI{}
	for at, into := range map[string]json.Unmarshaler{"/openapi/v2": v2, "/openapi/v3/apis/epic.acnodal.io/v1": v3} {
		if err := into.UnmarshalJSON(c.do(t, http.MethodGet, at, "", nil)); err != nil {
			t.Fatalf("%s: %v", at, err)
		}
	}
	definitions := map[string]*spec.Schema{}
	for name, schema := range v2.Definitions {
		definitions[name] = &schema
	}
	return documents{"v2": definitions, "v3": v3.Components.Schemas}
}

// check validates a value against the type of that name in each document, and reports
// every field that the type does not know.
func (d documents) check(t *testing.T, what, model string, value any) {
	t.Helper()
	for version, schemas := range d {
		schema, err := inlined(schemas, model, nil)
		if err != nil {
			t.Fatalf("OpenAPI %s: %v", version, err)
		}
		result := validate.NewSchemaValidator(schema, nil, "", strfmt.Default).Validate(value)
		if result.IsValid() {
			continue
		}
		for _, problem := range result.Errors {
			t.Errorf("%s does not agree with OpenAPI %s: %v", what, version, problem)
		}
	}
}

// inlined returns a type with the types that it refers to in place of the references,
// which is what the validator needs, and closed: an object that lists its fields has no
// others.
func inlined(schemas map[string]*spec.Schema, model string, inside []string) (*spec.Schema, error) {
	if slices.Contains(inside, model) {
		return nil, fmt.Errorf("%s contains itself", model)
	}
	schema, ok := schemas[model]
	if !ok {
		return nil, fmt.Errorf("%s has no definition", model)
	}
	return closed(schemas, schema, append(slices.Clone(inside), model))
}

func closed(schemas map[string]*spec.Schema, schema *spec.Schema, inside []string) (*spec.Schema, error) {
	if pointer := schema.Ref.GetPointer(); pointer != nil && !pointer.IsEmpty() {
		tokens := pointer.DecodedTokens()
		return inlined(schemas, tokens[len(tokens)-1], inside)
	}
	out := *schema
	var failed error
	recurse := func(s *spec.Schema) *spec.Schema {
		c, err := closed(schemas, s, inside)
		if err != nil {
			failed = err
			return s
		}
		return c
	}
	out.AllOf = slices.Clone(schema.AllOf)
	for i := range out.AllOf {
		out.AllOf[i] = *recurse(&out.AllOf[i])
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		out.Items = &spec.SchemaOrArray{Schema: recurse(schema.Items.Schema)}
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		out.AdditionalProperties = &spec.SchemaOrBool{Allows: true, Schema: recurse(schema.AdditionalProperties.Schema)}
	}
	if len(schema.Properties) > 0 {
		out.Properties = make(map[string]spec.Schema, len(schema.Properties))
		for name, property := range schema.Properties {
			out.Properties[name] = *recurse(&property)
		}
		if schema.AdditionalProperties == nil {
			out.AdditionalProperties = &spec.SchemaOrBool{Allows: false}
		}
	}
	// Version 2 has no other way to write a type that is one of two than this format.
	if schema.Format == "int-or-string" {
		out.Type, out.Format = nil, ""
		out.OneOf = []spec.Schema{*spec.Int64Property(), *spec.StringProperty()}
	}
	return &out, failed
}
