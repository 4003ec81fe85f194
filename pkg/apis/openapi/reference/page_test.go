// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"k8s.io/kube-openapi/pkg/validation/spec"
)

// described is a schema with a description.
func described(schema *spec.Schema, description string) spec.Schema {
	return *schema.WithDescription(description)
}

func TestPage(t *testing.T) {
	reference := func(name string) *spec.Schema { return spec.RefProperty(references + name) }
	object := map[string]spec.Schema{
		"apiVersion": *spec.StringProperty(), "kind": *spec.StringProperty(), "metadata": *reference("io.k8s.ObjectMeta"),
	}
	with := func(more map[string]spec.Schema) spec.SchemaProps {
		properties := map[string]spec.Schema{}
		for _, all := range []map[string]spec.Schema{object, more} {
			for name, schema := range all {
				properties[name] = schema
			}
		}
		return spec.SchemaProps{Description: "One of them.", Properties: properties}
	}
	schemas := map[string]spec.Schema{
		own + "Thing": {SchemaProps: with(map[string]spec.Schema{
			"spec": described(reference(own+"ThingSpec"), "What it\nis to be."), "extra": described(spec.BoolProperty(), "More."),
		})},
		own + "ThingList": {SchemaProps: with(map[string]spec.Schema{"items": *spec.ArrayProperty(reference(own + "Thing"))})},
		own + "ThingSpec": {SchemaProps: spec.SchemaProps{Required: []string{"mode"}, Properties: map[string]spec.Schema{
			"filter": described(reference(gateway+"HTTPRouteFilter"), "a|b <c>"),
			"mode":   described(spec.StringProperty(), "How.\n\nPossible enum values:\n - `\"On\"` is on.\n - `\"Off\"`"),
			"slice":  *reference(own + "Slice"),
			"parts":  described(spec.ArrayProperty(reference(own+"Part")), "Its parts."),
			"named":  described(spec.MapProperty(spec.Int64Property()), "By name."),
		}}},
		// An object within another is no kind.
		own + "Slice": {SchemaProps: spec.SchemaProps{Properties: map[string]spec.Schema{
			"apiVersion": *spec.StringProperty(), "kind": *spec.StringProperty(), "metadata": *reference(own + "Part"),
		}}},
		own + "Part":              {SchemaProps: spec.SchemaProps{Description: "A part."}},
		"io.k8s.ObjectMeta":       {},
		gateway + "HTTPRouteRule": {SchemaProps: spec.SchemaProps{Description: "Not EPIC's."}},
	}
	got, ok := strings.CutPrefix(page(schemas), introduction)
	if !ok {
		t.Errorf("it does not begin with the introduction")
	}
	const want = `
## Thing

One of them.

` + "`spec`" + `: What it is to be.

| field | type | what it is |
| --- | --- | --- |
| **` + "`mode`" + `** | string | How. Values: ` + "`On` is on; `Off`" + `. |
| ` + "`filter`" + ` | [HTTPRouteFilter](https://gateway-api.sigs.k8s.io/reference/spec/#httproutefilter) | a\|b &lt;c&gt; |
| ` + "`named`" + ` | map of integer | By name. |
| ` + "`parts`" + ` | list of [Part](#part) | Its parts. |
| ` + "`slice`" + ` | [Slice](#slice) |  |

| field | type | what it is |
| --- | --- | --- |
| ` + "`extra`" + ` | boolean | More. |

## Types

### Part

A part.

### Slice



| field | type | what it is |
| --- | --- | --- |
| ` + "`apiVersion`" + ` | string |  |
| ` + "`kind`" + ` | string |  |
| ` + "`metadata`" + ` | [Part](#part) |  |
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
