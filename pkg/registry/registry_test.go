// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	rt "github.com/acnodal/epic/pkg/registry/registrytest"
)

// Whatever else would be wrong with it, an object that exists, exists: for every
// kind, in dry runs too, and in the words that existing clients look for.
func TestCreateAgain(t *testing.T) {
	w := rt.New(t)
	for _, o := range rt.EveryKind(w) {
		resource := w.Resource(o)
		t.Run(resource, func(t *testing.T) {
			asCreated := rt.Exported(o)
			empty := rt.Exported(o)
			empty.SetLabels(nil) // for most kinds a required one is among them
			for name, again := range map[string]rt.Object{"the same": asCreated, "without labels": empty} {
				for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
					_, err := rt.Create(w, again, dryRun...)
					want := fmt.Sprintf("%s.epic.acnodal.io %q already exists", resource, o.GetName())
					if !apierrors.IsAlreadyExists(err) || err.Error() != want {
						t.Errorf("%s, dry run %v: got %v, want %s", name, dryRun, err, want)
					}
				}
			}
		})
	}
}
