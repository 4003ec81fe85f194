// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// maxEdgeText exceeds the size of any settings that EPIC accepts.
const maxEdgeText = 64 << 10

// edgeOf returns the edge settings in an object's annotation, or nil if it has none. EPIC
// validates them.
func edgeOf(o metav1.Object) (*epicv1.EdgeSpec, error) {
	text := o.GetAnnotations()[EdgeAnnotation]
	if text == "" {
		return nil, nil
	}
	if len(text) > maxEdgeText {
		return nil, fmt.Errorf("the annotation %s has %d bytes: shorten it to %d", EdgeAnnotation, len(text), maxEdgeText)
	}
	settings := &epicv1.EdgeSpec{}
	if err := yaml.UnmarshalStrict([]byte(text), settings); err != nil {
		return nil, fmt.Errorf("the annotation %s can't be read: %w: write the fields of spec.edge of a GWProxy in YAML or JSON", EdgeAnnotation, err)
	}
	return settings, nil
}
