// SPDX-License-Identifier: Apache-2.0

package readiness

import (
	"errors"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

var allNeeds = Needs{
	AuthReader: true, TokenReview: true, AccessReview: true, PriorityAndFairness: true,
	MutatingWebhook: true, ValidatingWebhook: true, MutatingPolicy: true, ValidatingPolicy: true, ResourceQuota: true,
}

// answer makes a kube-apiserver that allows what allow says.
func answer(allow func(*authorizationv1.ResourceAttributes) (bool, error)) *fake.Clientset {
	client := fake.NewClientset()
	client.PrependReactor("create", "selfsubjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview).DeepCopy()
		allowed, err := allow(review.Spec.ResourceAttributes)
		review.Status.Allowed = allowed
		return true, review, err
	})
	return client
}

func failing(c *Checker) map[string]error {
	out := map[string]error{}
	for _, check := range c.HealthChecks() {
		if err := check.Check(nil); err != nil {
			out[check.Name()] = err
		}
	}
	return out
}

func TestEachMissingPermissionIsNamed(t *testing.T) {
	permissions := Permissions(allNeeds)
	for _, missing := range permissions {
		t.Run(missing.String(), func(t *testing.T) {
			client := answer(func(a *authorizationv1.ResourceAttributes) (bool, error) {
				return *a != *missing.review().Spec.ResourceAttributes, nil
			})
			checker := NewChecker(client.AuthorizationV1().SelfSubjectAccessReviews(), permissions)
			if len(failing(checker)) != len(permissions) {
				t.Error("Ready before the kube-apiserver was asked")
			}
			if checker.ask(t.Context()) {
				t.Error("Complete although one is missing")
			}
			got := failing(checker)
			err := got[missing.CheckName()]
			if len(got) != 1 || err == nil {
				t.Fatalf("The checks that fail are %v, want %s alone", got, missing.CheckName())
			}
			for _, want := range []string{missing.Verb, missing.Resource, missing.Group, missing.Subresource} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("The error does not have %q: %v", want, err)
				}
			}
		})
	}
}

func TestCheckNamesAreUniqueAndFitIntoAPath(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range Permissions(allNeeds) {
		name := p.CheckName()
		if seen[name] {
			t.Errorf("Two checks are named %s", name)
		}
		seen[name] = true
		if strings.ContainsAny(name, " /?#") {
			t.Errorf("%q can't be part of a path", name)
		}
	}
}

func TestRecovery(t *testing.T) {
	allowed := false
	client := answer(func(*authorizationv1.ResourceAttributes) (bool, error) { return allowed, nil })
	checker := NewChecker(client.AuthorizationV1().SelfSubjectAccessReviews(), Permissions(allNeeds))
	if checker.ask(t.Context()) {
		t.Error("Complete although nothing is allowed")
	}
	allowed = true
	if !checker.ask(t.Context()) || len(failing(checker)) != 0 {
		t.Errorf("Not complete although all is allowed: %v", failing(checker))
	}
}

func TestUnreachable(t *testing.T) {
	down := errors.New("connection refused")
	client := answer(func(*authorizationv1.ResourceAttributes) (bool, error) { return false, down })
	checker := NewChecker(client.AuthorizationV1().SelfSubjectAccessReviews(), Permissions(Needs{}))
	checker.ask(t.Context())
	for name, err := range failing(checker) {
		if !errors.Is(err, down) {
			t.Errorf("%s: %v does not say that the kube-apiserver can't be asked", name, err)
		}
	}
}

// What a server does not use, it must not ask for.
func TestNeedsDecide(t *testing.T) {
	if got := Permissions(Needs{}); len(got) != 9 {
		t.Errorf("With nothing switched on, it asks for %v", got)
	}
}
