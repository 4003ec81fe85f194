// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	apiserver "github.com/acnodal/epic/cmd/apiserver/app"
	controller "github.com/acnodal/epic/cmd/controller/app"
	epicnode "github.com/acnodal/epic/cmd/node/app"
	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/node/proxies"
	"github.com/acnodal/epic/pkg/node/status"
	"github.com/acnodal/epic/test/netlab"
	"github.com/acnodal/epic/test/world"
)

// programEnv makes this test binary be one of the programs.
const programEnv = "EPIC_TEST_PROGRAM"

// patience is how long anything may take before it counts as failed.
const patience = time.Minute

func TestMain(m *testing.M) {
	main := map[string]func([]string, io.Writer, io.Writer) int{
		"epic-apiserver": apiserver.Main, "epic-controller": controller.Main, "epic-node": epicnode.Main,
	}[os.Getenv(programEnv)]
	if main != nil {
		collectOnSignal()
		os.Exit(main(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// site is the small Internet with all programs.
type site struct {
	// t is the present part's, root that of the test for which the site lasts.
	t, root testing.TB
	dir     string
	server  *testserver.TestServer
	client  versioned.Interface
	world   *world.World
	// outer are the addresses at which tunnels end.
	outer outer

	gateway *end
	tenants []*end
	// described are the proxies on the gateway.
	described []proxies.DescribedProxy
}

// outer are the addresses of the two ends of every tunnel.
type outer struct{ gateway, node string }

var (
	outer4 = outer{world.GatewayAddress, world.NodeAddress}
	outer6 = outer{world.GatewayAddress6, world.NodeAddress6}
)

// The groups that tenants may use: the addresses of one are IPv4 ones, of the other
// IPv6 ones, next to which a gateway proxy gets one of IPv4.
const (
	group4 = "offered"
	group6 = "offered6"
)

// end is a node with its program.
type end struct {
	s       *site
	name    string
	host    *netlab.Namespace
	args    []string
	socket  string
	pins    string
	process *world.Process
	// relay ends the way to the API.
	relay context.CancelFunc
}

func account(tenant int) string { return fmt.Sprintf("t%d", tenant+1) }

func namespace(tenant int) string { return epic.AccountNamespace(account(tenant)) }

// newSite starts everything but the proxies.
func newSite(t testing.TB, tenants int) *site {
	t.Helper()
	return newSiteOver(t, tenants, outer4)
}

// newSiteOver does it with tunnels between the given addresses.
func newSiteOver(t testing.TB, tenants int, over outer) *site {
	t.Helper()
	lab := netlab.Test(t)
	s := &site{t: t, root: t, server: testserver.StartTestServer(t), outer: over}
	var err error
	s.dir, err = os.MkdirTemp("", "epic-node-") //nolint:usetesting // a socket's path must be short
	s.must(err)
	t.Cleanup(func() { os.RemoveAll(s.dir) })
	s.client, err = versioned.NewForConfig(s.server.Config)
	s.must(err)
	s.world, err = world.New(lab, tenants)
	s.must(err)
	s.platform(tenants)
	s.describe()

	s.start(nil, "controller", "epic-controller", "--kubeconfig="+s.server.Kubeconfig, "--leader-elect=false", "--bind-address=")
	s.gateway = s.end("gateway", s.world.Gateway, over.gateway, "", "gateway", "--proxies-file="+s.path("proxies.yaml"))
	for i, tenant := range s.world.Tenants {
		s.tenants = append(s.tenants, s.end(account(i), tenant.Node, over.node, account(i), "client", "--namespace="+namespace(i), "--ping-interval=2s"))
	}
	// It comes before the programs end.
	t.Cleanup(func() {
		if t.Failed() {
			s.printLogs()
		}
	})
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) printLogs() {
	for _, e := range append(s.tenants, s.gateway) {
		if e == nil {
			continue
		}
		var b strings.Builder
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		r, err := status.NewClient(e.socket).Report(ctx)
		cancel()
		if err == nil {
			err = status.Print(&b, &r)
		}
		s.t.Logf("%s says (%v):\n%s", e.name, err, b.String())
	}
	logs, _ := filepath.Glob(s.path("*.log"))
	for _, file := range logs {
		b, _ := os.ReadFile(file)
		if len(b) > 8000 {
			b = b[len(b)-8000:]
		}
		s.t.Logf("%s:\n%s", filepath.Base(file), b)
	}
}

// platform makes the platform team's objects and the accounts.
func (s *site) platform(tenants int) {
	s.t.Helper()
	ctx, api := s.t.Context(), s.client.EpicV1()
	check := func(_ any, err error) { s.t.Helper(); s.must(err) }
	check(api.EPICs(epic.ConfigNamespace).Create(ctx, &epicv1.EPIC{ObjectMeta: metav1.ObjectMeta{Name: epic.ConfigName}}, metav1.CreateOptions{}))
	check(api.ServicePrefixes(epic.ConfigNamespace).Create(ctx, &epicv1.ServicePrefix{
		ObjectMeta: metav1.ObjectMeta{Name: "pool"},
		Spec: epicv1.ServicePrefixSpec{PublicPool: &epicv1.AddressPool{
			Pool: "192.168.77.2-192.168.77.127", Subnet: world.PublicPrefix, Aggregation: "/32", MultusBridge: world.Bridge,
		}},
	}, metav1.CreateOptions{}))
	check(api.ServicePrefixes(epic.ConfigNamespace).Create(ctx, &epicv1.ServicePrefix{
		ObjectMeta: metav1.ObjectMeta{Name: "pool6"},
		Spec: epicv1.ServicePrefixSpec{
			PublicPool: &epicv1.AddressPool{Pool: "2001:db8:77::2-2001:db8:77::ff", Subnet: world.PublicPrefix6, Aggregation: "/128", MultusBridge: world.Bridge},
			AltPool:    &epicv1.AddressPool{Pool: "192.168.77.128-192.168.77.254", Subnet: world.PublicPrefix, Aggregation: "/32", MultusBridge: world.Bridge},
		},
	}, metav1.CreateOptions{}))
	for group, pool := range map[string]string{group4: "pool", group6: "pool6"} {
		check(api.LBServiceGroups(epic.ConfigNamespace).Create(ctx, &epicv1.LBServiceGroup{
			ObjectMeta: metav1.ObjectMeta{Name: group, Labels: map[string]string{epic.OwningServicePrefixLabel: pool}},
		}, metav1.CreateOptions{}))
	}
	for i := range tenants {
		check(api.Accounts(namespace(i)).Create(ctx, &epicv1.Account{ObjectMeta: metav1.ObjectMeta{Name: account(i)}}, metav1.CreateOptions{}))
	}
}

func (s *site) start(host *netlab.Namespace, name, program string, args ...string) *world.Process {
	s.t.Helper()
	p, err := world.Start(host, s.path(name+".log"), "/usr/bin/env", append([]string{programEnv + "=" + program, self(s.t)}, args...)...)
	s.must(err)
	s.root.Cleanup(func() {
		select {
		case <-p.Exited():
		default:
			if err := p.Stop(); err != nil {
				s.root.Errorf("%s: %v", name, err)
			}
		}
	})
	return p
}

func self(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// end prepares and starts a node program.
func (s *site) end(name string, host *netlab.Namespace, address, account, role string, args ...string) *end {
	s.t.Helper()
	kubeconfig := s.path(name + ".kubeconfig")
	credentials := []string{"node-kubeconfig", address, "--data-dir=" + s.server.DataDir, "--server=" + s.server.Config.Host, "--file=" + kubeconfig}
	if account != "" {
		credentials = append(credentials, "--account="+account)
	}
	cmd := exec.CommandContext(s.t.Context(), self(s.t), credentials...)
	cmd.Env = append(os.Environ(), programEnv+"=epic-apiserver")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
	bpffs := s.path(name + ".bpf")
	s.must(os.Mkdir(bpffs, 0o700))
	s.must(unix.Mount("bpf", bpffs, "bpf", 0, ""))
	s.t.Cleanup(func() {
		if err := unix.Unmount(bpffs, unix.MNT_DETACH); err != nil {
			s.t.Error(err)
		}
	})
	e := &end{s: s, name: name, host: host, socket: s.path(name + ".sock"), pins: filepath.Join(bpffs, "epic")}
	e.args = append([]string{
		role, "--kubeconfig=" + kubeconfig, "--node-address=" + address, "--pin-path=" + e.pins,
		"--state-dir=" + s.path(name+".state"), "--status-socket=" + e.socket,
	}, args...)
	e.connect()
	e.run()
	return e
}

// connect opens the way to the API.
func (e *end) connect() {
	e.s.t.Helper()
	server, err := url.Parse(e.s.server.Config.Host)
	e.s.must(err)
	var ctx context.Context
	ctx, e.relay = context.WithCancel(e.s.root.Context())
	e.s.must(world.Relay(ctx, e.host, server.Host))
}

func (e *end) run(more ...string) {
	e.s.t.Helper()
	e.process = e.s.start(e.host, e.name, "epic-node", append(e.args, more...)...)
}

func (e *end) report() (status.Report, error) {
	ctx, cancel := context.WithTimeout(e.s.t.Context(), 5*time.Second)
	defer cancel()
	return status.NewClient(e.socket).Report(ctx)
}

func (e *end) mustReport() status.Report {
	e.s.t.Helper()
	r, err := e.report()
	e.s.must(err)
	return r
}

// part runs a test of its own on the site, which reports to it in the meantime.
func (s *site) part(t *testing.T, name string, run func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		outer := s.t
		s.t = t
		defer func() { s.t = outer }()
		run(t)
	})
}

// ask sends an HTTP request to a node program.
func (e *end) ask(path string) (string, error) {
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DialContext: e.host.Dial, DisableKeepAlives: true}}
	return get(client, "http://127.0.0.1:9606"+path)
}

// get returns the body of a response, or an error that contains it.
func get(client *http.Client, url string) (string, error) {
	answer, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, b)
	}
	return string(b), err
}

