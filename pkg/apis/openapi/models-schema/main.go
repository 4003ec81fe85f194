// SPDX-License-Identifier: Apache-2.0

// Command models-schema prints the OpenAPI definitions of the API as a swagger
// document. hack/update-codegen.sh feeds it to the generator of the apply
// configurations, which learns from it which lists have keys.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/acnodal/epic/pkg/apis/openapi"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "models-schema:", err)
		os.Exit(1)
	}
}

func run() error {
	found := openapi.GetOpenAPIDefinitions(func(name string) spec.Ref {
		return spec.MustCreateRef("#/definitions/" + name)
	})
	definitions := make(spec.Definitions, len(found))
	for name, definition := range found {
		schema := definition.Schema
		// Swagger can't say everything that the server's own document says; the few types
		// that this touches bring a second schema for it.
		if simple, ok := schema.Extensions[common.ExtensionV2Schema].(spec.Schema); ok {
			schema = simple
		}
		definitions[name] = schema
	}
	return json.NewEncoder(os.Stdout).Encode(&spec.Swagger{SwaggerProps: spec.SwaggerProps{
		Swagger:     "2.0",
		Info:        &spec.Info{InfoProps: spec.InfoProps{Title: "EPIC", Version: "v1"}},
		Definitions: definitions,
	}})
}
