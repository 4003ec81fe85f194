// SPDX-License-Identifier: Apache-2.0

package epic

import (
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	epicapi "github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
)

func sample() *epicapi.EPIC {
	return &epicapi.EPIC{ObjectMeta: metav1.ObjectMeta{Namespace: "epic", Name: "epic"}}
}

func TestKind(t *testing.T) {
	kindtest.Run(t, kindtest.Kind[*epicapi.EPIC]{
		NewREST: NewREST,
		Sample:  sample,
		Wrong: map[string]func(*epicapi.EPIC){
			"a second one": func(o *epicapi.EPIC) { o.Name = "second" },
		},
		Change:      func(o *epicapi.EPIC) { o.Spec.EnvoyImage = "a" },
		WrongChange: func(o *epicapi.EPIC) { o.Spec.EnvoyImage = "a b" },
	})
}

// Clients write back what the server shows them of its counters.
func TestStatusIgnoresCounters(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	in := kindtest.MustCreate(s, sample())
	in.Status.CurrentTunnelID = 9
	in.Status.CurrentGroupID = 9
	if out, err := kindtest.UpdateStatus(s, in); err != nil || out.Status.CurrentTunnelID != 0 || out.Status.CurrentGroupID != 0 {
		t.Errorf("got %+v, %v", out.Status, err)
	}
}

// Whatever a node's clock says, its heartbeat has the server's time, and only
// when it wrote one.
func TestHeartbeats(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	o := kindtest.MustCreate(s, sample())
	const one, two = "192.0.2.1", "192.0.2.2"
	o.Status.Nodes = map[string]epicapi.EPICNodeStatus{one: {Name: "one", HeartbeatTime: metav1.Unix(1, 0)}, two: {Name: "two"}}
	o, err := kindtest.UpdateStatus(s, o)
	if err != nil {
		t.Fatal(err)
	}
	for address, node := range o.Status.Nodes {
		if time.Since(node.HeartbeatTime.Time).Abs() > time.Minute {
			t.Errorf("%s: %v", address, node.HeartbeatTime)
		}
	}
	// Stored times stay as they were.
	old := metav1.Unix(1000, 0)
	stored := o.DeepCopy()
	for address, node := range stored.Status.Nodes {
		node.HeartbeatTime = old
		stored.Status.Nodes[address] = node
	}
	s.Put(stored)
	o.ResourceVersion = ""
	o.Status.Nodes = map[string]epicapi.EPICNodeStatus{one: {Name: "one", HeartbeatTime: old}, two: {Name: "two", HeartbeatTime: metav1.Unix(1<<40, 0)}}
	if o, err = kindtest.UpdateStatus(s, o); err != nil {
		t.Fatal(err)
	}
	if got := o.Status.Nodes[one].HeartbeatTime; !got.Equal(&old) {
		t.Errorf("a node that was silent: %v", got)
	}
	if got := o.Status.Nodes[two].HeartbeatTime; time.Since(got.Time).Abs() > time.Minute {
		t.Errorf("a node that wrote: %v", got)
	}
}

// Writers that do not know the count of gateway nodes leave it out, and keep it.
func TestStatusKeepsCount(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	o := kindtest.MustCreate(s, sample())
	for _, test := range []struct{ write, want *int32 }{{ptr.To[int32](3), ptr.To[int32](3)}, {nil, ptr.To[int32](3)}, {ptr.To[int32](0), ptr.To[int32](0)}} {
		o.Status.GatewayNodes = test.write
		out, err := kindtest.UpdateStatus(s, o)
		if err != nil || out.Status.GatewayNodes == nil || *out.Status.GatewayNodes != *test.want {
			t.Errorf("got %v, %v, want %d", out.Status.GatewayNodes, err, *test.want)
		}
		o = out
	}
	o.Status.GatewayNodes = ptr.To[int32](-1)
	if _, err := kindtest.UpdateStatus(s, o); !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
}
