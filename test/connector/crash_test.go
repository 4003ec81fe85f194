// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
	"github.com/acnodal/epic/test/tools/process"
	"github.com/acnodal/epic/test/tools/published"
)

// settle is how long the two sides may take to agree once all is well again.
const settle = 2 * time.Minute

// duration is how long faults last: 15 s unless EPIC_CRASH_SECONDS is set.
func duration(t *testing.T) time.Duration {
	s := os.Getenv("EPIC_CRASH_SECONDS")
	if s == "" {
		return 15 * time.Second
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("EPIC_CRASH_SECONDS: %v", err)
	}
	return time.Duration(n) * time.Second
}

// TestNothingIsLost changes a client cluster at random while connectors are killed and
// paused, more than one works at once, and either cluster's API is away. Afterwards both
// sides must agree, no address may have been released that was asked for, and nothing of
// another owner may have been touched.
func TestNothingIsLost(t *testing.T) {
	w := clusters(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	namespace := w.account(t, "crash")
	if err := w.tenants.namespace(t.Context(), churned...); err != nil {
		t.Fatal(err)
	}
	foreign := w.foreign(t, namespace)
	etcd := w.etcdClient(t)
	from := revision(t, etcd)

	short := []string{"--leader-elect-lease-duration=3s", "--leader-elect-renew-deadline=2s", "--leader-elect-retry-period=500ms"}
	replicas := []*replica{w.newReplica(t, "crash", "paris", "paris-a", short...), w.newReplica(t, "crash", "paris", "paris-b", short...)}
	for _, r := range replicas {
		w.started(t, r)
	}
	certificates, done := newCertificates(t, 4), &atomic.Int64{}
	newChurner := func(stream uint64) *churner {
		return &churner{client: w.tenants.admin, rng: rand.New(rand.NewPCG(seed, stream)), certificates: certificates, done: done}
	}
	newChurner(0).fill(t.Context(), t)
	o := w.site(namespace, "paris")
	eventually(t, settle, "before there was trouble", func() error {
		revive(replicas)
		return o.Compare(t.Context())
	})

	ctx, stop := context.WithCancel(context.Background())
	var working sync.WaitGroup
	for i := range uint64(3) {
		working.Go(func() { newChurner(i + 1).run(ctx) })
	}
	trouble := &trouble{world: w, replicas: replicas, third: w.newReplica(t, "crash", "paris", "paris-c", "--leader-elect=false"), rng: rand.New(rand.NewPCG(seed, 99))}
	trouble.make(t, duration(t))
	stop()
	working.Wait()
	t.Logf("%d changes", done.Load())
	eventually(t, settle, "afterwards", func() error {
		revive(replicas)
		return o.Compare(t.Context())
	})
	(&judge{t: t, namespace: namespace, foreign: foreign, from: from}).verdict(etcd)

	// Everything goes while no connector runs.
	for _, r := range replicas {
		r.Kill()
	}
	if err := w.clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := replicas[0].Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, settle, "in the end", func() error {
		revive(replicas[:1])
		if err := o.Compare(t.Context()); err != nil {
			return err
		}
		left, err := w.remote(t.Context(), namespace)
		if err == nil && len(left) != len(foreign) {
			err = fmt.Errorf("%d objects are left in EPIC, and %d are of others", len(left), len(foreign))
		}
		return err
	})
	(&judge{t: t, namespace: namespace, foreign: foreign, from: from}).verdict(etcd)
}

// clear deletes what churners made.
func (w *world) clear(ctx context.Context) error {
	for _, namespace := range churned {
		all, err := published.List(ctx, w.tenants.admin, published.LocalLists()[1:12], client.InNamespace(namespace))
		if err != nil {
			return err
		}
		slices, err := published.List(ctx, w.tenants.admin, published.LocalLists()[15:], client.InNamespace(namespace))
		if err != nil {
			return err
		}
		for _, o := range append(all, slices...) {
			if err := w.tenants.admin.Delete(ctx, o); client.IgnoreNotFound(err) != nil {
				return err
			}
		}
	}
	return nil
}

