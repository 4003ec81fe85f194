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

// An object from a backup or a repository brings along values that the server once
// assigned. If it can't have one of them again, such as an ID that another object has by
// now, it gets a different value and the caller a warning. The repository continues to
// send the original value with each update. So the object records it in an annotation,
// and an update with exactly that value leaves the assigned one in place. Every other
// value is a change, and is refused.

// Replace records that a new object brought along a value that it can't have.
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

// Replaced reports whether value was brought along by the object and replaced.
func Replaced(old metav1.Object, path *field.Path, value string) bool {
	was, ok := replacedValues(old)[path.String()]
	return ok && was == value
}

// replacedValues returns the values in the annotation. Clients can write it; the only
// effect is that a write of such a value is ignored instead of refused.
func replacedValues(m metav1.Object) map[string]string {
	replaced := map[string]string{}
	if err := json.Unmarshal([]byte(m.GetAnnotations()[epic.ReplacedAnnotation]), &replaced); err != nil || replaced == nil {
		return map[string]string{}
	}
	return replaced
}

// KeepReplaced restores the annotation if an update leaves it out.
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
