// SPDX-License-Identifier: Apache-2.0

// Command reference prints the page of the API's kinds and fields, from the OpenAPI
// definitions that kubectl explain uses. hack/update-codegen.sh writes it to
// docs/reference-api.md.
package main

import (
	"fmt"
	"os"

	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/acnodal/epic/pkg/apis/openapi"
)

func main() {
	found := openapi.GetOpenAPIDefinitions(func(name string) spec.Ref {
		return spec.MustCreateRef(references + name)
	})
	schemas := make(map[string]spec.Schema, len(found))
	for name, definition := range found {
		schemas[name] = definition.Schema
	}
	if _, err := os.Stdout.WriteString(page(schemas)); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}
