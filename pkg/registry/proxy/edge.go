// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/edge"
)

// edgeTouched reports whether an update changes the edge settings. An object may keep
// settings that its group no longer allows: they have no effect, and the operator reports
// that.
func edgeTouched(old, v View) bool {
	return *v.Edge != nil && !apiequality.Semantic.DeepEqual(*v.Edge, *old.Edge)
}

// checkEdge rejects edge settings that the group does not allow.
func checkEdge(_ context.Context, w *write) error {
	if *w.Edge == nil {
		return nil
	}
	var own epicv1.EdgeSpec
	if err := epicv1.Convert_epic_EdgeSpec_To_v1_EdgeSpec(*w.Edge, &own, nil); err != nil {
		return err
	}
	var group epicv1.LBServiceGroup
	if err := epicv1.Convert_epic_LBServiceGroup_To_v1_LBServiceGroup(w.up.group, &group, nil); err != nil {
		return err
	}
	_, refused := edge.Of(&group, &own)
	var errs field.ErrorList
	for _, r := range refused {
		path := spec.Child("edge", r.Field)
		if r.Value == "" {
			errs = append(errs, field.Forbidden(path, r.Message))
		} else {
			errs = append(errs, field.Invalid(path, r.Value, r.Message))
		}
	}
	if len(errs) > 0 {
		return w.refuse(errs...)
	}
	return nil
}
