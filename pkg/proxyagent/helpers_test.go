// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/acnodal/epic/pkg/envoy/delta"
	"github.com/acnodal/epic/pkg/envoy/envoytest"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/pki"
	"github.com/acnodal/epic/pkg/proxyidentity"
	"github.com/acnodal/epic/pkg/proxyidentity/exchange"
	"github.com/acnodal/epic/pkg/proxyidentity/issuer"
)

var web = proxyidentity.Identity{
	Proxy: proxyidentity.Proxy{Namespace: "epic-acnodal", Kind: proxyidentity.GWProxy, Name: "web"}, Pod: "web-0",
}

// operator is an operator that can be stopped and started again elsewhere, with nothing
// but its authority and its configuration kept.
type operator struct {
	t       testing.TB
	socket  string
	secrets *issuer.Secrets
	creds   *issuer.Credentials
	config  xds.Config

	server *xds.Server
	grpc   *grpc.Server

	mu          sync.Mutex
	refused     []delta.Refusal
	connections atomic.Int64
}

func newOperator(t testing.TB, dir string) *operator {
	t.Helper()
	authority, err := pki.NewProxyAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	creds, err := issuer.NewCredentials(authority, []string{"operator.test"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := &operator{t: t, socket: filepath.Join(dir, "op.sock"), secrets: issuer.NewSecrets(), creds: creds}
	o.start()
	t.Cleanup(o.stop)
	return o
}

func (o *operator) start() {
	o.t.Helper()
	o.server = xds.NewServer(xds.Options{Identify: o.creds.Identify, Observer: o})
	if o.config.Resources != nil {
		o.server.Set(web.Proxy, o.config, 0)
	}
	o.grpc = grpc.NewServer(append(xds.GRPCOptions(), grpc.Creds(credentials.NewTLS(o.creds.ServerTLS())))...)
	o.server.Register(o.grpc)
	exchange.Register(o.grpc, issuer.New(o.secrets, o.creds))
	l, err := net.Listen("unix", o.socket)
	if err != nil {
		o.t.Fatal(err)
	}
	g := o.grpc
	go g.Serve(l)
}

func (o *operator) stop() { o.grpc.Stop() }

func (o *operator) set(resources ...*resource.Resource) {
	o.t.Helper()
	set := resource.Set{}
	for _, r := range resources {
		if err := set.Add(r); err != nil {
			o.t.Fatal(err)
		}
	}
	o.config = xds.Config{Resources: set}
	o.server.Set(web.Proxy, o.config, o.server.Mark(web.Proxy))
}

// settled waits until the pod has what was set.
func (o *operator) settled() {
	o.t.Helper()
	eventually(o.t, "the pod to be current", func() bool {
		state := o.server.State(web.Proxy)
		return len(state.Pods) == 1 && state.Pods[0].Current
	})
}

func (o *operator) Connected(proxyidentity.Identity, time.Time)               { o.connections.Add(1) }
func (o *operator) Disconnected(proxyidentity.Identity, time.Time, error)     {}
func (o *operator) Acknowledged(proxyidentity.Identity, delta.Acknowledgment) {}
func (o *operator) Refused(_ proxyidentity.Identity, r delta.Refusal) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refused = append(o.refused, r)
}

// pod is a running agent.
type pod struct {
	*agent
	t    testing.TB
	end  context.CancelFunc
	done chan error
}

// shortDir returns a folder whose path leaves room for the name of a socket.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ep") //nolint:usetesting // T.TempDir's paths are too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func startPod(t testing.TB, o *operator, dir string, change ...func(*Options)) *pod {
	t.Helper()
	options := DefaultOptions()
	options.Identity = web
	options.Operator, options.ServerName = "unix://"+o.socket, "operator.test"
	options.CAFile, options.TokenFile = filepath.Join(dir, "ca.crt"), filepath.Join(dir, "token")
	options.Dir, options.Envoy = dir, envoytest.Path(t)
	options.Concurrency = 1
	options.DrainDelay = 10 * time.Millisecond
	log := &logWriter{t: t}
	options.Stdout, options.Stderr = log, log
	for _, f := range change {
		f(&options)
	}
	for path, content := range map[string][]byte{
		options.CAFile: o.creds.Authority().Bundle(), options.TokenFile: []byte(o.secrets.Issue(options.Identity) + "\n"),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := options.Validate(); err != nil {
		t.Fatal(err)
	}
	a, err := newAgent(options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	p := &pod{agent: a, t: t, end: end, done: make(chan error, 1)}
	go func() { p.done <- a.run(ctx, context.Background(), nil) }()
	t.Cleanup(func() {
		p.stop()
		log.stop()
	})
	return p
}

// stop ends the pod, once.
func (p *pod) stop() {
	p.t.Helper()
	p.end()
	select {
	case err, ok := <-p.done:
		if ok && err != nil {
			p.t.Error(err)
		}
		if ok {
			close(p.done)
		}
	case <-time.After(60 * time.Second):
		p.t.Error("the pod does not end")
	}
}

// logWriter writes to a test's log while the test runs.
type logWriter struct {
	t     testing.TB
	mu    sync.Mutex
	ended bool
}

func (l *logWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

func (l *logWriter) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("timed out waiting for %s", what)
}

func pack(t testing.TB, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func mk(t testing.TB, typ resource.Type, name string, m proto.Message) *resource.Resource {
	t.Helper()
	r, err := resource.New(typ, name, m, resource.Source{Kind: "GWRoute", Namespace: "epic-acnodal", Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func cluster(t testing.TB, name string) *resource.Resource {
	return mk(t, resource.Cluster, name, &clusterv3.Cluster{
		Name: name, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{EdsConfig: resource.ADS()},
	})
}

func socketAddress(host string, port int) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
	}}}
}

func endpoints(t testing.TB, name string, ports ...int) *resource.Resource {
	var all []*endpointv3.LbEndpoint
	for _, port := range ports {
		all = append(all, &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: socketAddress("127.0.0.1", port)}}})
	}
	return mk(t, resource.Endpoint, name, &endpointv3.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: all}}})
}

