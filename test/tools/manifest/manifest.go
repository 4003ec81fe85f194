// SPDX-License-Identifier: Apache-2.0

// Package manifest reads YAML streams, such as manifests and the inputs of golden tests, and applies
// manifests to a cluster.
package manifest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// Documents iterates over the documents of a stream. It skips those without content, such as
// comments, and ends after an error.
func Documents(data []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
		for {
			document, err := reader.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			var content any
			if err == nil {
				err = yaml.Unmarshal(document, &content)
			}
			if err != nil {
				yield(nil, fmt.Errorf("%w:\n%s", err, document))
				return
			}
			if content != nil && !yield(document, nil) {
				return
			}
		}
	}
}

// Parse returns the objects of a stream.
func Parse(data []byte) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	for document, err := range Documents(data) {
		if err != nil {
			return nil, err
		}
		u := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(document, &u.Object); err != nil {
			return nil, fmt.Errorf("%w:\n%s", err, document)
		}
		all = append(all, u)
	}
	return all, nil
}

// ReadFile returns the objects of a file.
func ReadFile(file string) ([]*unstructured.Unstructured, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	all, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return all, nil
}

// Apply creates the objects of files, or updates those that exist. It calls retry for each object
// with the file's name and the request, because the server may not be ready for it yet.
func Apply(ctx context.Context, c client.Client, retry func(file string, request func() error) error, files ...string) error {
	for _, file := range files {
		objects, err := ReadFile(file)
		if err != nil {
			return err
		}
		for _, o := range objects {
			err := retry(file, func() error {
				return c.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("test"), client.ForceOwnership)
			})
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return nil
}