// ready waits until a node program has done what there is to do.
func (e *end) ready() {
	e.s.t.Helper()
	e.s.until(e.name+" is ready", func() error {
		_, err := e.ask("/readyz")
		return err
	})
}

// metric is the value of a metric, which is named with its labels.
func (e *end) metric(name string) float64 {
	e.s.t.Helper()
	text, err := e.ask("/metrics")
	e.s.must(err)
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			e.s.must(err)
			return n
		}
	}
	e.s.t.Fatalf("%s has no metric %s", e.name, name)
	return 0
}

func (s *site) until(what string, ok func() error) {
	s.t.Helper()
	var err error
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if err = ok(); err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: not within %s: %v", what, patience, err)
		}
	}
}

// describe writes the file of the gateway's proxies.
func (s *site) describe() {
	s.t.Helper()
	b, err := yaml.Marshal(proxies.Description{Proxies: s.described})
	s.must(err)
	s.must(os.WriteFile(s.path("proxies.new"), b, 0o600))
	s.must(os.Rename(s.path("proxies.new"), s.path("proxies.yaml")))
}

// service is a load balancer of a tenant with its proxy and an endpoint.
type service struct {
	s      *site
	tenant int
	name   string
	lb     *epicv1.LoadBalancer
	proxy  *world.Proxy
	public string
	// pod is the address of the tenant's pod, of the family of the public address.
	pod       string
	stopProxy context.CancelFunc
}

