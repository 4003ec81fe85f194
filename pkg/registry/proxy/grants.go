// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"fmt"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// TemplateSubresource and TemplateVerb define the permission to give a proxy an Envoy
// template or a replica count beyond its group's. No such subresource is served.
const (
	TemplateSubresource = "envoytemplate"
	TemplateVerb        = "update"
)

// Grants decides which users may configure a proxy beyond what its group allows. An Envoy
// template is code that runs in the gateway cluster, and replicas use its resources, so
// the platform team decides on both: a tenant gets its group's template and at most its
// group's replicas.
type Grants struct {
	// Authorizer decides which users may go beyond the group. If it is nil, everybody
	// may.
	Authorizer authorizer.Authorizer
}

// exceeds reports whether an update sets another template or more replicas. An unchanged
// value is always allowed.
func exceeds(old, v View) bool { return otherTemplate(old, v) || moreReplicas(old, v) }

func otherTemplate(old, v View) bool {
	return *v.EnvoyTemplate != nil && !apiequality.Semantic.DeepEqual(*v.EnvoyTemplate, *old.EnvoyTemplate)
}

func moreReplicas(old, v View) bool {
	return *v.ReplicaCount != nil && count(*v.ReplicaCount) > count(*old.ReplicaCount)
}

// checkGrants checks the values that a write sets beyond its group.
func checkGrants(ctx context.Context, w *write) error {
	if w.old == nil {
		return w.grants.check(ctx, w.View, w.up.group, *w.EnvoyTemplate != nil, *w.ReplicaCount != nil)
	}
	return w.grants.check(ctx, w.View, w.up.group, otherTemplate(*w.old, w.View), moreReplicas(*w.old, w.View))
}

// check compares the values that a caller set with those of the group, and requires the
// permission if they exceed them.
func (g Grants) check(ctx context.Context, v View, group *epic.LBServiceGroup, template, replicas bool) error {
	if template && !apiequality.Semantic.DeepEqual(*v.EnvoyTemplate, group.Spec.EnvoyTemplate) {
		if err := g.require(ctx, v, spec.Child("envoy-template"), "it differs from the template of group "+group.Name,
			"leave it out to use the group's, or ask the platform team to change the group"); err != nil {
			return err
		}
	}
	if most := count(group.Spec.EnvoyReplicaCount); replicas && count(*v.ReplicaCount) > most {
		return g.require(ctx, v, spec.Child("envoy-replica-count"), fmt.Sprintf("it is more than the limit of %d in group %s", most, group.Name),
			"use at most the group's number, or ask the platform team to change the group")
	}
	return nil
}

// count returns a number of replicas, which is one by default.
func count(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

// require returns an error if the user of the request does not have the permission.
func (g Grants) require(ctx context.Context, v View, path *field.Path, what, way string) error {
	if g.Authorizer == nil {
		return nil
	}
	refuse := func(err error) error {
		return apierrors.NewForbidden(schema.GroupResource{Group: epic.GroupName, Resource: v.Resource}, v.Meta.Name, err)
	}
	message := fmt.Sprintf("%s: Forbidden: %s, which requires the permission %s on %s/%s; %s", path, what, TemplateVerb, v.Resource, TemplateSubresource, way)
	u, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return refuse(fmt.Errorf("%s (the request has no user)", message))
	}
	decision, reason, err := g.Authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User:            u,
		Verb:            TemplateVerb,
		Namespace:       v.Meta.Namespace,
		APIGroup:        epic.GroupName,
		APIVersion:      "v1",
		Resource:        v.Resource,
		Subresource:     TemplateSubresource,
		Name:            v.Meta.Name,
		ResourceRequest: true,
	})
	switch {
	case decision == authorizer.DecisionAllow:
		return nil
	case err != nil:
		return refuse(fmt.Errorf("%s; the permission could not be checked: %w", message, err))
	case reason != "":
		return refuse(fmt.Errorf("%s (%s)", message, reason))
	}
	return refuse(fmt.Errorf("%s", message))
}
