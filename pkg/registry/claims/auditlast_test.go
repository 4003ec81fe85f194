// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// TestAuditAfterTheLastIDWent releases the last of the IDs that one write
// assigned, and keeps the others.
func TestAuditAfterTheLastIDWent(t *testing.T) {
	s := newScene(t)
	p := pod("d")
	setThing(p, thing{Parent: "p", Address: "any", Tunnels: map[string]int32{"n1": 0, "n2": 0, "n3": 0}})
	mustCreate(t, s.things, thingsResource, p)
	err := s.things.GuaranteedUpdate(t.Context(), key(thingsResource, "d"), &example.Pod{}, false, nil, storage.SimpleUpdate(func(in runtime.Object) (runtime.Object, error) {
		p := in.(*example.Pod)
		th := thingOf(p)
		// The IDs follow the order of the nodes.
		delete(th.Tunnels, "n3")
		setThing(p, th)
		return p, nil
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	clean(t, s.b)
}
