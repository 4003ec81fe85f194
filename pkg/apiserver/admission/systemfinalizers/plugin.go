// SPDX-License-Identifier: Apache-2.0

// Package systemfinalizers keeps EPIC's own finalizers for those who may set
// them. A finalizer holds an object, and its namespace, until a program has
// cleaned up: a tenant who could add one would block its own deletion, and one
// who could take it away would leave behind what should have been cleaned up.
//
// Who may is a permission: to update the subresource finalizers of the resource.
// Finalizers of others are not looked at.
package systemfinalizers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// subresource and verb are the permission. No such subresource is served.
const (
	subresource = "finalizers"
	verb        = "update"
)

// Plugin refuses finalizers of the system from those who may not set them.
type Plugin struct {
	*admission.Handler
	authorizer authorizer.Authorizer
}

var _ admission.ValidationInterface = &Plugin{}

// New returns the plugin. The authorizer says who may.
func New(a authorizer.Authorizer) *Plugin {
	return &Plugin{Handler: admission.NewHandler(admission.Create, admission.Update), authorizer: a}
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
	decision, reason, err := p.authorizer.Authorize(ctx, authorizer.AttributesRecord{
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
	if decision == authorizer.DecisionAllow {
		return nil
	}
	way := "leave them as they were: the programs of the system add and remove them"
	if a.GetOperation() == admission.Create {
		way = "leave them out: the programs of the system add them"
	}
	message := fmt.Sprintf("metadata.finalizers: Forbidden: %s, which only somebody with the permission %s on %s/%s may do; %s",
		what(added, removed), verb, a.GetResource().Resource, subresource, way)
	switch {
	case err != nil:
		return admission.NewForbidden(a, fmt.Errorf("%s; whether you have it could not be found out: %w", message, err))
	case reason != "":
		return admission.NewForbidden(a, fmt.Errorf("%s (%s)", message, reason))
	}
	return admission.NewForbidden(a, fmt.Errorf("%s", message))
}

// finalizers are those of the system that an object has.
func finalizers(obj runtime.Object) ([]string, error) {
	if obj == nil {
		return nil, nil
	}
	m, err := meta.Accessor(obj)
	if err != nil {
		return nil, fmt.Errorf("can't tell the finalizers of a %T: %w", obj, err)
	}
	var out []string
	for _, f := range m.GetFinalizers() {
		if isSystems(f) {
			out = append(out, f)
		}
	}
	return out, nil
}

// isSystems says whether a finalizer is in the system's domain or one below it.
// Older programs wrote some without a slash.
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
	s := "it " + strings.Join(parts, " and ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
