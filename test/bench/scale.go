// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"
)

const (
	// eachNamespace is the number of load balancers in a namespace.
	eachNamespace = 100
	// pageSize is that of kubectl and of client-go's pager.
	pageSize = 500
)

// scaled is both sides with many objects in them: EPIC extends one control
// plane, the custom resources are in another, so each kube-apiserver's
// memory is for one of them.
type scaled struct {
	rounds
	objects    int
	namespaces []string
	extended   *plane
	epic       *aggregate
	plain      *plane
	resources  *side
}

// scale fills both sides and measures them, in turn.
func scale(ctx context.Context, b binaries, objects int, r rounds) error {
	s := &scaled{rounds: r, objects: objects}
	defer s.stop()
	progress("%d load balancers with two tunnels each, in EPIC and as custom resources", objects)
	if err := s.start(ctx, b); err != nil {
		return err
	}
	fmt.Printf("\n%d load balancers with two tunnels each, %d in a namespace, behind a kube-apiserver and as custom\nresources of the same shape in another; JSON; every etcd syncs to disk. CPU is that of all servers\nof a side, etcd included, for one operation.\n", objects, eachNamespace)
	empty, err := s.memories(ctx)
	if err != nil {
		return err
	}
	few, err := s.load(ctx)
	if err != nil {
		return err
	}
	loaded, err := s.memories(ctx)
	if err != nil {
		return err
	}
	if err := s.reads(ctx, few); err != nil {
		return err
	}
	if err := s.watches(ctx); err != nil {
		return err
	}
	return s.sizes(ctx, empty, loaded)
}

func (s *scaled) start(ctx context.Context, b binaries) (err error) {
	if s.extended, err = startPlane(ctx, b, "epic"); err != nil {
		return err
	}
	if s.epic, err = s.extended.startAggregate(ctx, b); err != nil {
		return err
	}
	if s.plain, err = startPlane(ctx, b, "resources"); err != nil {
		return err
	}
	if s.resources, err = s.plain.customResources(ctx); err != nil {
		return err
	}
	var accounts []string
	for i := range (s.objects + eachNamespace - 1) / eachNamespace {
		accounts = append(accounts, fmt.Sprintf("tenant%d", i))
		s.namespaces = append(s.namespaces, "epic-"+accounts[i])
	}
	progress("  %d namespaces", len(accounts))
	if err := s.plain.createNamespaces(ctx, s.namespaces...); err != nil {
		return err
	}
	if err := s.extended.createNamespaces(ctx, append([]string{configNamespace}, s.namespaces...)...); err != nil {
		return err
	}
	return prepareEPIC(ctx, s.epic.side, eachNamespace, accounts...)
}

func (s *scaled) stop() {
	s.epic.stop()
	s.extended.stop()
	s.plain.stop()
}

// place is where an object is.
func (s *scaled) place(i int) (namespace, name string) {
	return s.namespaces[i/eachNamespace], fmt.Sprintf("lb%d", i)
}

// sideResult is what was measured of one side.
type sideResult struct {
	side *side
	result
}

// comparison is a table in which each operation has a line a side.
type comparison struct{ w *tabwriter.Writer }

func newComparison(title string) comparison {
	fmt.Printf("\n%s\n\n", title)
	return comparison{table("operation\tside\ta second\tmedian\tp99\tfailed\tCPU each\trate: ratio\tCPU: ratio\t")}
}

// add adds the lines of an operation; the last side is what the others are
// compared with. n is the number of objects that one operation is for; rates count objects.
func (c comparison) add(operation string, n int, rs ...sideResult) {
	base := rs[len(rs)-1]
	for _, r := range rs {
		shown := r.result
		shown.rate *= float64(n)
		fmt.Fprintf(c.w, "%s\t%s\t%s\t%s\t%.2f\t%.2f\t\n", operation, r.side.name, columns(shown), short(r.cpu),
			r.rate/base.rate, float64(r.cpu)/float64(max(base.cpu, time.Microsecond)))
	}
}

// sidesInTurns measures an operation on several sides in turn.
func (s *scaled) sidesInTurns(ctx context.Context, workers int, op func(*side) operation, sides ...*side) ([]sideResult, error) {
	var ops []named
	for _, side := range sides {
		ops = append(ops, named{side.name, op(side), side.servers})
	}
	results, err := s.inTurns(ctx, workers, ops)
	if err != nil {
		return nil, err
	}
	var rs []sideResult
	for i, side := range sides {
		rs = append(rs, sideResult{side, results[i]})
	}
	return rs, nil
}
