// SPDX-License-Identifier: Apache-2.0

// Package openapi puts together the OpenAPI definitions of everything that the
// server serves: the generated ones of EPIC's own types, those that the Gateway
// API publishes of its types, and the few that nobody publishes.
package openapi

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
	gatewayopenapi "sigs.k8s.io/gateway-api/pkg/generated/openapi"

	"github.com/acnodal/epic/pkg/generated/openapi"
)

// GetOpenAPIDefinitions returns a definition for every type that is served and
// for every type that one of those refers to.
func GetOpenAPIDefinitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	definitions := gatewayopenapi.GetOpenAPIDefinitions(ref)
	// Where both describe a type, ours is made from the version that we build
	// with.
	maps.Copy(definitions, openapi.GetOpenAPIDefinitions(ref))
	definitions[corev1.ObjectReference{}.OpenAPIModelName()] = objectReference()
	return definitions
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
