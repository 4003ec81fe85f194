// SPDX-License-Identifier: Apache-2.0

package gatewaynode_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	rt "github.com/acnodal/epic/pkg/registry/registrytest"
)

// A node's object may go at any time and come back, whatever else there is.
func TestDeletion(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	node := rt.MustCreate(w, rt.GatewayNode("192.0.2.40"))
	if err := rt.Delete(w, node, metav1.DryRunAll); err != nil {
		t.Error(err)
	}
	rt.MustDelete(w, node)
	rt.MustDelete(w, rt.MustCreate(w, rt.GatewayNode("192.0.2.40")))
}
