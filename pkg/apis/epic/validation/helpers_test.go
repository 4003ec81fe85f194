// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// change is a case of a table: a change that makes a valid object invalid, with
// the field and a part of the message that the error must have. With no field
// the object stays valid.
type change[T any] struct {
	name    string
	change  func(obj *T)
	field   string
	message string
}

// creations runs a table against the rules for new objects.
func creations[T any](t *testing.T, valid func() *T, validate func(*T) field.ErrorList, cases []change[T]) {
	t.Helper()
	expect(t, validate(valid()), "", "")
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			obj := valid()
			c.change(obj)
			expect(t, validate(obj), c.field, c.message)
		})
	}
}

// updates runs a table against the rules for a change from a valid object.
func updates[T any](t *testing.T, valid func() *T, validate func(obj, old *T) field.ErrorList, cases []change[T]) {
	t.Helper()
	expect(t, validate(valid(), valid()), "", "")
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			obj := valid()
			c.change(obj)
			expect(t, validate(obj, valid()), c.field, c.message)
		})
	}
}

// expect wants exactly the errors of one field, or none.
func expect(t *testing.T, errs field.ErrorList, name, message string) {
	t.Helper()
	if name == "" {
		if len(errs) > 0 {
			t.Errorf("refused: %v", errs.ToAggregate())
		}
		return
	}
	if len(errs) == 0 {
		t.Errorf("accepted, want an error of %s", name)
		return
	}
	found := false
	for _, e := range errs {
		if e.Field != name {
			t.Errorf("error of %s, want only those of %s: %v", e.Field, name, e)
		}
		found = found || strings.Contains(e.Error(), message)
		if len(e.Error()) > 2000 {
			t.Errorf("a message of %d bytes", len(e.Error()))
		}
	}
	if !found {
		t.Errorf("no message says %q: %v", message, errs.ToAggregate())
	}
}

func meta(namespace, name string, labels ...string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{Namespace: namespace, Name: name}
	for i := 0; i+1 < len(labels); i += 2 {
		metav1.SetMetaDataLabel(&m, labels[i], labels[i+1])
	}
	return m
}

func tcp(n int32) epic.ServicePort {
	return epic.ServicePort{Port: n, Protocol: corev1.ProtocolTCP}
}

var gue = epic.EndpointPort{Port: 6080, Protocol: corev1.ProtocolUDP, AppProtocol: "gue"}

func pair(address string, id int32) epic.GUETunnelEndpoint {
	return epic.GUETunnelEndpoint{EPICAddress: address, EPICPort: gue, TunnelID: id}
}

// node is the entry of a client node with one tunnel.
func node(address string, id int32) epic.TunnelEndpoint {
	return epic.TunnelEndpoint{
		EPICAddress: address, EPICPort: gue, TunnelID: id,
		EPICEndpoints: map[string]epic.GUETunnelEndpoint{address: pair(address, id)},
	}
}

// nodes are n client nodes with one new tunnel each.
func nodes(n int) map[string]epic.TunnelEndpoint {
	m := map[string]epic.TunnelEndpoint{}
	for i := range n {
		m[fmt.Sprintf("10.1.%d.%d", i/250, i%250+1)] = node("192.168.1.40", 0)
	}
	return m
}

func times[T any](n int, f func(i int) T) []T {
	var out []T
	for i := range n {
		out = append(out, f(i))
	}
	return out
}

func num(n int32) *int32 { return ptr.To(n) }

func long(n int) string { return strings.Repeat("a", n) }

func condition() metav1.Condition {
	return metav1.Condition{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Done", LastTransitionTime: metav1.Now()}
}
