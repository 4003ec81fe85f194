// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/pkg/node/internal/fakeplane"
	"github.com/acnodal/epic/pkg/node/proxies"
	"github.com/acnodal/epic/pkg/node/status"
	"github.com/acnodal/epic/pkg/node/underlay"
)

const (
	epicAddress   = "192.0.2.40"
	tenantAddress = "192.168.1.16"
	account       = "epic-a"
)

// plane is a data plane in memory.
type plane struct {
	*fakeplane.Plane
	dataplane.Observer
}

// kernel has one interface with the gateway's address.
type kernel struct{}

func (kernel) Links() ([]underlay.Link, error) {
	return []underlay.Link{{Index: 2, Name: "eth0", MTU: 1500}}, nil
}
func (kernel) Addresses() (map[netip.Addr]int, error) {
	return map[netip.Addr]int{netip.MustParseAddr(epicAddress): 2, netip.MustParseAddr(tenantAddress): 2}, nil
}
func (kernel) DefaultRoutes() ([]int, error) { return []int{2}, nil }
func (kernel) Route(netip.Addr) (int, netip.Addr, error) {
	return 2, netip.MustParseAddr(tenantAddress), nil
}
func (kernel) Watch(ctx context.Context, _ func()) error { <-ctx.Done(); return nil }

// network notes what the host's network should be.
type network struct {
	mu      sync.Mutex
	desired host.Desired
	// applied is called with what is applied, if it is not nil.
	applied func(host.Desired)
}

func (n *network) Apply(d host.Desired) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.desired = d
	if n.applied != nil {
		n.applied(d)
	}
	return 0, nil
}
func (n *network) Problems() []string                          { return nil }
func (n *network) Run(ctx context.Context, _ func(int, error)) { <-ctx.Done() }
func (n *network) get() host.Desired {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.desired
}

// pods are the proxies of the node.
type pods struct {
	mu      sync.Mutex
	list    []proxies.Interface
	changed chan struct{}
}

func (p *pods) List() []proxies.Interface {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.list)
}

func (p *pods) Run(ctx context.Context, changed func()) error {
	changed()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.changed:
			changed()
		}
	}
}

func (p *pods) set(list ...proxies.Interface) {
	p.mu.Lock()
	p.list = list
	p.mu.Unlock()
	p.changed <- struct{}{}
}

type rig struct {
	t       testing.TB
	server  *rest.Config
	client  versioned.Interface
	plane   *fakeplane.Plane
	network *network
	pods    *pods
	config  GatewayConfig
	stop    func()
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, plane: fakeplane.New(), network: &network{}, pods: &pods{changed: make(chan struct{}, 10)}}
	var err error
	r.server = testserver.StartTestServer(t).Config
	r.client, err = versioned.NewForConfig(r.server)
	r.must(nil, err)
	ctx, api := t.Context(), r.client.EpicV1()
	r.must(api.EPICs(epic.ConfigNamespace).Create(ctx, &epicv1.EPIC{ObjectMeta: metav1.ObjectMeta{Name: epic.ConfigName}}, metav1.CreateOptions{}))
	r.must(api.ServicePrefixes(epic.ConfigNamespace).Create(ctx, &epicv1.ServicePrefix{
		ObjectMeta: metav1.ObjectMeta{Name: "pool"},
		Spec:       epicv1.ServicePrefixSpec{PublicPool: &epicv1.AddressPool{Pool: "10.77.0.0/16", Subnet: "10.77.0.0/16", Aggregation: "/32"}},
	}, metav1.CreateOptions{}))
	r.must(api.LBServiceGroups(epic.ConfigNamespace).Create(ctx, &epicv1.LBServiceGroup{
		ObjectMeta: metav1.ObjectMeta{Name: "offered", Labels: map[string]string{epic.OwningServicePrefixLabel: "pool"}},
	}, metav1.CreateOptions{}))
	limit := int32(10000)
	r.must(api.Accounts(account).Create(ctx, &epicv1.Account{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: epicv1.AccountSpec{ProxyLimit: &limit}}, metav1.CreateOptions{}))
	free, err := net.ListenPacket("udp4", ":0")
	r.must(nil, err)
	port := netip.MustParseAddrPort(free.LocalAddr().String()).Port()
	r.must(nil, free.Close())
	r.config = GatewayConfig{Config: Config{
		Client: r.client, Plane: plane{r.plane, r.plane.Observer()}, Kernel: kernel{}, Nodes: []netip.Addr{netip.MustParseAddr(epicAddress)},
		Port: port, StateDir: t.TempDir(), Name: "node", Version: "v", StatusSocket: filepath.Join(t.TempDir(), "s"),
	}, Proxies: r.pods, Host: r.network}
	return r
}

