// SPDX-License-Identifier: Apache-2.0

// Package metadatabounds limits the number of labels, annotations, finalizers and owner
// references of an object. Kubernetes' own rules only limit the bytes of annotations, and
// they check every entry before they refuse an object, which takes hundreds of times the
// bytes of a request in which every entry is invalid.
//
// The plugin runs as a mutating plugin, and therefore before any validation.
package metadatabounds

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"

	"github.com/acnodal/epic/pkg/apis/epic"
)

const (
	maxLabels          = 128
	maxAnnotations     = 256
	maxFinalizers      = 64
	maxOwnerReferences = 64
)

// Plugin rejects objects with too much metadata.
type Plugin struct{ *admission.Handler }

var _ admission.MutationInterface = Plugin{}

// New returns the plugin.
func New() Plugin { return Plugin{admission.NewHandler(admission.Create, admission.Update)} }

// Admit implements admission.MutationInterface. It changes nothing.
func (Plugin) Admit(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().Group != epic.GroupName || a.GetObject() == nil {
		return nil
	}
	m, err := meta.Accessor(a.GetObject())
	if err != nil {
		// Objects of some subresources have no metadata.
		return nil //nolint:nilerr // see above
	}
	var errs field.ErrorList
	for _, part := range []struct {
		name    string
		n, most int
	}{
		{"labels", len(m.GetLabels()), maxLabels},
		{"annotations", len(m.GetAnnotations()), maxAnnotations},
		{"finalizers", len(m.GetFinalizers()), maxFinalizers},
		{"ownerReferences", len(m.GetOwnerReferences()), maxOwnerReferences},
	} {
		if part.n > part.most {
			errs = append(errs, field.Invalid(field.NewPath("metadata", part.name), part.n, fmt.Sprintf("has more than %d entries: remove some", part.most)))
		}
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(a.GetKind().GroupKind(), m.GetName(), errs)
	}
	return nil
}