// service makes a load balancer with a proxy that passes requests to a port of the
// tenant's pod, where nothing listens yet.
func (s *site) service(tenant int, name string, port int32) *service {
	s.t.Helper()
	return s.serviceOf(group4, tenant, name, port)
}

// serviceOf makes one with an address of a group's.
func (s *site) serviceOf(group string, tenant int, name string, port int32) *service {
	s.t.Helper()
	lb, err := s.client.EpicV1().LoadBalancers(namespace(tenant)).Create(s.t.Context(), &epicv1.LoadBalancer{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: epicv1.LoadBalancerSpec{
			ServiceGroup: group, UpstreamClusters: []string{"c"},
			PublicPorts: []epicv1.ServicePort{{Port: 80, Protocol: "TCP"}},
		},
	}, metav1.CreateOptions{})
	s.must(err)
	v := &service{s: s, tenant: tenant, name: name, lb: lb, public: net.JoinHostPort(lb.Spec.PublicAddress, "80"), pod: world.PodAddress}
	if group == group6 {
		v.pod = world.PodAddress6
	}
	v.proxy, err = s.world.Proxy(proxies.LoadBalancer, lb.Namespace, name, fmt.Sprintf("p%d-%s", tenant+1, name), netip.MustParseAddr(lb.Spec.PublicAddress))
	s.must(err)
	s.describeProxy(v.proxy)
	var ctx context.Context
	ctx, v.stopProxy = context.WithCancel(s.t.Context())
	s.t.Cleanup(v.stopProxy)
	s.must(world.ServeHTTP(ctx, v.proxy.Namespace, v.public, world.Forwarder(v.proxy.Namespace, v.at(port))))
	v.endpoint("one", port, corev1.ProtocolTCP)
	return v
}