func listener(t testing.TB, name string, port int) *resource.Resource {
	return mk(t, resource.Listener, name, &listenerv3.Listener{
		Name: name, Address: socketAddress("127.0.0.1", port),
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name: "envoy.filters.network.http_connection_manager",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(t, &hcmv3.HttpConnectionManager{
				StatPrefix:     name,
				RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{ConfigSource: resource.ADS(), RouteConfigName: name}},
				HttpFilters:    []*hcmv3.HttpFilter{{Name: "envoy.filters.http.router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(t, &routerv3.Router{})}}},
			})},
		}}}},
	})
}

// route sends everything to a cluster. A pattern that is not empty is a regular
// expression that a path has to match.
func route(t testing.TB, name, to, pattern string) *resource.Resource {
	match := &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
	if pattern != "" {
		match.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: pattern}}
	}
	return mk(t, resource.Route, name, &routev3.RouteConfiguration{Name: name, VirtualHosts: []*routev3.VirtualHost{{
		Name: "all", Domains: []string{"*"},
		Routes: []*routev3.Route{{Match: match, Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: to},
		}}}},
	}}})
}

// backend answers with a text, and returns its port.
func backend(t testing.TB, text string) int {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }))
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).Port
}

// get returns the answer at a port over a new connection.
func get(port int, path string) (string, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}

func waitFor(t testing.TB, port int, want string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q on port %d", want, port), func() bool {
		got, err := get(port, "/")
		return err == nil && got == want
	})
}

// load sends requests one after another until it is stopped, and counts failures.
type load struct {
	stopping, stopped chan struct{}
	requests          int
	failures          []error
}

func startLoad(port int) *load {
	l := &load{stopping: make(chan struct{}), stopped: make(chan struct{})}
	go func() {
		defer close(l.stopped)
		for {
			select {
			case <-l.stopping:
				return
			default:
			}
			l.requests++
			if _, err := get(port, "/"); err != nil {
				l.failures = append(l.failures, err)
			}
		}
	}()
	return l
}

func (l *load) check(t *testing.T) {
	t.Helper()
	close(l.stopping)
	<-l.stopped
	if len(l.failures) > 0 || l.requests == 0 {
		t.Errorf("%d of %d requests failed: %v", len(l.failures), l.requests, l.failures[0])
	}
}
