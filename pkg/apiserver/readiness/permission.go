// SPDX-License-Identifier: Apache-2.0

package readiness

import (
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
)

// Permission is one verb on one resource.
type Permission struct {
	// Verb, Group, Resource and Subresource correspond to those of a role's rule.
	Verb, Group, Resource, Subresource string
	// Namespace is empty for a permission in all namespaces, or for a resource
	// that has none.
	Namespace string
	// Name limits the permission to one object.
	Name string
	// Reason describes what the server uses the permission for.
	Reason string
}

// String formats the permission like a rule: list namespaces, update
// resourcequotas/status.
func (p Permission) String() string {
	s := p.Verb + " " + p.Resource
	if p.Group != "" {
		s += "." + p.Group
	}
	if p.Subresource != "" {
		s += "/" + p.Subresource
	}
	if p.Name != "" {
		s += " " + p.Name
	}
	if p.Namespace != "" {
		s += " in namespace " + p.Namespace
	}
	return s
}

// CheckPrefix is the prefix of the name of every permission's check.
const CheckPrefix = "permission-"

// CheckName returns the name of the permission's check under /readyz.
func (p Permission) CheckName() string {
	s := CheckPrefix + p.Verb + "-" + p.Resource
	if p.Subresource != "" {
		s += "-" + p.Subresource
	}
	if p.Group != "" {
		s += "." + p.Group
	}
	return s
}

func (p Permission) review() *authorizationv1.SelfSubjectAccessReview {
	return &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: p.Verb, Group: p.Group, Version: "*", Resource: p.Resource, Subresource: p.Subresource,
			Namespace: p.Namespace, Name: p.Name,
		},
	}}
}

func (p Permission) missing() error {
	return fmt.Errorf("this server's service account may not %s, which it needs to %s: add the rule to its role (see the RBAC manifest of the release)", p, p.Reason)
}

// Needs describes which optional features of the server are enabled.
type Needs struct {
	// AuthReader: the server reads the front proxy's authority from the cluster.
	AuthReader bool
	// TokenReview and AccessReview: the server delegates authentication and
	// authorization.
	TokenReview, AccessReview bool
	// PriorityAndFairness: the server queues requests by the cluster's flow schemas.
	PriorityAndFairness bool
	// MutatingWebhook and the following fields are admission plugins.
	MutatingWebhook, ValidatingWebhook              bool
	MutatingPolicy, ValidatingPolicy, ResourceQuota bool
}

const (
	admissionGroup   = "admissionregistration.k8s.io"
	flowcontrolGroup = "flowcontrol.apiserver.k8s.io"
)

// Permissions returns the exact list for those needs. The RBAC manifest grants exactly
// these.
func Permissions(n Needs) []Permission {
	var out []Permission
	add := func(reason, group, resource string, verbs ...string) {
		for _, verb := range verbs {
			out = append(out, Permission{Verb: verb, Group: group, Resource: resource, Reason: reason})
		}
	}
	if n.TokenReview {
		add("authenticate requests", "authentication.k8s.io", "tokenreviews", "create")
	}
	if n.AccessReview {
		add("authorize requests", "authorization.k8s.io", "subjectaccessreviews", "create")
	}
	if n.AuthReader {
		for _, verb := range []string{"get", "list", "watch"} {
			out = append(out, Permission{
				Verb: verb, Resource: "configmaps", Namespace: "kube-system", Name: "extension-apiserver-authentication",
				Reason: "identify the trusted front proxy (Role extension-apiserver-authentication-reader)",
			})
		}
	}
	// This is also read outside admission: the deletion of a whole namespace may remove
	// objects that can't be deleted separately.
	add("see existing and terminating namespaces", "", "namespaces", "get", "list", "watch")
	add("identify the node that sent a request", "", "nodes", "get", "list", "watch")
	add("determine on which node a proxy runs", "", "pods", "get", "list", "watch")
	if n.MutatingWebhook {
		add("call the cluster's webhooks", admissionGroup, "mutatingwebhookconfigurations", "list", "watch")
	}
	if n.ValidatingWebhook {
		add("call the cluster's webhooks", admissionGroup, "validatingwebhookconfigurations", "list", "watch")
	}
	if n.MutatingPolicy {
		add("apply the cluster's admission policies", admissionGroup, "mutatingadmissionpolicies", "list", "watch")
		add("apply the cluster's admission policies", admissionGroup, "mutatingadmissionpolicybindings", "list", "watch")
	}
	if n.ValidatingPolicy {
		add("apply the cluster's admission policies", admissionGroup, "validatingadmissionpolicies", "list", "watch")
		add("apply the cluster's admission policies", admissionGroup, "validatingadmissionpolicybindings", "list", "watch")
	}
	if n.ResourceQuota {
		add("enforce the object quotas of namespaces", "", "resourcequotas", "get", "list", "watch")
		out = append(out, Permission{
			Verb: "update", Resource: "resourcequotas", Subresource: "status",
			Reason: "count admitted objects against the quotas of namespaces",
		})
	}
	if n.PriorityAndFairness {
		add("queue requests fairly", flowcontrolGroup, "flowschemas", "list", "watch")
		add("queue requests fairly", flowcontrolGroup, "prioritylevelconfigurations", "list", "watch")
		out = append(out, Permission{
			Verb: "patch", Group: flowcontrolGroup, Resource: "flowschemas", Subresource: "status",
			Reason: "report flow schemas with dangling references",
		})
	}
	return out
}
