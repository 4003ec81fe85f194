// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	controller "github.com/acnodal/epic/cmd/controller/app"
	operator "github.com/acnodal/epic/cmd/operator/app"
	proxy "github.com/acnodal/epic/cmd/proxy/app"
	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
	"github.com/acnodal/epic/pkg/envoy/envoytest"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/operator/processes"
	"github.com/acnodal/epic/test/tools/freeport"
)

// patience is how long anything may take before it counts as failed.
const patience = time.Minute

// programs are what this test binary is when it is started by another name.
var programs = map[string]func([]string, io.Writer, io.Writer) int{
	"epic-controller": controller.Main, "epic-operator": operator.Main, "epic-proxy": proxy.Main,
}

func TestMain(m *testing.M) {
	if main := programs[filepath.Base(os.Args[0])]; main != nil {
		os.Exit(main(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

const (
	account = "acme"
	group   = "edge"
	// The loopback addresses used as public ones.
	pool, subnet = "10.231.0.2-10.231.31.254", "10.231.0.0/16"
)

var namespace = epic.AccountNamespace(account)

// site is a gateway without a separate network.
type site struct {
	testing.TB
	dir    string
	server *testserver.TestServer
	client versioned.Interface
	// metrics is where the operator serves its metrics.
	metrics string
	stop    func()
}

// newSite starts everything. The operator gets additional flags.
func newSite(t testing.TB, flags ...string) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "epic-op-") //nolint:usetesting // Paths of unix sockets must be short.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &site{TB: t, dir: dir, server: testserver.StartTestServer(t), metrics: fmt.Sprintf("127.0.0.1:%d", freeport.Get(t))}
	s.client, err = versioned.NewForConfig(s.server.Config)
	s.must(nil, err)
	for name := range programs {
		s.must(nil, os.Symlink(self(t), filepath.Join(dir, name)))
	}
	platform(t, s.client)
	s.start("epic-controller", "--kubeconfig="+s.server.Kubeconfig, "--leader-elect=false", "--bind-address=")
	s.startOperator(flags...)
	t.Cleanup(func() {
		s.stop()
		out, err := exec.Command(filepath.Join(dir, "epic-operator"), "cleanup", "--process-dir="+filepath.Join(dir, "op"), "--grace=1s").CombinedOutput()
		if err != nil {
			t.Errorf("end the proxies: %v: %s", err, out)
		}
		if t.Failed() {
			s.printLogs()
		}
	})
	return s
}

// platform makes what a platform admin makes.
func platform(t testing.TB, client versioned.Interface) {
	t.Helper()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	must(client.EpicV1().EPICs("epic").Create(ctx, &epicv1.EPIC{ObjectMeta: metav1.ObjectMeta{Namespace: "epic", Name: "epic"}}, metav1.CreateOptions{}))
	must(client.EpicV1().ServicePrefixes("epic").Create(ctx, &epicv1.ServicePrefix{
		ObjectMeta: metav1.ObjectMeta{Namespace: "epic", Name: "default"},
		Spec:       epicv1.ServicePrefixSpec{PublicPool: &epicv1.AddressPool{Pool: pool, Subnet: subnet, Aggregation: "default"}},
	}, metav1.CreateOptions{}))
	must(client.EpicV1().Accounts(namespace).Create(ctx, &epicv1.Account{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account}, Spec: epicv1.AccountSpec{ProxyLimit: ptr.To[int32](1000)},
	}, metav1.CreateOptions{}))
	must(client.EpicV1().LBServiceGroups(namespace).Create(ctx, &epicv1.LBServiceGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: group, Labels: map[string]string{epic.OwningServicePrefixLabel: "default"}},
		Spec:       epicv1.LBServiceGroupSpec{EnvoyReplicaCount: ptr.To[int32](1)},
	}, metav1.CreateOptions{}))
}

func (s *site) startOperator(flags ...string) {
	s.Helper()
	s.stop = s.start("epic-operator", append([]string{
		"--kubeconfig=" + s.server.Kubeconfig, "--runner=processes", "--process-network=loopback", "--process-dir=" + filepath.Join(s.dir, "op"),
		"--envoy=" + envoytest.Path(s), "--proxy=" + filepath.Join(s.dir, "epic-proxy"), "--bind-address=" + s.metrics,
	}, flags...)...)
}