// describeProxy tells the gateway's program of a proxy, and the server where it
// runs.
func (s *site) describeProxy(p *world.Proxy) {
	s.t.Helper()
	s.must(p.Place(s.t.Context(), s.client, s.outer.gateway))
	i := p.Interface
	d := proxies.DescribedProxy{Kind: i.Kind, Namespace: i.Namespace, Owner: i.Owner, Pod: i.Pod, Interface: i.Name, MAC: i.PeerMAC.String()}
	for _, a := range i.Addresses {
		d.Addresses = append(d.Addresses, a.String())
	}
	s.described = append(s.described, d)
	s.describe()
}

// at is the pod's address with a port.
func (v *service) at(port int32) string { return net.JoinHostPort(v.pod, strconv.Itoa(int(port))) }

func (v *service) endpoint(name string, port int32, protocol corev1.Protocol) {
	v.s.t.Helper()
	_, err := v.s.client.EpicV1().RemoteEndpoints(v.lb.Namespace).Create(v.s.t.Context(), &epicv1.RemoteEndpoint{
		ObjectMeta: metav1.ObjectMeta{Name: v.name + "-" + name, Labels: map[string]string{epic.OwningLoadBalancerLabel: v.name}},
		Spec: epicv1.RemoteEndpointSpec{
			Cluster: "c", Address: v.pod, NodeAddress: v.s.outer.node, Port: epicv1.EndpointPort{Port: port, Protocol: protocol},
		},
	}, metav1.CreateOptions{})
	v.s.must(err)
}

// delete deletes the load balancer with its endpoints and takes its proxy away.
func (v *service) delete() {
	v.s.t.Helper()
	v.s.must(v.remove())
	v.end()
}

// remove deletes the load balancer with its endpoints.
func (v *service) remove() error {
	ctx, lbs := v.s.t.Context(), v.s.client.EpicV1().LoadBalancers(v.lb.Namespace)
	if _, err := lbs.Patch(ctx, v.name, types.MergePatchType, []byte(`{"spec":{"upstream-clusters":null}}`), metav1.PatchOptions{}); err != nil {
		return err
	}
	return lbs.Delete(ctx, v.name, metav1.DeleteOptions{})
}

// end takes the proxy away.
func (v *service) end() {
	v.s.t.Helper()
	v.stopProxy()
	for i, d := range v.s.described {
		if d.Namespace == v.lb.Namespace && d.Owner == v.name {
			v.s.described = append(v.s.described[:i:i], v.s.described[i+1:]...)
			break
		}
	}
	v.s.describe()
	link, err := v.s.world.Gateway.LinkByName(v.proxy.Interface.Name)
	v.s.must(err)
	v.s.must(v.s.world.Gateway.LinkDel(link))
}

// podServes has a tenant's pod answer at a port with a text and the address that it
// sees.
func (s *site) podServes(tenant int, port int, text string) {
	s.t.Helper()
	s.must(world.ServeHTTP(s.t.Context(), s.world.Tenants[tenant].Pod, fmt.Sprintf(":%d", port), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintf(w, "%s to %s", text, host)
	})))
}

// get is a visitor's request.
func (v *service) get() (string, error) { return v.s.ask(v.public) }

// ask sends a visitor's request to a public address and port.
func (s *site) ask(public string) (string, error) {
	client := world.Client(s.world.Visitor)
	client.Timeout = 2 * time.Second
	return get(client, "http://"+public+"/")
}

// answers waits until a visitor gets the response of the right pod.
func (v *service) answers(text string) {
	v.s.t.Helper()
	v.s.until("a request to "+v.public, func() error {
		got, err := v.get()
		if err != nil {
			return err
		}
		if want := text + " to " + v.lb.Spec.PublicAddress; got != want {
			return fmt.Errorf("answer %q, want %q", got, want)
		}
		return nil
	})
}

// tunnel returns the tunnel of a service at one end.
func (v *service) tunnel(e *end) (status.Tunnel, error) { return e.tunnel(v.lb.Namespace, v.name) }

// tunnel returns the tunnel of an object at this end.
func (e *end) tunnel(namespace, object string) (status.Tunnel, error) {
	r, err := e.report()
	if err != nil {
		return status.Tunnel{}, err
	}
	for i := range r.Tunnels {
		if r.Tunnels[i].Namespace == namespace && r.Tunnels[i].Object == object {
			return r.Tunnels[i], nil
		}
	}
	b, _ := json.Marshal(r.Problems)
	return status.Tunnel{}, fmt.Errorf("%s has no tunnel of %s/%s; problems: %s", e.name, namespace, object, strings.TrimSpace(string(b)))
}
