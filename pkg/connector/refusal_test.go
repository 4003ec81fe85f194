// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"errors"
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Only what a change of the object can turn is a refusal. What passes by itself is not, or
// statuses would state that something is wrong with objects that are well.
func TestIsRefusal(t *testing.T) {
	resource := schema.GroupResource{Group: "epic.acnodal.io", Resource: "gwproxies"}
	for _, test := range []struct {
		name string
		err  error
		want bool
	}{
		{"invalid", apierrors.NewInvalid(schema.GroupKind{Kind: "GWProxy"}, "a", field.ErrorList{field.Required(field.NewPath("spec"), "")}), true},
		{"an account's limit", apierrors.NewForbidden(resource, "a", errors.New("Account proxy limit exceeded: account acme may have 2")), true},
		{"a credential without rights", apierrors.NewForbidden(resource, "a",
			errors.New(`User "system:serviceaccount:epic-acme:connector.paris" cannot patch resource "gwproxies" in API group "epic.acnodal.io" in the namespace "epic-acme"`)), false},
		{"a server that is just starting", apierrors.NewForbidden(resource, "a", errors.New(`User "system:anonymous" cannot delete resource "gwproxies" in API group "epic.acnodal.io"`)), false},
		{"an expired credential", apierrors.NewUnauthorized("Unauthorized"), false},
		{"EPIC is away", apierrors.NewServiceUnavailable("the server is currently unable to handle the request"), false},
		{"a conflict", apierrors.NewConflict(resource, "a", errors.New("changed")), false},
		{"too large", apierrors.NewRequestEntityTooLargeError("3 MiB"), true},
		{"another cluster's", fmt.Errorf("write: %w", &foreignError{"GWProxy", "a", "rome"}), true},
		{"the network", errAway, false},
	} {
		if got := isRefusal(test.err); got != test.want {
			t.Errorf("%s: %t, want %t", test.name, got, test.want)
		}
	}
}
