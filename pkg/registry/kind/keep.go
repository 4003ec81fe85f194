// SPDX-License-Identifier: Apache-2.0

package kind

import (
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic/validation"
)

// bump increments an object's generation if the spec changed. Specs that differ only in
// an absent and an empty list are equal.
func bump(m *metav1.ObjectMeta, spec, old any) {
	if !apiequality.Semantic.DeepEqual(spec, old) {
		m.Generation++
	}
}

// keepMeta restores the old metadata in a write of the status, which changes none of it:
// a client that may write the status may not remove finalizers.
func keepMeta(m, old *metav1.ObjectMeta) {
	// These identify the write and do not change metadata: the version that the writer
	// has seen, the object that it means, and the field managers.
	kept := *old.DeepCopy()
	kept.ResourceVersion = m.ResourceVersion
	kept.UID = m.UID
	kept.ManagedFields = m.ManagedFields
	*m = kept
}

// KeepConditions restores the conditions if a write of the status leaves them out.
// Published programs send a status without conditions, because they do not know them, and
// their PUT must not remove conditions set by others. An empty list, as opposed to none,
// removes the conditions. Protobuf can't distinguish the two, so only JSON can remove all
// of them.
func KeepConditions(conditions *[]metav1.Condition, old []metav1.Condition) {
	if *conditions == nil {
		*conditions = old
	}
}

// keepObserved restores the observed generation if a write of the status leaves it out.
func keepObserved(observed *int64, old int64) {
	if *observed == 0 {
		*observed = old
	}
}

// KeepOwners restores the labels that name an object's owners if an update leaves them
// out, or has values that the object brought along on creation and could not have.
func KeepOwners(m, old *metav1.ObjectMeta) {
	KeepReplaced(m, old)
	for _, key := range validation.OwnerLabels {
		value, ok := old.Labels[key]
		if !ok {
			continue
		}
		if is, ok := m.Labels[key]; ok && !Replaced(old, field.NewPath("metadata", "labels").Key(key), is) {
			continue
		}
		if m.Labels == nil {
			m.Labels = map[string]string{}
		}
		m.Labels[key] = value
	}
}
