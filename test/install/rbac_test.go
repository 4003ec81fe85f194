// SPDX-License-Identifier: Apache-2.0

// Package install tests the manifests of artifacts/install against the program
// that they install.
package install

import (
	"os"
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/acnodal/epic/pkg/apiserver/readiness"
	"github.com/acnodal/epic/test/tools/manifest"
)

// TestServerMayDoWhatItNeeds compares the server's role with what it asks for at
// readyz: neither may have more.
func TestServerMayDoWhatItNeeds(t *testing.T) {
	data, err := os.ReadFile("../../artifacts/install/base/rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	granted := []string{
		// ClusterRole system:auth-delegator.
		"create tokenreviews.authentication.k8s.io", "create subjectaccessreviews.authorization.k8s.io",
	}
	for doc, err := range manifest.Documents(data) {
		if err != nil {
			t.Fatal(err)
		}
		var role rbacv1.ClusterRole
		if err := yaml.Unmarshal(doc, &role); err != nil {
			t.Fatal(err)
		}
		for _, rule := range role.Rules {
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						granted = append(granted, text(verb, group, resource))
					}
				}
			}
		}
	}
	var needed []string
	for _, p := range readiness.Permissions(readiness.Needs{
		AuthReader: true, TokenReview: true, AccessReview: true, PriorityAndFairness: true,
		MutatingWebhook: true, ValidatingWebhook: true, MutatingPolicy: true, ValidatingPolicy: true, ResourceQuota: true,
	}) {
		if p.Namespace != "" {
			// Role extension-apiserver-authentication-reader.
			continue
		}
		resource := p.Resource
		if p.Subresource != "" {
			resource += "/" + p.Subresource
		}
		needed = append(needed, text(p.Verb, p.Group, resource))
	}
	for _, p := range needed {
		if !slices.Contains(granted, p) {
			t.Errorf("The server needs %q, and the role does not grant it", p)
		}
	}
	for _, p := range granted {
		if !slices.Contains(needed, p) {
			t.Errorf("The role grants %q, which the server does not need", p)
		}
	}
}

func text(verb, group, resource string) string {
	if group != "" {
		resource += "." + group
	}
	return verb + " " + resource
}