// start starts a program, which ends with the test if stop is not called before.
func (s *site) start(name string, args ...string) (stop func()) {
	s.Helper()
	log, err := os.OpenFile(filepath.Join(s.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	s.must(nil, err)
	defer log.Close()
	cmd := exec.Command(filepath.Join(s.dir, name), args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.must(nil, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			s.Errorf("%s did not end", name)
		}
	}
	s.Cleanup(stop)
	return stop
}

func (s *site) printLogs() {
	s.Helper()
	logs, _ := filepath.Glob(filepath.Join(s.dir, "*.log"))
	more, _ := filepath.Glob(filepath.Join(s.dir, "op", "p", "*", "log"))
	for _, file := range append(logs, more...) {
		if text, err := os.ReadFile(file); err == nil && len(text) > 0 {
			s.Logf("%s:\n%s", file, text[max(0, len(text)-4000):])
		}
	}
}

func (s *site) must(_ any, err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// until waits until f returns nothing that is missing.
func (s *site) until(what string, f func() string) {
	s.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		missing := f()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("%s: %s", what, missing)
		}
	}
}

func self(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// ownAddress is an address of this machine at which endpoints may be.
func ownAddress(t testing.TB) netip.Addr {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsGlobalUnicast() && p.Addr().Is4() {
			return p.Addr()
		}
	}
	t.Skip("this machine has no IPv4 address but loopback ones, and those are no endpoints")
	return netip.Addr{}
}

// serveText responds to requests with a text and returns the port.
func serveText(t testing.TB, address netip.Addr, text string) int32 {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", netip.AddrPortFrom(address, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }), ReadHeaderTimeout: patience}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return int32(l.Addr().(*net.TCPAddr).Port)
}

// meta is the metadata of an object of the account.
func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{epic.OwningLBServiceGroupLabel: group}}
}

// gatewayProxy is a gateway proxy with listeners.
func gatewayProxy(name string, listeners ...gatewayv1.Listener) *epicv1.GWProxy {
	gw := &epicv1.GWProxy{ObjectMeta: meta(name)}
	for _, l := range listeners {
		gw.Spec.PublicPorts = append(gw.Spec.PublicPorts, epicv1.ServicePort{Name: string(l.Name), Port: l.Port, Protocol: "TCP"})
	}
	gw.Spec.Gateway = &epicv1.GatewaySpec{GatewaySpec: gatewayv1.GatewaySpec{GatewayClassName: "epic", Listeners: listeners}}
	return gw
}

// gateway creates a gateway proxy with listeners and returns it.
func (s *site) gateway(name string, listeners ...gatewayv1.Listener) *epicv1.GWProxy {
	s.Helper()
	gw, err := s.client.EpicV1().GWProxies(namespace).Create(s.Context(), gatewayProxy(name, listeners...), metav1.CreateOptions{})
	s.must(nil, err)
	return gw
}

func httpListener() gatewayv1.Listener {
	return gatewayv1.Listener{Name: "web", Port: 80, Protocol: gatewayv1.HTTPProtocolType}
}

// url is where a proxy with a public address listens.
func url(public string, port uint16) string {
	return fmt.Sprintf("http://%s", netip.AddrPortFrom(processes.LoopbackAddress(netip.MustParseAddr(public)), processes.LoopbackPort(port)))
}

// slice creates the endpoints of a Service.
func (s *site) slice(service string, port int32, addresses ...string) *epicv1.GWEndpointSlice {
	s.Helper()
	sl := &epicv1.GWEndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: service}}
	sl.Spec = epicv1.GWEndpointSliceSpec{
		ParentRef: epicv1.ClientRef{UID: service}, NodeAddresses: map[string]string{}, AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{{Port: ptr.To(port), Protocol: ptr.To(corev1.ProtocolTCP)}}, Endpoints: []discoveryv1.Endpoint{},
	}
	for _, a := range addresses {
		sl.Spec.Endpoints = append(sl.Spec.Endpoints, discoveryv1.Endpoint{Addresses: []string{a}})
	}
	sl, err := s.client.EpicV1().GWEndpointSlices(namespace).Create(s.Context(), sl, metav1.CreateOptions{})
	s.must(nil, err)
	return sl
}