// foreign creates objects of other owners in an account, and returns their keys in etcd:
// those of another cluster, which has the same names in its namespaces, those of a cluster
// that was given the same ID by mistake, and those that users created manually.
func (w *world) foreign(t *testing.T, namespace string) map[string]bool {
	t.Helper()
	keys := map[string]bool{}
	for _, owner := range []string{"rome", "paris", ""} {
		meta := func(name string) metav1.ObjectMeta {
			m := metav1.ObjectMeta{Namespace: namespace, Name: name + "-of-" + owner + "x", Labels: map[string]string{}}
			if owner != "" {
				m.Labels[epic.OwningClusterLabel] = owner
				m.Annotations = map[string]string{publish.ClusterUIDKey: "the uid of " + owner}
			}
			return m
		}
		ref := func(name string) epicv1.ClientRef {
			return epicv1.ClientRef{ClusterID: owner, Namespace: churned[0], Name: name, UID: "uid-" + owner + name}
		}
		proxy := &epicv1.GWProxy{ObjectMeta: meta("proxy")}
		proxy.Labels[epic.OwningLBServiceGroupLabel] = "web"
		proxy.Spec.ClientRef, proxy.Spec.PublicPorts = ref("gateway0"), []epicv1.ServicePort{{Port: 80}}
		route := &epicv1.GWRoute{ObjectMeta: meta("route")}
		route.Spec.ClientRef = ref("route4")
		route.Spec.HTTP = &epicv1.HTTPRouteSpec{}
		route.Spec.HTTP.ParentRefs = []gatewayv1.ParentReference{{Name: gatewayv1.ObjectName(proxy.Name)}}
		slice := &epicv1.GWEndpointSlice{ObjectMeta: meta("slice")}
		slice.Spec.ClientRef, slice.Spec.ParentRef = ref("service0-a"), ref("service0")
		slice.Spec.AddressType, slice.Spec.NodeAddresses = "IPv4", map[string]string{}
		lb := &epicv1.LoadBalancer{ObjectMeta: meta("lb")}
		lb.Spec.ServiceGroup, lb.Spec.UpstreamClusters, lb.Spec.PublicPorts = "web", []string{"rome"}, []epicv1.ServicePort{{Port: 80}}
		metav1.SetMetaDataAnnotation(&lb.ObjectMeta, publish.ClientNamespaceAnnotation, churned[0])
		metav1.SetMetaDataAnnotation(&lb.ObjectMeta, publish.ClientNameAnnotation, "balanced0")
		endpoint := &epicv1.RemoteEndpoint{ObjectMeta: meta("endpoint")}
		endpoint.Labels[epic.OwningLoadBalancerLabel] = lb.Name
		endpoint.Spec = epicv1.RemoteEndpointSpec{Cluster: "rome", Address: "10.1.0.1", Port: epicv1.EndpointPort{Port: 8080}}
		for _, o := range []client.Object{proxy, route, slice, lb, endpoint} {
			if err := w.gateway.admin.Create(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			plural := strings.ToLower(published.Kind(o)) + "s"
			if published.Kind(o) == "GWProxy" {
				plural = "gwproxies"
			}
			keys[epicFolder+plural+"/"+namespace+"/"+o.GetName()] = true
		}
	}
	return keys
}

// trouble disturbs connectors and clusters.
type trouble struct {
	world    *world
	replicas []*replica
	// third does not take part in leader election.
	third *replica
	rng   *rand.Rand
}

// make makes trouble of every kind, in a random order, for a while.
func (d *trouble) make(t *testing.T, length time.Duration) {
	t.Helper()
	w := d.world
	kinds := map[string]func() error{
		"a connector is killed":                    func() error { return d.kill(d.replica().Process, nil) },
		"a connector is paused longer than it may": func() error { return d.pause(d.replica().Process, 4*time.Second) },
		"EPIC is paused":                           func() error { return d.pause(w.epic, 2*time.Second) },
		"EPIC is killed":                           func() error { return d.kill(w.epic, w.epicReady) },
		"the client cluster's API is paused":       func() error { return d.pause(w.tenants.server, 2*time.Second) },
		"the client cluster's API is killed":       func() error { return d.kill(w.tenants.server, w.tenants.ready) },
		"the lease has times of another clock":     d.skew,
		"one more connector works":                 d.another,
		"a Gateway is deleted while EPIC is away":  d.deleteAway,
	}
	end, names, made := time.Now().Add(length), []string{}, 0
	for name := range kinds {
		names = append(names, name)
	}
	for first := true; first || time.Now().Before(end); first = false {
		d.rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			if !first && time.Now().After(end) {
				break
			}
			if err := kinds[name](); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			made++
			time.Sleep(time.Duration(d.rng.IntN(500)) * time.Millisecond)
		}
	}
	d.third.Kill()
	for _, r := range d.replicas {
		if !r.Running() {
			t.Logf("%s ended by itself: %s", r.Name, r.Tail(500))
		}
		r.Kill()
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("there was trouble %d times", made)
}

// revive starts connectors that ended, because they lost the lease or either cluster, as a
// kubelet does.
func revive(replicas []*replica) {
	for _, r := range replicas {
		if !r.Running() {
			r.Kill()
			_ = r.Start()
		}
	}
}

// replica is one of the two that take part in leader election.
func (d *trouble) replica() *replica {
	revive(d.replicas)
	return d.replicas[d.rng.IntN(len(d.replicas))]
}

func (d *trouble) kill(p *process.Process, ready func() error) error {
	p.Kill()
	time.Sleep(time.Duration(d.rng.IntN(500)) * time.Millisecond)
	if err := p.Start(); err != nil || ready == nil {
		return err
	}
	return d.world.await(p, ready)
}

func (d *trouble) pause(p *process.Process, length time.Duration) error {
	p.Signal(syscall.SIGSTOP)
	time.Sleep(length)
	p.Signal(syscall.SIGCONT)
	return nil
}

// skew leaves a lease behind as a holder with a clock that is wrong by an hour does.
func (d *trouble) skew() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		leases := d.world.tenants.core.CoordinationV1().Leases(system)
		lease, err := leases.Get(ctx, "epic-connector", metav1.GetOptions{})
		if err == nil {
			ahead := metav1.NewMicroTime(time.Now().Add(time.Duration(2*d.rng.IntN(2)-1) * time.Hour))
			lease.Spec = coordinationv1.LeaseSpec{HolderIdentity: ptr.To("a ghost"), LeaseDurationSeconds: ptr.To[int32](3), AcquireTime: &ahead, RenewTime: &ahead}
			_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// another runs a connector without leader election for some time.
func (d *trouble) another() error {
	if d.third.Running() {
		d.third.Kill()
		return nil
	}
	d.third.Kill()
	return d.third.Start()
}

// deleteAway deletes a Gateway while EPIC is away.
func (d *trouble) deleteAway() error {
	d.world.epic.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var all gatewayv1.GatewayList
	err := d.world.tenants.admin.List(ctx, &all, client.InNamespace(churned[0]))
	if err == nil && len(all.Items) > 0 {
		err = client.IgnoreNotFound(d.world.tenants.admin.Delete(ctx, &all.Items[0]))
	}
	return errors.Join(err, d.kill(d.world.epic, d.world.epicReady))
}
