// SPDX-License-Identifier: Apache-2.0

package epic_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	rt "github.com/acnodal/epic/pkg/registry/registrytest"
)

// The EPIC object stays while there are accounts.
func TestDeletion(t *testing.T) {
	w := rt.New(t)
	system := rt.MustCreate(w, &epic.EPIC{ObjectMeta: metav1.ObjectMeta{Namespace: epic.ConfigNamespace, Name: epic.ConfigName}})
	account := rt.MustCreate(w, rt.Account("one"))
	for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
		rt.Refused(t, rt.Delete(w, system, dryRun...), "EPIC", "others depend on it", "account epic-one/one")
	}
	rt.MustDelete(w, account)
	rt.MustDelete(w, system)
}
