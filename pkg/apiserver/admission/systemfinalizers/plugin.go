// SPDX-License-Identifier: Apache-2.0

// Package systemfinalizers restricts who may set EPIC's own finalizers. A finalizer keeps
// an object, and its namespace, until a program has cleaned up. A tenant who could add one
// would block its own deletion, and a tenant who could remove one would skip the cleanup.
//
// The required permission is update on the subresource finalizers of the resource. Other
// finalizers are not restricted.
//
// An object that is created from an export may contain such finalizers. They are dropped
// with a warning and recorded in the object, so later writes from a repository may still
// contain them.
package systemfinalizers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind"
	"github.com/acnodal/epic/pkg/shorten"
)

// subresource and verb define the permission. No such subresource is served.
const (
	subresource = "finalizers"
	verb        = "update"
)

var path = field.NewPath("metadata", "finalizers")

// Plugin rejects changes to the system's finalizers by users without the permission.
type Plugin struct {
	*admission.Handler
	authorizer authorizer.Authorizer
}

var (
	_ admission.MutationInterface   = &Plugin{}
	_ admission.ValidationInterface = &Plugin{}
)

// New returns the plugin. The authorizer decides who has the permission.
func New(a authorizer.Authorizer) *Plugin {
	return &Plugin{Handler: admission.NewHandler(admission.Create, admission.Update), authorizer: a}
}

// Admit implements admission.MutationInterface. It drops finalizers that a new object
// from an export contains.
func (p *Plugin) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().Group != epic.GroupName || a.GetObject() == nil {
		return nil
	}
	m, err := meta.Accessor(a.GetObject())
	if err != nil {
		return admission.NewForbidden(a, fmt.Errorf("can't read the finalizers of a %T: %w", a.GetObject(), err))
	}
	switch a.GetOperation() {
	case admission.Create:
		brought := slices.DeleteFunc(slices.Clone(m.GetFinalizers()), func(f string) bool { return !isSystems(f) })
		if len(brought) == 0 {
			return nil
		}
		// If authorization fails with an error, Validate repeats it and rejects the
		// write.
		if decision, _, err := p.authorize(ctx, a); err == nil && decision != authorizer.DecisionAllow {
			m.SetFinalizers(without(m.GetFinalizers(), brought))
			for _, f := range brought {
				kind.Replace(ctx, m, path.Key(f), f, "EPIC's programs add it")
			}
		}
	case admission.Update:
		if a.GetOldObject() == nil {
			return nil
		}
		old, err := meta.Accessor(a.GetOldObject())
		if err != nil {
			return admission.NewForbidden(a, fmt.Errorf("can't read the finalizers of a %T: %w", a.GetOldObject(), err))
		}
		keepReplaced(m, old)
		added := without(m.GetFinalizers(), old.GetFinalizers())
		added = slices.DeleteFunc(added, func(f string) bool { return !isSystems(f) || !kind.Replaced(old, path.Key(f), f) })
		if len(added) == 0 {
			return nil
		}
		if decision, _, err := p.authorize(ctx, a); err == nil && decision != authorizer.DecisionAllow {
			m.SetFinalizers(without(m.GetFinalizers(), added))
		}
	}
	return nil
}

// keepReplaced restores the annotation of replaced values, for kinds that do not do so
// themselves.
func keepReplaced(m, old metav1.Object) {
	now, ok := m.(metav1.ObjectMetaAccessor)
	if !ok {
		return
	}
	before, ok := old.(metav1.ObjectMetaAccessor)
	if !ok {
		return
	}
	to, isTo := now.GetObjectMeta().(*metav1.ObjectMeta)
	from, isFrom := before.GetObjectMeta().(*metav1.ObjectMeta)
	if isTo && isFrom {
		kind.KeepReplaced(to, from)
	}
}

// authorize reports whether the user has the permission.
func (p *Plugin) authorize(ctx context.Context, a admission.Attributes) (authorizer.Decision, string, error) {
	return p.authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User:            a.GetUserInfo(),
		Verb:            verb,
		Namespace:       a.GetNamespace(),
		APIGroup:        a.GetResource().Group,
		APIVersion:      a.GetResource().Version,
		Resource:        a.GetResource().Resource,
		Subresource:     subresource,
		Name:            a.GetName(),
		ResourceRequest: true,
	})
}

// Validate implements admission.ValidationInterface.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().Group != epic.GroupName {
		return nil
	}
	now, err := finalizers(a.GetObject())
	if err != nil {
		return admission.NewForbidden(a, err)
	}
	before, err := finalizers(a.GetOldObject())
	if err != nil {
		return admission.NewForbidden(a, err)
	}
	added, removed := without(now, before), without(before, now)
	if len(added) == 0 && len(removed) == 0 {
		return nil
	}
	decision, reason, err := p.authorize(ctx, a)
	if decision == authorizer.DecisionAllow {
		return nil
	}
	way := "leave them unchanged: EPIC's programs add and remove them"
	if a.GetOperation() == admission.Create {
		way = "leave them out: EPIC's programs add them"
	}
	message := fmt.Sprintf("metadata.finalizers: Forbidden: %s, which requires the permission %s on %s/%s; %s",
		what(added, removed), verb, a.GetResource().Resource, subresource, way)
	switch {
	case err != nil:
		return admission.NewForbidden(a, fmt.Errorf("%s; the permission could not be checked: %w", message, err))
	case reason != "":
		return admission.NewForbidden(a, fmt.Errorf("%s (%s)", message, reason))
	}
	return admission.NewForbidden(a, fmt.Errorf("%s", message))
}

// finalizers returns the system's finalizers of an object.
func finalizers(obj runtime.Object) ([]string, error) {
	if obj == nil {
		return nil, nil
	}
	m, err := meta.Accessor(obj)
	if err != nil {
		return nil, fmt.Errorf("can't read the finalizers of a %T: %w", obj, err)
	}
	var out []string
	for _, f := range m.GetFinalizers() {
		if isSystems(f) {
			out = append(out, f)
		}
	}
	return out, nil
}

// isSystems reports whether a finalizer is in the system's domain or a subdomain. Older
// programs wrote some without a slash.
func isSystems(finalizer string) bool {
	domain, _, _ := strings.Cut(finalizer, "/")
	domain = strings.ToLower(domain)
	return domain == epic.GroupName || strings.HasSuffix(domain, "."+epic.GroupName)
}

func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(f string) bool { return slices.Contains(b, f) })
}

func what(added, removed []string) string {
	var parts []string
	if len(added) > 0 {
		parts = append(parts, "adds "+strings.Join(added, ", "))
	}
	if len(removed) > 0 {
		parts = append(parts, "removes "+strings.Join(removed, ", "))
	}
	const most = 512
	return shorten.To(most, "it "+strings.Join(parts, " and "))
}
