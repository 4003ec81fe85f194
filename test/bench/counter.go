// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

// singleton is the object that has the counter.
type singleton struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Status            struct {
		CurrentTunnelID int32 `json:"current-tunnel-id,omitempty"`
	} `json:"status"`
}

// counter gives IDs as controllers of custom resources do: the last one is in
// the status of a singleton. A client that needs one reads it, adds one, writes it back,
// and tries again if another was faster, as often as client-go's own retry does:
// 5 times.
type counter struct {
	*writers
}

func newCounter(ctx context.Context, s *side) (*counter, error) {
	obj := &singleton{TypeMeta: metav1.TypeMeta{APIVersion: s.api, Kind: "EPIC"}, ObjectMeta: metav1.ObjectMeta{Name: "epic"}}
	if err := s.create(ctx, configNamespace, "epics", obj); err != nil {
		return nil, err
	}
	own, err := newWriters(ctx, s)
	return &counter{own}, err
}

// next takes an ID.
func (c *counter) next(ctx context.Context) (id int32, err error) {
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		obj := &singleton{}
		if err := c.side.get(ctx, configNamespace, "epics", "epic", obj); err != nil {
			return err
		}
		obj.Status.CurrentTunnelID++
		id = obj.Status.CurrentTunnelID
		return c.side.updateStatus(ctx, configNamespace, "epics", "epic", obj)
	})
	return id, err
}

// addTunnel takes an ID and writes it into the writer's own object.
func (c *counter) addTunnel(ctx context.Context, writer, n int) error {
	id, err := c.next(ctx)
	if err != nil {
		return err
	}
	return c.addTunnelWithID(ctx, writer, n, id)
}

// idsBehindKube measures both ways of giving IDs behind one kube-apiserver.
func idsBehindKube(ctx context.Context, b binaries, r rounds) error {
	progress("IDs behind a kube-apiserver: EPIC's, and a counter in a custom resource")
	p, err := startPlane(ctx, b, "ids")
	if err != nil {
		return err
	}
	defer p.stop()
	a, err := p.startAggregate(ctx, b)
	if err != nil {
		return err
	}
	defer a.stop()
	resources, err := p.customResources(ctx)
	if err != nil {
		return err
	}
	if err := p.createNamespaces(ctx, configNamespace, benchNamespace); err != nil {
		return err
	}
	if err := prepareEPIC(ctx, a.side, mostWriters, benchAccount); err != nil {
		return err
	}
	own, err := newWriters(ctx, a.side)
	if err != nil {
		return err
	}
	old, err := newCounter(ctx, resources)
	if err != nil {
		return err
	}
	measure(ctx, 8, r.length, own.addTunnel) // warm up
	measure(ctx, 8, r.length, old.addInterfaces)

	fmt.Printf("\nIDs behind one kube-apiserver, each writer with a load balancer of its own:\n%s.\n\n", r)
	w := table("writers\twrite\ta second\tmedian\tp99\tfailed\tof tries\tCPU each\tof no ID\tof the counter\t")
	ops := []named{
		{"EPIC: adds a tunnel (1 ID)", own.addTunnel, own.side.servers},
		{"EPIC: no ID to assign", own.addInterfaces, own.side.servers},
		{"custom resource: ID from a counter", old.addTunnel, old.side.servers},
		{"custom resource: no ID to assign", old.addInterfaces, old.side.servers},
	}
	for _, count := range []int{1, 8, mostWriters} {
		progress("  %d writers", count)
		results, err := r.inTurns(ctx, count, ops)
		if err != nil {
			return err
		}
		for i, o := range ops {
			it, without := results[i], results[i|1]
			fmt.Fprintf(w, "%d\t%s\t%s\t%.0f %%\t%s\t%.2f\t%.1f\t\n", count, o.name, columns(it), 100*it.failed(), short(it.cpu), it.rate/without.rate, it.rate/results[2].rate)
		}
	}
	return w.Flush()
}
