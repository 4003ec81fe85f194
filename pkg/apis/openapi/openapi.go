// SPDX-License-Identifier: Apache-2.0

// Package openapi combines the OpenAPI definitions of everything that the server serves:
// the generated definitions of EPIC's own types, those that the Gateway API publishes, and
// a few that are not published.
package openapi

import (
	"maps"
	"strings"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/util"
	"k8s.io/kube-openapi/pkg/validation/spec"
	gatewayopenapi "sigs.k8s.io/gateway-api/pkg/generated/openapi"

	"github.com/acnodal/epic/pkg/generated/openapi"
)

const (
	// objectReferenceName is the name by which an endpoint refers to its target's
	// type.
	objectReferenceName = "k8s.io/api/core/v1.ObjectReference"
	// gatewayModels begins the names of the Gateway API's types.
	gatewayModels = "sigs.k8s.io/gateway-api/apis/v1."
)

// GetOpenAPIDefinitions returns a definition for every type that is served and
// for every type that one of those refers to.
func GetOpenAPIDefinitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	return withModelNames(goTypeDefinitions(func(name string) spec.Ref { return ref(modelName(name)) }))
}

// modelName returns the name under which a type is served. Some generated code names a
// type by its Go package. A slash is escaped in a reference and in the document's key
// alike, so only readers that do not follow RFC 6901 would find such a type.
func modelName(name string) string {
	if !strings.Contains(name, "/") {
		return name
	}
	return util.ToRESTFriendlyName(name)
}

// withModelNames renames definitions, and what they depend on.
func withModelNames(definitions map[string]common.OpenAPIDefinition) map[string]common.OpenAPIDefinition {
	renamed := make(map[string]common.OpenAPIDefinition, len(definitions))
	for name, definition := range definitions {
		served := modelName(name)
		if _, own := definitions[served]; own && served != name {
			continue // described by both; the one of the type's own version is kept
		}
		dependencies := make([]string, 0, len(definition.Dependencies))
		for _, dependency := range definition.Dependencies {
			dependencies = append(dependencies, modelName(dependency))
		}
		definition.Dependencies = dependencies
		renamed[served] = definition
	}
	return renamed
}

// goTypeDefinitions returns the definitions under the names that the generated code
// gives them.
func goTypeDefinitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	definitions := gatewayopenapi.GetOpenAPIDefinitions(ref)
	// Where both describe a type, ours is made from the version that we build
	// with.
	maps.Copy(definitions, openapi.GetOpenAPIDefinitions(ref))
	definitions[objectReferenceName] = objectReference()
	describe(definitions, gatewayModels+"TLSPortConfig", "TLSPortConfig is the TLS settings of one port.", nil)
	describe(definitions, gatewayModels+"Fraction", "Fraction is a part of a whole.", map[string]string{
		"numerator":   "How many parts of the whole.",
		"denominator": "How many parts make the whole. Default: 100.",
	})
	sayOnce(definitions)
	return definitions
}

// ownModels begins the names of EPIC's types.
const ownModels = "com.github.acnodal.epic.pkg.apis.epic.v1."

// sayOnce removes the descriptions of types that are only part of a kind. kubectl
// explain prints the field's description and below it that of the field's type, which
// says the same in other words.
func sayOnce(definitions map[string]common.OpenAPIDefinition) {
	for name, definition := range definitions {
		_, kind := definition.Schema.Properties["kind"]
		if kind || !strings.HasPrefix(name, ownModels) {
			continue
		}
		definition.Schema.Description = ""
		definitions[name] = definition
	}
}

// describe adds what the Gateway API's own definitions leave unsaid, so kubectl
// explain has a word about every field.
func describe(definitions map[string]common.OpenAPIDefinition, name, description string, fields map[string]string) {
	definition := definitions[name]
	definition.Schema.Description = description
	for field, description := range fields {
		property := definition.Schema.Properties[field]
		property.Description = description
		definition.Schema.Properties[field] = property
	}
	definitions[name] = definition
}

// objectReference describes the type of an endpoint's targetRef. It is the only
// type of core/v1 that is reachable, and generating all of core/v1 for its sake
// would make a megabyte of code.
func objectReference() common.OpenAPIDefinition {
	field := func(description string) spec.Schema {
		return spec.Schema{SchemaProps: spec.SchemaProps{Description: description, Type: []string{"string"}}}
	}
	return common.OpenAPIDefinition{
		Schema: spec.Schema{
			SchemaProps: spec.SchemaProps{
				Description: "ObjectReference names an object of the cluster that the reference comes from.",
				Type:        []string{"object"},
				Properties: map[string]spec.Schema{
					"kind":            field("The kind of the object."),
					"namespace":       field("The namespace of the object."),
					"name":            field("The name of the object."),
					"uid":             field("The uid of the object."),
					"apiVersion":      field("The API version of the object."),
					"resourceVersion": field("The version of the object that was meant."),
					"fieldPath":       field("The part of the object that was meant, when it was not the whole."),
				},
			},
			VendorExtensible: spec.VendorExtensible{
				Extensions: spec.Extensions{"x-kubernetes-map-type": "atomic"},
			},
		},
	}
}
