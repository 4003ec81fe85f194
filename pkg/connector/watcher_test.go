// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A changed status starts nothing that depends on the rest of an object.
func TestChanged(t *testing.T) {
	now := metav1.Now()
	gateway := func(change func(*gatewayv1.Gateway)) client.Object {
		g := shopGateway("u1", "")
		change(g)
		return g
	}
	node := func(change func(*corev1.Node)) client.Object {
		n := &corev1.Node{Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.168.1.16"}}}}
		change(n)
		return n
	}
	for _, test := range []struct {
		name          string
		before, after client.Object
		want          bool
	}{
		{"the status of a Gateway", gateway(func(*gatewayv1.Gateway) {}), gateway(func(g *gatewayv1.Gateway) { g.Status.Listeners = make([]gatewayv1.ListenerStatus, 1) }), false},
		{"its spec", gateway(func(*gatewayv1.Gateway) {}), gateway(func(g *gatewayv1.Gateway) { g.Generation++ }), true},
		{"its deletion", gateway(func(*gatewayv1.Gateway) {}), gateway(func(g *gatewayv1.Gateway) { g.DeletionTimestamp = &now }), true},
		{"its labels", gateway(func(*gatewayv1.Gateway) {}), gateway(func(g *gatewayv1.Gateway) { g.Labels = map[string]string{"a": "b"} }), true},
		{"its annotations", gateway(func(*gatewayv1.Gateway) {}), gateway(func(g *gatewayv1.Gateway) { g.Annotations = map[string]string{"a": "b"} }), true},
		{"a node's heartbeat", node(func(*corev1.Node) {}), node(func(n *corev1.Node) { n.Status.Conditions = make([]corev1.NodeCondition, 1) }), false},
		{"a node's addresses", node(func(*corev1.Node) {}), node(func(n *corev1.Node) { n.Status.Addresses[0].Address = "192.168.1.17" }), true},
		{"a node's annotations", node(func(*corev1.Node) {}), node(func(n *corev1.Node) { n.Annotations = map[string]string{"a": "b"} }), true},
		{"a Secret, which has no generation", &corev1.Secret{}, &corev1.Secret{Data: map[string][]byte{"a": nil}}, true},
	} {
		if got := changed(test.before, test.after); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
}