// httpRoute makes a route of a gateway proxy with one rule.
func httpRoute(name, gw string, rules ...gatewayv1.HTTPRouteRule) *epicv1.GWRoute {
	spec := gatewayv1.HTTPRouteSpec{
		CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: gatewayv1.ObjectName(gw)}}},
		Rules:           rules,
	}
	return &epicv1.GWRoute{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: epicv1.GWRouteSpec{HTTP: &epicv1.HTTPRouteSpec{HTTPRouteSpec: spec}}}
}

// to makes a rule for a path that leads to a Service.
func to(path, service string, weight ...int32) gatewayv1.HTTPRouteRule {
	ref := gatewayv1.HTTPBackendRef{}
	ref.Name, ref.Port = gatewayv1.ObjectName(service), ptr.To[gatewayv1.PortNumber](80)
	for _, w := range weight {
		ref.Weight = ptr.To(w)
	}
	return gatewayv1.HTTPRouteRule{Matches: []gatewayv1.HTTPRouteMatch{prefix(path)}, BackendRefs: []gatewayv1.HTTPBackendRef{ref}}
}

func prefix(path string) gatewayv1.HTTPRouteMatch {
	return gatewayv1.HTTPRouteMatch{Path: &gatewayv1.HTTPPathMatch{Type: ptr.To(gatewayv1.PathMatchPathPrefix), Value: ptr.To(path)}}
}

func (s *site) create(r *epicv1.GWRoute) error {
	_, err := s.client.EpicV1().GWRoutes(namespace).Create(s.Context(), r, metav1.CreateOptions{})
	return err
}

// get returns the status and the body of a response, or the error.
func get(ctx context.Context, client *http.Client, url string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// visitor is a client that follows no redirects.
func visitor() *http.Client {
	return &http.Client{
		Timeout: 10 * time.Second, Transport: &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// answers waits until a URL responds with a status.
func (s *site) answers(url string, status int) {
	s.Helper()
	client := visitor()
	defer client.CloseIdleConnections()
	s.until("GET "+url, func() string {
		got, body, err := get(s.Context(), client, url)
		if err != nil {
			return err.Error()
		}
		if got != status {
			return fmt.Sprintf("status %d, want %d: %s", got, status, body)
		}
		return ""
	})
}

// conditions is the status of an object as one text: TYPE=STATUS REASON MESSAGE, those of
// listeners and parents after the name.
func (s *site) conditions(kind, name string) string {
	s.Helper()
	var b strings.Builder
	add := func(prefix string, all []metav1.Condition) {
		for _, c := range all {
			fmt.Fprintf(&b, "%s%s=%s %s: %s\n", prefix, c.Type, c.Status, c.Reason, c.Message)
		}
	}
	switch kind {
	case "gwproxy":
		o, err := s.client.EpicV1().GWProxies(namespace).Get(s.Context(), name, metav1.GetOptions{})
		s.must(nil, err)
		add("", o.Status.Conditions)
		for _, l := range o.Status.Listeners {
			add("listener "+l.Name+" ", l.Conditions)
		}
	case "loadbalancer":
		o, err := s.client.EpicV1().LoadBalancers(namespace).Get(s.Context(), name, metav1.GetOptions{})
		s.must(nil, err)
		add("", o.Status.Conditions)
	case "gwroute":
		o, err := s.client.EpicV1().GWRoutes(namespace).Get(s.Context(), name, metav1.GetOptions{})
		s.must(nil, err)
		add("", o.Status.Conditions)
		for _, p := range o.Status.Parents {
			add("parent "+p.ParentRef.Name+" ", p.Conditions)
		}
	default:
		s.Fatal(errors.New("no such kind: " + kind))
	}
	return b.String()
}
