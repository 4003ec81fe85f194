// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/warning"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// An object that comes out of a backup or a repository brings along values that
// the server once assigned. Where it can't have one of them again, such as an ID
// that another object has by now, it gets another and the caller a warning. The
// repository continues to send the former value with each update. So the object
// remembers it, in an annotation, and an update with that very value leaves the
// object's own. Every other value is a change, and refused.

// Replace notes that a new object brought a value that it can't have.
func Replace(ctx context.Context, m metav1.Object, path *field.Path, value, why string) {
	replaced := replacedValues(m)
	replaced[path.String()] = value
	data, err := json.Marshal(replaced)
	if err != nil {
		return // a map of strings always encodes
	}
	annotations := m.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[epic.ReplacedAnnotation] = string(data)
	m.SetAnnotations(annotations)
	warning.AddWarning(ctx, "", fmt.Sprintf("%s: %s is not kept: %s", path, value, why))
}

// Replaced reports whether value is one that the object brought along and could
// not have.
func Replaced(old metav1.Object, path *field.Path, value string) bool {
	was, ok := replacedValues(old)[path.String()]
	return ok && was == value
}

// replacedValues are what the annotation has. Clients can write it; all that they
// gain is that a write of a value is ignored instead of refused.
func replacedValues(m metav1.Object) map[string]string {
	replaced := map[string]string{}
	if err := json.Unmarshal([]byte(m.GetAnnotations()[epic.ReplacedAnnotation]), &replaced); err != nil || replaced == nil {
		return map[string]string{}
	}
	return replaced
}

// KeepReplaced carries the annotation over where an update leaves it out.
func KeepReplaced(m, old *metav1.ObjectMeta) {
	value, ok := old.Annotations[epic.ReplacedAnnotation]
	if _, has := m.Annotations[epic.ReplacedAnnotation]; !ok || has {
		return
	}
	if m.Annotations == nil {
		m.Annotations = map[string]string{}
	}
	m.Annotations[epic.ReplacedAnnotation] = value
}
