// SPDX-License-Identifier: Apache-2.0

package epic

import (
	"strings"
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

func TestCreate(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	in := sample()
	in.Generation = 7
	in.Status.Conditions = kindtest.Ready()
	in.Status.ObservedGeneration = 3
	if out := kindtest.MustCreate(s, in); out.Generation != 1 || out.Status.Conditions != nil || out.Status.ObservedGeneration != 0 {
		t.Errorf("generation %d, status %+v", out.Generation, out.Status)
	}
}

func TestCreateRefuses(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	o := sample()
	o.Name = "second"
	if _, err := kindtest.Create(s, o); !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
	if s.Writes() != 0 {
		t.Error("a refused write left something behind")
	}
}

func TestUpdate(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	o := kindtest.MustCreate(s, sample())
	o.Status.Conditions = kindtest.Ready()
	o, err := kindtest.Update(s, o)
	if err != nil || o.Generation != 1 || o.Status.Conditions != nil {
		t.Errorf("a write of the status with the object: %+v, %v", o, err)
	}
	o.Spec.EnvoyImage = "a"
	if o, err = kindtest.Update(s, o); err != nil || o.Generation != 2 {
		t.Fatalf("generation %d, %v", o.Generation, err)
	}
	o.Spec.EnvoyImage = "a b"
	if _, err := kindtest.Update(s, o); !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
}

func TestUpdateStatus(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	o := kindtest.MustCreate(s, sample())
	o.Spec.EnvoyImage = "a"
	o.Status.Conditions = kindtest.Ready()
	o, err := kindtest.UpdateStatus(s, o)
	if err != nil || o.Generation != 1 || len(o.Status.Conditions) != 1 {
		t.Errorf("got %+v, %v", o, err)
	}
	o.Status.ObservedGeneration = -1
	if _, err := kindtest.UpdateStatus(s, o); !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
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

func TestStorage(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	if got := strings.Join(s.REST.ShortNames(), ","); got != "" {
		t.Errorf("short names %q", got)
	}
	if s.Trigger != "" {
		t.Errorf("watchers are found by %q", s.Trigger)
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
	// What was so before stays as it was.
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