func (r *rig) must(_ any, err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) run() {
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- RunGateway(ctx, r.config) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("the program ended with %v", err)
		}
	})
	r.t.Cleanup(r.stop)
}

func (r *rig) until(what string, ok func() error) {
	r.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: %v", what, err)
		}
	}
}

func (r *rig) balancer(name string) *epicv1.LoadBalancer {
	r.t.Helper()
	ctx, api := r.t.Context(), r.client.EpicV1()
	lb, err := api.LoadBalancers(account).Create(ctx, &epicv1.LoadBalancer{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       epicv1.LoadBalancerSpec{ServiceGroup: "offered", UpstreamClusters: []string{"c"}, PublicPorts: []epicv1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	r.must(lb, err)
	r.must(api.RemoteEndpoints(account).Create(ctx, &epicv1.RemoteEndpoint{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{epic.OwningLoadBalancerLabel: name}},
		Spec:       epicv1.RemoteEndpointSpec{Cluster: "c", Address: "10.0.0.1", NodeAddress: tenantAddress, Port: epicv1.EndpointPort{Port: 8080}},
	}, metav1.CreateOptions{}))
	return lb
}

// tunnel gives a balancer its tunnel, as the controller does.
func (r *rig) tunnel(name string) {
	r.t.Helper()
	body := fmt.Sprintf(`{"status":{"gue-tunnel-endpoints":{%q:{"epic-endpoints":{%q:{"epic-address":%q,"epic-port":{"port":%d,"protocol":"UDP"}}}}}}}`, tenantAddress, epicAddress, epicAddress, r.config.Port)
	r.must(r.client.EpicV1().LoadBalancers(account).Patch(r.t.Context(), name, types.MergePatchType, []byte(body), metav1.PatchOptions{}, "status"))
}

func (r *rig) pod(lb *epicv1.LoadBalancer, pod string, index int) proxies.Interface {
	return proxies.Interface{
		Kind: proxies.LoadBalancer, Namespace: lb.Namespace, Owner: lb.Name, Pod: pod, Index: index, Name: fmt.Sprintf("veth%d", index),
		PeerMAC: net.HardwareAddr{2, 0, 0, 0, 0, byte(index)}, Addresses: []netip.Addr{netip.MustParseAddr(lb.Spec.PublicAddress)},
	}
}

func (r *rig) interfaces(name string) map[string]epicv1.ProxyInterfaceInfo {
	r.t.Helper()
	lb, err := r.client.EpicV1().LoadBalancers(account).Get(r.t.Context(), name, metav1.GetOptions{})
	r.must(lb, err)
	return lb.Status.ProxyIfInfo
}

// hasInterfaces waits until the published interfaces are those, by pod and index.
func (r *rig) hasInterfaces(name string, want map[string]int32) {
	r.t.Helper()
	r.until("the published interfaces", func() error {
		got := r.interfaces(name)
		for pod, index := range want {
			if i := got[pod]; i.Index != index {
				return fmt.Errorf("%v, want %v", got, want)
			}
		}
		if len(got) != len(want) {
			return fmt.Errorf("%v, want %v", got, want)
		}
		return nil
	})
}

// A gateway publishes its proxies, programs tunnels for them, opens the host's
// network, sends heartbeats, repairs what is damaged, and cleans up.
func TestGateway(t *testing.T) {
	r := newRig(t)
	lb := r.balancer("web")
	r.run()
	r.pods.set(r.pod(lb, "web-1", 7), r.pod(lb, "web-2", 8))
	r.hasInterfaces("web", map[string]int32{"web-1": 7, "web-2": 8})
	if i := r.interfaces("web")["web-1"]; i.EPICNodeAddress != epicAddress || i.EPICPort.Port != int32(r.config.Port) || i.Name != "veth7" {
		t.Errorf("published %+v", i)
	}
	r.tunnel("web")
	r.until("the tunnel with its services", func() error {
		tunnels, _ := r.plane.Tunnels().List()
		services, _ := r.plane.Services().List()
		if len(tunnels) != 1 || len(services) != 2 || tunnels[0].MTU != 1464 || tunnels[0].Local.Port() != r.config.Port {
			return fmt.Errorf("%+v, %+v", tunnels, services)
		}
		return nil
	})
	r.until("the host's network", func() error {
		d := r.network.get()
		if len(d.Bridges) != 1 || len(d.Addresses) != 2 || d.Addresses[0].Announce.Bits() != 32 || len(d.Openings) != 1 || d.Openings[0].Port != 80 {
			return fmt.Errorf("%+v", d)
		}
		return nil
	})
	r.until("a sign of life", func() error {
		o, err := r.client.EpicV1().GatewayNodes(epic.ConfigNamespace).Get(t.Context(), epicAddress, metav1.GetOptions{})
		if err != nil {
			return err
		}
		// No client node answers.
		if s := o.Status; s.NodeName != "node" || s.HeartbeatTime.IsZero() || s.TunnelsUp != 0 || s.TunnelStates == nil || len(s.TunnelStates.Up) > 0 ||
			int(s.TunnelsDown) != len(s.DownTunnels) || s.Tunnels != s.TunnelsDown || s.Tunnels == 0 {
			err = fmt.Errorf("%+v", o.Status)
		}
		return err
	})

	// Another writer damages the node's entries, and makes one for a pod that does not
	// run; another node's entry is not ours to touch.
	damage, err := json.Marshal(map[string]any{"status": map[string]any{"proxy-if-info": map[string]any{
		"web-1": nil, "web-2": map[string]any{"index": 99}, "ghost": map[string]any{"epic-node-address": epicAddress, "index": 5, "name": "x"},
		"other": map[string]any{"epic-node-address": "192.0.2.41", "index": 6, "name": "y"},
	}}})
	r.must(nil, err)
	r.must(r.client.EpicV1().LoadBalancers(account).Patch(t.Context(), "web", types.MergePatchType, damage, metav1.PatchOptions{}, "status"))
	r.hasInterfaces("web", map[string]int32{"web-1": 7, "web-2": 8, "other": 6})

	// A pod goes while the program is away; so does an object.
	gone := r.balancer("gone")
	r.pods.set(r.pod(lb, "web-1", 7), r.pod(lb, "web-2", 8), r.pod(gone, "gone-1", 9))
	r.hasInterfaces("gone", map[string]int32{"gone-1": 9})
	r.tunnel("gone")
	r.until("two tunnels", func() error {
		if tunnels, _ := r.plane.Tunnels().List(); len(tunnels) != 2 {
			return fmt.Errorf("%v", tunnels)
		}
		return nil
	})
	r.stop()
	repairs := r.plane.Repairs()
	r.pods.list = []proxies.Interface{r.pod(lb, "web-1", 7)}
	r.must(r.client.EpicV1().LoadBalancers(account).Patch(t.Context(), "gone", types.MergePatchType, []byte(`{"spec":{"upstream-clusters":null}}`), metav1.PatchOptions{}))
	r.must(nil, r.client.EpicV1().LoadBalancers(account).Delete(t.Context(), "gone", metav1.DeleteOptions{}))
	r.plane.Log()
	r.run()
	r.hasInterfaces("web", map[string]int32{"web-1": 7, "other": 6})
	r.until("the object is forgotten, and leftovers go", func() error {
		report, err := status.NewClient(r.config.StatusSocket).Report(t.Context())
		if err != nil {
			return err
		}
		if len(report.Tunnels) != 1 || report.Source != "api" || r.plane.Repairs() == repairs {
			return fmt.Errorf("%d tunnels, source %s, %d repairs", len(report.Tunnels), report.Source, r.plane.Repairs())
		}
		return nil
	})
	// The tunnel that stayed was never removed.
	for _, call := range r.plane.Log() {
		if strings.HasPrefix(call, "tunnels.delete 1") {
			t.Errorf("%s", call)
		}
	}
}

// slowly is the API for a program that gets no answer about some kinds before they are let go.
func (r *rig) slowly(kinds ...string) (client versioned.Interface, let func()) {
	r.t.Helper()
	wait := make(chan struct{})
	config := rest.CopyConfig(r.server)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			if slices.Contains(kinds, path.Base(request.URL.Path)) {
				select {
				case <-wait:
				case <-request.Context().Done():
				}
			}
			return next.RoundTrip(request)
		})
	})
	client, err := versioned.NewForConfig(config)
	r.must(client, err)
	let = sync.OnceFunc(func() { close(wait) })
	r.t.Cleanup(let)
	return client, let
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

