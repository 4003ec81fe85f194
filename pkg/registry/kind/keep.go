// SPDX-License-Identifier: Apache-2.0

package kind

import (
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic/validation"
)

// bump counts a change of the spec in an object's generation. Specs that differ
// only in an absent and an empty list count as equal.
func bump(m *metav1.ObjectMeta, spec, old any) {
	if !apiequality.Semantic.DeepEqual(spec, old) {
		m.Generation++
	}
}

// keepMeta puts the old metadata into a write of the status, which changes none of
// it: a client that may write the status may not remove finalizers.
func keepMeta(m, old *metav1.ObjectMeta) {
	// Not to be confused with a change: which version the writer has seen, which
	// object is meant, and who owns what.
	kept := *old.DeepCopy()
	kept.ResourceVersion = m.ResourceVersion
	kept.UID = m.UID
	kept.ManagedFields = m.ManagedFields
	*m = kept
}

// KeepConditions carries the conditions over that a write of the status left out.
// Published programs send a status that has no conditions, because they do not know
// them, and a PUT of it must not remove conditions that others report. An empty list, as
// opposed to none, removes the conditions. Protobuf can't distinguish the two, so only
// JSON can remove them all.
func KeepConditions(conditions *[]metav1.Condition, old []metav1.Condition) {
	if *conditions == nil {
		*conditions = old
	}
}

// keepObserved carries the observed generation over that a write of the status
// left out.
func keepObserved(observed *int64, old int64) {
	if *observed == 0 {
		*observed = old
	}
}

// KeepOwners carries the labels over that name an object's owners, where an
// update leaves them out or has what the object brought along and could not have.
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
