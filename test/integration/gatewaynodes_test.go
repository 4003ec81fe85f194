// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	applyv1 "github.com/acnodal/epic/pkg/generated/applyconfiguration/epic/v1"
	"github.com/acnodal/epic/pkg/tunnelstate/idset"
)

// TestGatewayNodesReport has nodes create their objects and write them at once.
func TestGatewayNodesReport(t *testing.T) {
	n := startNodes(t)
	ctx := t.Context()
	address := func(i int) string { return fmt.Sprintf("203.0.113.%d", i+1) }
	const count = 8
	var wg sync.WaitGroup
	for i := range count {
		own := n.gateway(t, address(i)).GatewayNodes("epic")
		wg.Go(func() {
			_, err := own.Create(ctx, &epicv1.GatewayNode{ObjectMeta: metav1.ObjectMeta{Name: address(i)}}, metav1.CreateOptions{})
			for round := range int32(3) {
				if err != nil {
					break
				}
				o := &epicv1.GatewayNode{ObjectMeta: metav1.ObjectMeta{Name: address(i)}, Status: epicv1.GatewayNodeStatus{
					NodeName: fmt.Sprint("node", i), Tunnels: 10, TunnelsUp: round, HeartbeatTime: metav1.NewTime(time.Unix(int64(round), 0)),
					TunnelStates: &epicv1.TunnelStates{Up: idset.Of(1, 2).Encode(), Down: idset.Of(5).Encode()},
				}}
				_, err = own.UpdateStatus(ctx, o, metav1.UpdateOptions{})
			}
			if err != nil {
				t.Errorf("%s: %v", address(i), err)
			}
		})
	}
	wg.Wait()
	list, err := n.admin.GatewayNodes("epic").List(ctx, metav1.ListOptions{})
	if err != nil || len(list.Items) != count {
		t.Fatalf("%d objects, %v", len(list.Items), err)
	}
	for i := range list.Items {
		o := &list.Items[i]
		if o.Spec.Address != o.Name || o.Status.TunnelsUp != 2 || time.Since(o.Status.HeartbeatTime.Time).Abs() > time.Minute || o.Generation != 1 {
			t.Errorf("%+v", o)
		}
	}

	first := n.gateway(t, address(0)).GatewayNodes("epic")
	bad := func(states *epicv1.TunnelStates) *epicv1.GatewayNode {
		return &epicv1.GatewayNode{ObjectMeta: metav1.ObjectMeta{Name: address(0)}, Status: epicv1.GatewayNodeStatus{TunnelStates: states}}
	}
	other := bad(nil)
	other.Name = address(1)
	const patch = `{"status":{"tunnels":0,"tunnels-up":0,"tunnel-states":null}}`
	for what, attempt := range map[string]func(dryRun []string) error{
		"another's object": func(d []string) error {
			_, err := first.Create(ctx, &epicv1.GatewayNode{ObjectMeta: metav1.ObjectMeta{Name: "203.0.113.99"}}, metav1.CreateOptions{DryRun: d})
			return err
		},
		"an object with another's address": func(d []string) error {
			_, err := first.Create(ctx, &epicv1.GatewayNode{ObjectMeta: metav1.ObjectMeta{Name: "203.0.113.99"}, Spec: epicv1.GatewayNodeSpec{Address: "203.0.113.99"}}, metav1.CreateOptions{DryRun: d})
			return err
		},
		"another's report by update": func(d []string) error {
			_, err := first.UpdateStatus(ctx, other, metav1.UpdateOptions{DryRun: d})
			return err
		},
		"another's report by merge patch": func(d []string) error {
			_, err := first.Patch(ctx, address(1), types.MergePatchType, []byte(patch), metav1.PatchOptions{DryRun: d}, "status")
			return err
		},
		"another's report by strategic merge patch": func(d []string) error {
			_, err := first.Patch(ctx, address(1), types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{DryRun: d}, "status")
			return err
		},
		"another's report by JSON patch": func(d []string) error {
			_, err := first.Patch(ctx, address(1), types.JSONPatchType, []byte(`[{"op":"remove","path":"/status/tunnel-states"}]`), metav1.PatchOptions{DryRun: d}, "status")
			return err
		},
		"another's report by apply": func(d []string) error {
			_, err := first.ApplyStatus(ctx, applyv1.GatewayNode(address(1), "epic").WithStatus(applyv1.GatewayNodeStatus().WithTunnels(20)), metav1.ApplyOptions{FieldManager: "evil", Force: true, DryRun: d})
			return err
		},
		"a label of its own object": func(d []string) error {
			_, err := first.Patch(ctx, address(0), types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{DryRun: d})
			return err
		},
		"its own object": func(d []string) error { return first.Delete(ctx, address(0), metav1.DeleteOptions{DryRun: d}) },
		"another's":      func(d []string) error { return first.Delete(ctx, address(1), metav1.DeleteOptions{DryRun: d}) },
		"all objects": func(d []string) error {
			return first.DeleteCollection(ctx, metav1.DeleteOptions{DryRun: d}, metav1.ListOptions{})
		},
		"what others report": func([]string) error {
			_, err := first.List(ctx, metav1.ListOptions{})
			return err
		},
	} {
		for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
			forbidden(t, what, attempt(dryRun))
		}
	}
	// A node's own labels go by its status either, and are kept out.
	labeled := bad(nil)
	labeled.Labels, labeled.Status.Tunnels = map[string]string{"a": "b"}, 4
	if o, err := first.UpdateStatus(ctx, labeled, metav1.UpdateOptions{}); err != nil || len(o.Labels) > 0 || o.Status.Tunnels != 4 || o.Status.TunnelStates != nil {
		t.Errorf("%+v, %v", o, err)
	}
	for text, states := range map[string]*epicv1.TunnelStates{
		"status.tunnel-states.up":   {Up: []byte{0}},
		"status.tunnel-states.down": {Up: idset.Of(1).Encode(), Down: idset.Of(1).Encode()},
		"status.tunnel-states":      {Up: make([]byte, 700<<10)},
	} {
		if _, err := first.UpdateStatus(ctx, bad(states), metav1.UpdateOptions{}); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %.300v", text, err)
		}
	}
	// A hundred thousand tunnels whose IDs do not follow each other.
	ids := make([]uint32, 100_000)
	for i := range ids {
		ids[i] = uint32(i*20_001 + 1)
	}
	big := bad(&epicv1.TunnelStates{Up: idset.Of(ids[:50_000]...).Encode(), Down: idset.Of(ids[50_000:]...).Encode()})
	big.Status.Tunnels = 100_000
	o, err := first.UpdateStatus(ctx, big, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if up, err := idset.Decode(o.Status.TunnelStates.Up); err != nil || up.Len() != 50_000 {
		t.Errorf("%d tunnels, %v", up.Len(), err)
	}

	wants(t, "the table", n.kubectl.run(t, "get", "-n", "epic", "gwn"), "NODE", "TUNNELS", "DOWN", "HEARTBEAT", "203.0.113.2", "node1")
	wants(t, "the explanation", n.kubectl.run(t, "explain", "gatewaynodes.status.tunnel-states"), "a compact form for programs")
	wants(t, "all kinds", n.kubectl.run(t, "get", "-n", "epic", "epic-all"), "gatewaynode.epic.acnodal.io/203.0.113.2")
	n.kubectl.run(t, "delete", "-n", "epic", "gwn", "--all")
	// The server's own rule holds for whoever else creates one.
	if _, err := n.admin.GatewayNodes("epic").Create(ctx, &epicv1.GatewayNode{ObjectMeta: metav1.ObjectMeta{Name: "gateway-1"}}, metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("a name that is no address: %v", err)
	}
	cleanAudit(t, n.kubectl)
}
