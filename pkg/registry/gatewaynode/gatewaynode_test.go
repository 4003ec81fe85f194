// SPDX-License-Identifier: Apache-2.0

package gatewaynode

import (
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
)

func sample() *epic.GatewayNode {
	return &epic.GatewayNode{ObjectMeta: metav1.ObjectMeta{Namespace: "epic", Name: "192.0.2.40"}}
}

func TestKind(t *testing.T) {
	kindtest.Run(t, kindtest.Kind[*epic.GatewayNode]{
		NewREST: NewREST,
		Sample:  sample,
		Wrong: map[string]func(*epic.GatewayNode){
			"another namespace": func(o *epic.GatewayNode) { o.Namespace = "epic-root" },
			"no address":        func(o *epic.GatewayNode) { o.Name = "gateway-1" },
			"another address":   func(o *epic.GatewayNode) { o.Spec.Address = "192.0.2.41" },
			"a second name":     func(o *epic.GatewayNode) { o.Name = "2001-db8-0--40" },
		},
		WrongChange: func(o *epic.GatewayNode) { o.Spec.Address = "192.0.2.41" },
		ShortNames:  "gwn,gwns",
	})
}

func TestCreate(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	in := sample()
	in.Generation = 7
	in.Status.Conditions, in.Status.Tunnels, in.Status.ObservedGeneration = kindtest.Ready(), 3, 3
	out := kindtest.MustCreate(s, in)
	if out.Generation != 1 || out.Status.Conditions != nil || out.Status.ObservedGeneration != 0 || out.Status.Tunnels != 0 {
		t.Errorf("generation %d, status %+v", out.Generation, out.Status)
	}
	if out.Spec.Address != "192.0.2.40" {
		t.Errorf("address %q", out.Spec.Address)
	}
	six := sample()
	six.Name = "2001-db8--40"
	if out := kindtest.MustCreate(s, six); out.Spec.Address != "2001:db8::40" {
		t.Errorf("address %q", out.Spec.Address)
	}
}

func TestUpdate(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	o := kindtest.MustCreate(s, sample())
	o.Status.Conditions = kindtest.Ready()
	o.Spec.Address = ""
	o.Labels = map[string]string{"a": "b"}
	o, err := kindtest.Update(s, o)
	if err != nil || o.Generation != 1 || o.Status.Conditions != nil || o.Spec.Address != "192.0.2.40" {
		t.Errorf("got %+v, %v", o, err)
	}
	o.Spec.Address = "192.0.2.41"
	if _, err := kindtest.Update(s, o); !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
}

func TestUpdateStatus(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	o := kindtest.MustCreate(s, sample())
	o.Spec.Address = "192.0.2.41"
	o.Status.Conditions = kindtest.Ready()
	o, err := kindtest.UpdateStatus(s, o)
	if err != nil || o.Generation != 1 || len(o.Status.Conditions) != 1 || o.Spec.Address != "192.0.2.40" {
		t.Errorf("got %+v, %v", o, err)
	}
	// Fields that a write omits are removed, except conditions.
	o.Status.Conditions, o.Status.Tunnels, o.Status.DownTunnels = nil, 3, []epic.DownTunnel{{TunnelID: 7}}
	if o, err = kindtest.UpdateStatus(s, o); err != nil || len(o.Status.Conditions) != 1 || o.Status.Tunnels != 3 {
		t.Errorf("got %+v, %v", o, err)
	}
	o.Status.Tunnels, o.Status.DownTunnels = 0, nil
	if o, err = kindtest.UpdateStatus(s, o); err != nil || len(o.Status.Conditions) != 1 || o.Status.Tunnels != 0 || o.Status.DownTunnels != nil {
		t.Errorf("got %+v, %v", o, err)
	}
	o.Status.ObservedGeneration = -1
	if _, err := kindtest.UpdateStatus(s, o); !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
}

// Whatever a node's clock says, its heartbeat has the server's time, and only when
// the node wrote one.
func TestHeartbeat(t *testing.T) {
	s := kindtest.New(t, NewREST, nil)
	o := kindtest.MustCreate(s, sample())
	for _, wrong := range []metav1.Time{metav1.Unix(1, 0), metav1.Unix(1<<40, 0)} {
		o.Status.HeartbeatTime = wrong
		out, err := kindtest.UpdateStatus(s, o)
		if err != nil || time.Since(out.Status.HeartbeatTime.Time).Abs() > time.Minute {
			t.Errorf("%v, %v", out.Status.HeartbeatTime, err)
		}
		o.ResourceVersion = out.ResourceVersion
	}
	old := metav1.Unix(1000, 0)
	stored := o.DeepCopy()
	stored.Status.HeartbeatTime = old
	s.Put(stored)
	o.ResourceVersion, o.Status.HeartbeatTime = "", old
	if out, err := kindtest.UpdateStatus(s, o); err != nil || !out.Status.HeartbeatTime.Equal(&old) {
		t.Errorf("a write that changes nothing: %v, %v", out.Status.HeartbeatTime, err)
	}
}
