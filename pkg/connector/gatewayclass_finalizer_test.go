// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A class stays while a Gateway uses it, and goes with the last. Classes of other
// controllers, and finalizers of others, are left alone.
func TestClassIsHeld(t *testing.T) {
	other := &gatewayv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "other"}, Spec: gatewayv1.GatewayClassSpec{ControllerName: "example.com/other"}}
	theirs := shopGateway("u2", "")
	theirs.Name, theirs.Spec.GatewayClassName = "theirs", "other"
	b := newClientCluster(t, "paris", newFakeEPIC(t), shopGateway("u1", ""), other, theirs)
	r := &classHolder{b}
	class := func(name string) (*gatewayv1.GatewayClass, bool) {
		t.Helper()
		if _, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}); err != nil {
			t.Fatal(err)
		}
		return read(t, b.local, "", name, &gatewayv1.GatewayClass{})
	}
	held := func(class *gatewayv1.GatewayClass) bool {
		return slices.Contains(class.Finalizers, gatewayv1.GatewayClassFinalizerGatewaysExist)
	}
	if class, _ := class("other"); held(class) {
		t.Error("The class of another controller is held")
	}
	if _, ok := class("missing"); ok {
		t.Error("There is a class that nobody made")
	}
	epic, _ := class("epic")
	if !held(epic) {
		t.Fatalf("The finalizers of a class that is used are %v", epic.Finalizers)
	}
	epic.Finalizers = append(epic.Finalizers, "example.com/theirs")
	if err := b.local.Update(t.Context(), epic); err != nil {
		t.Fatal(err)
	}
	if err := b.local.Delete(t.Context(), epic); err != nil {
		t.Fatal(err)
	}
	if epic, ok := class("epic"); !ok || !held(epic) {
		t.Fatal("The class went before its Gateway")
	}
	gateway, _ := b.gateway(t)
	if err := b.local.Delete(t.Context(), gateway); err != nil {
		t.Fatal(err)
	}
	epic, _ = class("epic")
	if held(epic) || !slices.Equal(epic.Finalizers, []string{"example.com/theirs"}) {
		t.Errorf("Without a Gateway, the finalizers are %v", epic.Finalizers)
	}
}
