// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// rounds is how often each measurement is taken, in turn with the others so
// that what else the machine does hits all alike, and how long each takes.
type rounds struct {
	count  int
	length time.Duration
}

func (r rounds) String() string {
	return fmt.Sprintf("median of %d rounds of %s each, taken in turn", r.count, r.length)
}

// named is an operation with what a table calls it, and the programs that work
// for it.
type named struct {
	name    string
	op      operation
	servers []*process
}

// inTurns measures the operations in turn and returns each one's middle result.
func (r rounds) inTurns(ctx context.Context, workers int, ops []named) ([]result, error) {
	all := make([][]result, len(ops))
	for range r.count {
		for i, o := range ops {
			one, err := withCPU(o.servers, func() result { return measure(ctx, workers, r.length, o.op) })
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], one)
		}
	}
	results := make([]result, len(ops))
	for i := range all {
		results[i] = middle(all[i])
	}
	return results, ctx.Err()
}

// put writes a value of an average object's size to a key of the writer's own.
func put(etcd *clientv3.Client, value string) operation {
	return func(ctx context.Context, writer, _ int) error {
		_, err := etcd.Put(ctx, fmt.Sprintf("/bench/%d", writer), value)
		return err
	}
}

// contention measures writes with and without an ID, and plain puts, on a
// standalone server.
func contention(ctx context.Context, binary string, r rounds) error {
	progress("IDs under contention, on a standalone server")
	server, err := startServer(ctx, binary)
	if err != nil {
		return err
	}
	defer server.stop()
	s, err := newSide("EPIC", epicAPI, server.config, server.proc)
	if err != nil {
		return err
	}
	if err := prepareEPIC(ctx, s, mostWriters, benchAccount); err != nil {
		return err
	}
	own, err := newWriters(ctx, s)
	if err != nil {
		return err
	}
	etcd, err := etcdClient(server.etcdEndpoint())
	if err != nil {
		return err
	}
	defer func() { _ = etcd.Close() }()
	measure(ctx, 8, r.length, own.addTunnel) // warm up
	size, err := objectSize(ctx, etcd, "/epic/epic.acnodal.io/loadbalancers/")
	if err != nil {
		return err
	}
	fmt.Printf("Writers of load balancers of their own, through the server, with an embedded etcd:\n%s; objects of about %d bytes.\n\n", r, size)
	w := table("writers\twrite\ta second\tmedian\tp99\tfailed\tof no ID\tof plain puts\t")
	ops := []named{
		{name: "adds a tunnel (1 ID)", op: own.addTunnel},
		{name: "no ID to assign", op: own.addInterfaces},
		{name: "plain etcd put", op: put(etcd, strings.Repeat("x", size))},
	}
	for _, count := range []int{1, 8, mostWriters} {
		results, err := r.inTurns(ctx, count, ops)
		if err != nil {
			return err
		}
		for i, o := range ops {
			r := results[i]
			fmt.Fprintf(w, "%d\t%s\t%s\t%.2f\t%.2f\t\n", count, o.name, columns(r), r.rate/results[1].rate, r.rate/results[2].rate)
		}
	}
	return w.Flush()
}

func table(head string) *tabwriter.Writer {
	w := tabwriter.NewWriter(os.Stdout, 2, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, head)
	return w
}

// columns are the rate, the median, the 99th percentile and the failures.
func columns(r result) string {
	rate := fmt.Sprintf("%.0f", r.rate)
	if r.rate < 100 {
		rate = fmt.Sprintf("%.1f", r.rate)
	}
	return fmt.Sprintf("%s\t%s\t%s\t%d", rate, short(r.median), short(r.p99), r.failures)
}

// short is a time with three digits or so.
func short(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case ms >= 1000:
		return fmt.Sprintf("%.2f s", ms/1000)
	case ms >= 100:
		return fmt.Sprintf("%.0f ms", ms)
	case ms >= 10:
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.2f ms", ms)
}
