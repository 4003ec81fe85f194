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
	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	clientset "github.com/acnodal/epic/pkg/generated/clientset/versioned"
	typed "github.com/acnodal/epic/pkg/generated/clientset/versioned/typed/epic/v1"
)

const (
	benchNamespace = "epic-bench"
	mostWriters    = 32
	// grow is how many entries an object gets before it is emptied again, which
	// is done by the same kind of write and counts as one.
	grow = 16
)

// bench is what the measurements work with.
type bench struct {
	api  typed.EpicV1Interface
	etcd *clientv3.Client
	// objects are the writers' own, as last written.
	objects []*epicv1.LoadBalancer
}

func newBench(ctx context.Context, s *server) (*bench, error) {
	client, err := clientset.NewForConfig(s.config)
	if err != nil {
		return nil, err
	}
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{s.etcdEndpoint()}, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	b := &bench{api: client.EpicV1(), etcd: etcd}
	return b, b.prepare(ctx)
}

func (b *bench) close() { _ = b.etcd.Close() }

func (b *bench) prepare(ctx context.Context) error {
	limit := int32(mostWriters)
	if _, err := b.api.EPICs("epic").Create(ctx, &epicv1.EPIC{ObjectMeta: metav1.ObjectMeta{Name: "epic"}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err := b.api.ServicePrefixes("epic").Create(ctx, &epicv1.ServicePrefix{
		ObjectMeta: metav1.ObjectMeta{Name: "pool"},
		Spec:       epicv1.ServicePrefixSpec{PublicPool: &epicv1.AddressPool{Pool: "198.18.0.0/16", Subnet: "198.18.0.0/15", Aggregation: "default"}},
	}, metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err := b.api.Accounts(benchNamespace).Create(ctx, &epicv1.Account{ObjectMeta: metav1.ObjectMeta{Name: "bench"}, Spec: epicv1.AccountSpec{ProxyLimit: &limit}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err := b.api.LBServiceGroups(benchNamespace).Create(ctx, &epicv1.LBServiceGroup{
		ObjectMeta: metav1.ObjectMeta{Name: "group", Labels: map[string]string{"epic.acnodal.io/owning-serviceprefix": "pool"}},
	}, metav1.CreateOptions{}); err != nil {
		return err
	}
	for i := range mostWriters {
		lb, err := b.api.LoadBalancers(benchNamespace).Create(ctx, &epicv1.LoadBalancer{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("lb%d", i)}, Spec: epicv1.LoadBalancerSpec{ServiceGroup: "group"},
		}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		b.objects = append(b.objects, lb)
	}
	return nil
}

// addTunnel adds a tunnel to the writer's own object: one more ID each time.
func (b *bench) addTunnel(ctx context.Context, writer, n int) error {
	return b.write(ctx, writer, func(s *epicv1.ProxyStatus) {
		if s.GUETunnelEndpoints == nil || n%(grow+1) == 0 {
			s.GUETunnelEndpoints = map[string]epicv1.TunnelEndpoint{}
		}
		s.ProxyIfInfo = nil
		if n%(grow+1) != 0 {
			s.GUETunnelEndpoints[fmt.Sprintf("10.0.%d.%d", writer, n%(grow+1))] = epicv1.TunnelEndpoint{EPICAddress: "192.168.1.40"}
		}
	})
}

// addInterfaces grows the object as addTunnel does, by entries of about the same
// size that need no ID.
func (b *bench) addInterfaces(ctx context.Context, writer, n int) error {
	return b.write(ctx, writer, func(s *epicv1.ProxyStatus) {
		if s.ProxyIfInfo == nil || n%(grow+1) == 0 {
			s.ProxyIfInfo = map[string]epicv1.ProxyInterfaceInfo{}
		}
		s.GUETunnelEndpoints = nil
		for half := range 2 {
			if n%(grow+1) != 0 {
				s.ProxyIfInfo[fmt.Sprintf("pod-%d-%d-%d", writer, n%(grow+1), half)] = epicv1.ProxyInterfaceInfo{EPICNodeAddress: "192.168.1.40", Index: int32(n%1000 + 1), Name: "veth0"}
			}
		}
	})
}

func (b *bench) write(ctx context.Context, writer int, change func(*epicv1.ProxyStatus)) error {
	obj := b.objects[writer].DeepCopy()
	change(&obj.Status)
	// A write that changes nothing would not be one.
	obj.Status.ObservedGeneration++
	out, err := b.api.LoadBalancers(benchNamespace).UpdateStatus(ctx, obj, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	b.objects[writer] = out
	return nil
}

// put writes a value of an average object's size to a key of the writer's own.
func (b *bench) put(value string) operation {
	return func(ctx context.Context, writer, _ int) error {
		_, err := b.etcd.Put(ctx, fmt.Sprintf("/bench/%d", writer), value)
		return err
	}
}

// objectSize is the stored size of the writers' objects.
func (b *bench) objectSize(ctx context.Context) (int, error) {
	resp, err := b.etcd.Get(ctx, "/epic/epic.acnodal.io/loadbalancers/", clientv3.WithPrefix())
	if err != nil {
		return 0, err
	}
	sum := 0
	for _, kv := range resp.Kvs {
		sum += len(kv.Value)
	}
	return sum / max(len(resp.Kvs), 1), nil
}

// contention measures the three kinds of write with 1, 8 and 32 writers, in
// turns, so that what else the machine does hits all alike.
func contention(ctx context.Context, b *bench, length time.Duration, rounds int) error {
	measure(ctx, 8, length, b.addTunnel) // warm up
	size, err := b.objectSize(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("Writers of load balancers of their own, through the server, with an embedded etcd.\nMedian of %d rounds of %s each, taken in turns; objects of about %d bytes.\n\n", rounds, length, size)
	w := tabwriter.NewWriter(os.Stdout, 2, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "writers\twrite\ta second\tmedian\tp99\tfailed\tof no ID\tof plain puts\t")
	for _, writers := range []int{1, 8, mostWriters} {
		ops := []struct {
			name string
			op   operation
		}{{"adds a tunnel (1 ID)", b.addTunnel}, {"no ID to assign", b.addInterfaces}, {"plain etcd put", b.put(strings.Repeat("x", size))}}
		results := make([][]result, len(ops))
		for range rounds {
			for i, o := range ops {
				results[i] = append(results[i], measure(ctx, writers, length, o.op))
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		without, plain := middle(results[1]), middle(results[2])
		for i, o := range ops {
			r := middle(results[i])
			fmt.Fprintf(w, "%d\t%s\t%.0f\t%s\t%s\t%d\t%.2f\t%.2f\t\n", writers, o.name, r.rate,
				r.median.Round(10*time.Microsecond), r.p99.Round(10*time.Microsecond), r.failures, r.rate/without.rate, r.rate/plain.rate)
		}
	}
	return w.Flush()
}
