// SPDX-License-Identifier: Apache-2.0

package template

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	jsonyaml "sigs.k8s.io/yaml"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// source returns the text of a template, decoded if it is base64.
func source(value string, s epicv1.EnvoySerialization) (string, error) {
	if s != epicv1.SerializationB64JSON {
		return value, nil
	}
	plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
	if err != nil {
		return "", fmt.Errorf("is not base64, as serialization says: %w: correct it", err)
	}
	return string(plain), nil
}

// decode decodes a document into a message. Values may be nil.
func decode(text string, s epicv1.EnvoySerialization, v *values, into proto.Message) error {
	document := []byte(text)
	if s != epicv1.SerializationJSON && s != epicv1.SerializationB64JSON {
		if err := oneDocument(document); err != nil {
			return fmt.Errorf("is not YAML: %w: correct it", err)
		}
		var err error
		if document, err = jsonyaml.YAMLToJSONStrict(document); err != nil {
			return fmt.Errorf("is not YAML: %w: correct it", err)
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return fmt.Errorf("is not JSON: %w: correct it", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("has more than one document: write one")
	}
	fields, ok := tree.(map[string]any)
	if !ok {
		return errors.New("is not an object: write fields and their values")
	}
	if v != nil {
		fields, _ = v.into(fields).(map[string]any)
	}
	if err := extensions("", fields); err != nil {
		return err
	}
	document, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	if err := (protojson.UnmarshalOptions{}).Unmarshal(document, into); err != nil {
		// The library uses two kinds of spaces in its errors, and adds a position in what
		// is one line here.
		words := strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\u00a0", " "), "proto: ")
		if _, after, ok := strings.Cut(words, "): "); ok && strings.HasPrefix(words, "(line ") {
			words = after
		}
		return fmt.Errorf("is not a valid %s: %s: use the fields of Envoy's API, version 3", into.ProtoReflect().Descriptor().Name(), words)
	}
	return nil
}

// oneDocument reads YAML without building it, because a few bytes can expand to many
// values.
func oneDocument(text []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	if err := decoder.Decode(&first); err != nil {
		return err
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return errors.New("there is more than one document")
	}
	return withoutAliases(&first)
}

func withoutAliases(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode {
		return fmt.Errorf("line %d refers to another part of the document: write that part here", n.Line)
	}
	for _, child := range n.Content {
		if err := withoutAliases(child); err != nil {
			return err
		}
	}
	return nil
}

// into inserts the values into a decoded document.
func (v *values) into(node any) any {
	switch node := node.(type) {
	case string:
		return v.restore(node)
	case []any:
		for i := range node {
			node[i] = v.into(node[i])
		}
		return node
	case map[string]any:
		out := make(map[string]any, len(node))
		for k, child := range node {
			out[v.restore(k)] = v.into(child)
		}
		return out
	}
	return node
}

// extensions checks the types of all extensions before they are decoded: this program
// does not know many of them.
func extensions(path string, node any) error {
	switch node := node.(type) {
	case []any:
		for i := range node {
			if err := extensions(fmt.Sprintf("%s[%d]", path, i), node[i]); err != nil {
				return err
			}
		}
	case map[string]any:
		if url, ok := node["@type"]; ok {
			text, _ := url.(string)
			if reason := refusedExtension(text); reason != "" {
				return &fieldError{join(path, "@type"), reason}
			}
		}
		for _, k := range slices.Sorted(maps.Keys(node)) {
			if err := extensions(join(path, k), node[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

func join(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}

// fieldError is an error of one field of the document.
type fieldError struct{ path, message string }

// Error implements error. It returns the field and the problem.
func (e *fieldError) Error() string { return e.path + ": " + e.message }