// A program that was killed before it wrote the last changes to disk starts again, and takes
// nothing from the host's network by which visitors come in, whatever the API reports first.
func TestKilledBeforeItSaved(t *testing.T) {
	for _, last := range [][]string{{"loadbalancers", "remoteendpoints", "lbservicegroups"}, {"serviceprefixes", "epics"}, {"loadbalancers", "serviceprefixes"}} {
		t.Run(strings.Join(last, " and ")+" last", func(t *testing.T) {
			r := newRig(t)
			lb := r.balancer("web")
			r.pods.list = []proxies.Interface{r.pod(lb, "web-1", 7)}
			complete := func(d host.Desired) bool {
				return len(d.Bridges) == 1 && len(d.Addresses) == 1 && len(d.Openings) == 1
			}
			r.run()
			whole := func() {
				t.Helper()
				r.until("the host's network", func() error {
					if d := r.network.get(); !complete(d) {
						return fmt.Errorf("%+v", d)
					}
					return nil
				})
			}
			whole()
			r.until("the proxy is programmed", func() error {
				if list, err := r.plane.Proxies().List(); err != nil || len(list) != 1 {
					return fmt.Errorf("%v: %w", list, err)
				}
				return nil
			})
			r.stop()
			r.must(nil, os.RemoveAll(statePath(r.config.StateDir)))
			r.network.mu.Lock()
			applies := 0
			r.network.applied = func(d host.Desired) {
				if applies++; !complete(d) {
					t.Errorf("it applies %+v", d)
				}
			}
			r.network.mu.Unlock()
			var let func()
			r.config.Client, let = r.slowly(last...)
			r.run()
			// Everything that is not held back is told, and would be applied by now.
			time.Sleep(300 * time.Millisecond)
			let()
			r.until("it is applied again", func() error {
				r.network.mu.Lock()
				defer r.network.mu.Unlock()
				if applies == 0 {
					return errors.New("not yet")
				}
				return nil
			})
			whole()
		})
	}
}

// After a reboot, nothing of the host's network is there to be lost, and the last state on
// disk is applied at once, though the API is away.
func TestRebootWithoutAPI(t *testing.T) {
	r := newRig(t)
	lb := r.balancer("web")
	r.pods.list = []proxies.Interface{r.pod(lb, "web-1", 7)}
	r.run()
	applied := func() error {
		if d := r.network.get(); len(d.Addresses) != 1 || len(d.Openings) != 1 {
			return fmt.Errorf("%+v", d)
		}
		return nil
	}
	r.until("the host's network", applied)
	r.stop()
	r.network.mu.Lock()
	r.network.desired = host.Desired{}
	r.network.mu.Unlock()
	r.plane = fakeplane.New()
	r.config.Plane = plane{r.plane, r.plane.Observer()}
	r.config.Client, _ = r.slowly("loadbalancers", "gwproxies", "remoteendpoints", "serviceprefixes", "epics", "lbservicegroups")
	begin := time.Now()
	r.run()
	r.until("the host's network after a reboot", applied)
	if took := time.Since(begin); took > withoutAPI/2 {
		t.Errorf("that took %s", took)
	}
}

// Looking whether all is there costs a tenth of a processor at most, as long as it is
// not rarer than each 20 seconds.
func TestRepairPause(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		0: repairEvery, 200 * time.Millisecond: repairEvery, time.Second: 9 * time.Second, time.Minute: repairAtLatest,
	} {
		if got := repairPause(took); got != want {
			t.Errorf("after %s: %s, want %s", took, got, want)
		}
	}
}
