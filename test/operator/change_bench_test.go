// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
	"github.com/acnodal/epic/pkg/envoy/bootstrap"
	"github.com/acnodal/epic/pkg/envoy/envoytest"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
	"github.com/acnodal/epic/pkg/envoy/validate"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/operator"
	"github.com/acnodal/epic/pkg/operator/processes"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

const (
	// changedProxies is the number of proxies whose endpoints change, realEnvoys that of
	// those with an Envoy; the others are clients that acknowledge everything.
	changedProxies, realEnvoys = 100, 10
	// changeRate is the number of changes a second, and changes that of all.
	changeRate, changes = 200, 2000
	// pause is between two requests that look for a change. Without it, they would take
	// the processors from what is measured.
	pause = time.Millisecond
)

// bench is an operator in this process, without what runs Envoys, next to an API server.
type bench struct {
	*testing.B
	dir    string
	client versioned.Interface
	server *xds.Server
	socket string
	stages *stages
}

func newBench(b *testing.B) *bench {
	b.Helper()
	dir, err := os.MkdirTemp("", "epic-op-") //nolint:usetesting // Paths of unix sockets must be short.
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	api := testserver.StartTestServer(b)
	config := rest.CopyConfig(api.Config)
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON
	s := &bench{B: b, dir: dir, socket: filepath.Join(dir, "s")}
	if s.client, err = versioned.NewForConfig(config); err != nil {
		b.Fatal(err)
	}
	platform(b, s.client)
	s.stages = &stages{last: map[stageKey]stage{}}
	s.server = xds.NewServer(xds.Options{Identify: identify, Observer: s.stages})
	validator := validate.New(validate.Options{Envoy: envoytest.Path(b)})
	op, err := operator.New(operator.Options{
		Client: s.client, Workers: 4, Server: s.server, Checker: validator,
		Secret: func(string, string) *corev1.Secret { return nil },
		Place: func(public string) translate.Options {
			if a, err := netip.ParseAddr(public); err == nil {
				return translate.Options{Addresses: []netip.Addr{processes.LoopbackAddress(a)}, ListenPort: processes.LoopbackPort}
			}
			return translate.Options{}
		},
	}, &operator.Observer{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = op.Serve(ctx) })
	running.Go(func() { _ = validator.Run(ctx) })
	b.Cleanup(func() {
		cancel()
		running.Wait()
	})
	s.listen(s.socket, nil)
	return s
}

// identityKey is where a stream's context has an Envoy's identity.
type identityKey struct{}

// identify takes an Envoy's identity from the socket that it uses, and a client's from
// what it says.
func identify(ctx context.Context) (proxyidentity.Identity, time.Time, error) {
	if id, ok := ctx.Value(identityKey{}).(proxyidentity.Identity); ok {
		return id, time.Time{}, nil
	}
	md, _ := metadata.FromIncomingContext(ctx)
	if len(md["name"]) != 1 {
		return proxyidentity.Identity{}, time.Time{}, fmt.Errorf("nobody")
	}
	return identityOf("LoadBalancer", md["name"][0]), time.Time{}, nil
}

func identityOf(kind, name string) proxyidentity.Identity {
	return proxyidentity.Identity{Proxy: proxyidentity.Proxy{Namespace: namespace, Kind: kind, Name: name}, Pod: name + "-0"}
}

// identified is a stream of an Envoy.
type identified struct {
	grpc.ServerStream
	id proxyidentity.Identity
}

func (s identified) Context() context.Context {
	return context.WithValue(s.ServerStream.Context(), identityKey{}, s.id)
}

// listen serves xDS on a socket, for one Envoy if there is an identity.
func (s *bench) listen(socket string, id *proxyidentity.Identity) {
	s.Helper()
	options := xds.GRPCOptions()
	if id != nil {
		options = append(options, grpc.StreamInterceptor(func(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			return handle(server, identified{stream, *id})
		}))
	}
	g := grpc.NewServer(options...)
	s.server.Register(g)
	l, err := net.Listen("unix", socket)
	if err != nil {
		s.Fatal(err)
	}
	go func() { _ = g.Serve(l) }()
	s.Cleanup(g.Stop)
}

// envoy starts an Envoy for an object.
func (s *bench) envoy(id proxyidentity.Identity) {
	s.Helper()
	base := filepath.Join(s.dir, id.Name)
	s.listen(base+".xds", &id)
	start := bootstrap.Config{NodeID: id.Pod, NodeCluster: id.Name, XDSSocket: base + ".xds", AdminSocket: base + ".adm"}
	text, err := start.JSON()
	if err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(base+".json", text, 0o600); err != nil {
		s.Fatal(err)
	}
	cmd := exec.Command(envoytest.Path(s), "--config-path", base+".json", "--concurrency", "1", "--disable-hot-restart", "--ignore-unknown-dynamic-fields", "--log-level", "off")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// acknowledge is a client that takes whatever an object's Envoy would be sent.
func (s *bench) acknowledge(conn *grpc.ClientConn, name string) {
	s.Helper()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(metadata.AppendToOutgoingContext(s.Context(), "name", name))
	if err != nil {
		s.Fatal(err)
	}
	send := func(r *discoveryv3.DeltaDiscoveryRequest) bool { return stream.Send(r) == nil }
	send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.Cluster.URL()})
	send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.Listener.URL()})
	go func() {
		for {
			r, err := stream.Recv()
			if err != nil {
				return
			}
			if r.TypeUrl == resource.Cluster.URL() {
				var names []string
				for _, got := range r.Resources {
					var c clusterv3.Cluster
					if proto.Unmarshal(got.Resource.Value, &c) == nil {
						names = append(names, c.Name)
					}
				}
				send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.Endpoint.URL(), ResourceNamesSubscribe: names})
			}
			if !send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.TypeUrl, ResponseNonce: r.Nonce}) {
				return
			}
		}
	}()
}

// banner serves a text to each connection.
func banner(b *testing.B, address netip.Addr, text string) int32 {
	b.Helper()
	l, err := net.Listen("tcp", netip.AddrPortFrom(address, 0).String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.WriteString(conn, text)
				_ = conn.Close()
			}()
		}
	}()
	return int32(l.Addr().(*net.TCPAddr).Port)
}

// told is what a connection to an address is told; empty if there is none.
func told(address string) string {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	text, _ := io.ReadAll(conn)
	return string(text)
}

// loadBalancer makes a load balancer with an endpoint, and returns where it listens.
func (s *bench) loadBalancer(name string, endpoint epicv1.RemoteEndpointSpec) string {
	s.Helper()
	lb := &epicv1.LoadBalancer{ObjectMeta: meta(name), Spec: epicv1.LoadBalancerSpec{
		UpstreamClusters: []string{endpoint.Cluster}, PublicPorts: []epicv1.ServicePort{{Port: 8888, Protocol: "TCP"}},
	}}
	lb, err := s.client.EpicV1().LoadBalancers(namespace).Create(s.Context(), lb, metav1.CreateOptions{})
	if err != nil {
		s.Fatal(err)
	}
	_, err = s.client.EpicV1().RemoteEndpoints(namespace).Create(s.Context(), &epicv1.RemoteEndpoint{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{epic.OwningLoadBalancerLabel: name}},
		Spec:       endpoint,
	}, metav1.CreateOptions{})
	if err != nil {
		s.Fatal(err)
	}
	return netip.AddrPortFrom(processes.LoopbackAddress(netip.MustParseAddr(lb.Spec.PublicAddress)), 8888).String()
}

// times are durations of one kind.
type times struct {
	mu  sync.Mutex
	all []time.Duration
}

func (t *times) add(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, d)
}

func (t *times) report(b *testing.B, what string) {
	slices.Sort(t.all)
	if n := len(t.all); n > 0 {
		b.ReportMetric(float64(t.all[n/2].Microseconds())/1000, "ms-"+what+"-p50")
		b.ReportMetric(float64(t.all[n*99/100].Microseconds())/1000, "ms-"+what+"-p99")
	}
}

// BenchmarkEndpointChange changes the endpoints of 100 load balancers, 200 a second, and
// prints the time from the API write, and from the API's answer to it, to the first
// connection that the new endpoint serves.
func BenchmarkEndpointChange(b *testing.B) {
	for range b.N {
		s := newBench(b)
		address := ownAddress(b)
		texts := [2]string{"a", "b"}
		ports := [2]int32{banner(b, address, "a"), banner(b, address, "b")}
		spec := func(side int) epicv1.RemoteEndpointSpec {
			return epicv1.RemoteEndpointSpec{Cluster: "c", Address: address.String(), Port: epicv1.EndpointPort{Port: ports[side], Protocol: "TCP"}}
		}
		conn, err := grpc.NewClient("unix:"+s.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		var at [realEnvoys]string
		for i := range changedProxies {
			name := fmt.Sprint("lb-", i)
			listens := s.loadBalancer(name, spec(0))
			if i < realEnvoys {
				at[i] = listens
				s.envoy(identityOf("LoadBalancer", name))
			} else {
				if i%8 == 0 { // a connection has few streams
					if conn, err = grpc.NewClient("unix:"+s.socket, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
						b.Fatal(err)
					}
					b.Cleanup(func() { _ = conn.Close() })
				}
				s.acknowledge(conn, name)
			}
		}
		for _, address := range at {
			for deadline := time.Now().Add(2 * patience); told(address) != "a"; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					b.Fatalf("%s does not serve", address)
				}
			}
		}
		var whole, api, rest times
		var running sync.WaitGroup
		var busy [changedProxies]sync.Mutex
		tick := time.NewTicker(time.Second / changeRate)
		began := time.Now()
		for n := range changes {
			<-tick.C
			i, side := n%changedProxies, (n/changedProxies+1)%2
			running.Go(func() {
				// Changes of one object follow each other.
				busy[i].Lock()
				defer busy[i].Unlock()
				begin := time.Now()
				patch := fmt.Appendf(nil, `{"spec":{"port":{"port":%d}}}`, ports[side])
				if _, err := s.client.EpicV1().RemoteEndpoints(namespace).Patch(b.Context(), fmt.Sprint("lb-", i), "application/merge-patch+json", patch, metav1.PatchOptions{}); err != nil {
					b.Error(err)
					return
				}
				answered := time.Now()
				api.add(answered.Sub(begin))
				if i >= realEnvoys {
					return
				}
				for deadline := begin.Add(patience); told(at[i]) != texts[side]; time.Sleep(pause) {
					if time.Now().After(deadline) {
						b.Errorf("a change of %s is not served", at[i])
						return
					}
				}
				whole.add(time.Since(begin))
				rest.add(time.Since(answered))
				s.stages.add(fmt.Sprint("lb-", i), resource.Endpoint, begin)
			})
		}
		running.Wait()
		tick.Stop()
		b.ReportMetric(changes/time.Since(began).Seconds(), "changes/s")
		whole.report(b, "write-to-request")
		api.report(b, "api")
		s.stages.report(b)
		rest.report(b, "answer-to-request")
	}
}

// BenchmarkRouteChange changes one of 10 and of 1,000 routes of a gateway proxy and prints
// the time from the API write, and from the API's answer to it, to the first request that
// is answered accordingly. Each change is checked by an Envoy before it is sent. The routes
// redirect; in the last run, each has another rule that leads to a Service of its own with
// two endpoints.
func BenchmarkRouteChange(b *testing.B) {
	for _, c := range []struct {
		routes   int
		services bool
	}{{10, false}, {1000, false}, {1000, true}} {
		name := fmt.Sprintf("routes=%d", c.routes)
		if c.services {
			name += "/services"
		}
		b.Run(name, func(b *testing.B) {
			for range b.N {
				benchRoutes(b, c.routes, c.services)
			}
		})
	}
}

func benchRoutes(b *testing.B, routes int, services bool) {
	s := newBench(b)
	gw, err := s.client.EpicV1().GWProxies(namespace).Create(b.Context(), gatewayProxy("gw", httpListener()), metav1.CreateOptions{})
	if err != nil {
		b.Fatal(err)
	}
	route := func(i, version int) *epicv1.GWRoute {
		rules := []gatewayv1.HTTPRouteRule{{
			Matches: []gatewayv1.HTTPRouteMatch{prefix(fmt.Sprint("/", i))},
			Filters: []gatewayv1.HTTPRouteFilter{{
				Type:            gatewayv1.HTTPRouteFilterRequestRedirect,
				RequestRedirect: &gatewayv1.HTTPRequestRedirectFilter{Hostname: ptr.To(gatewayv1.PreciseHostname(fmt.Sprintf("v%d.example", version)))},
			}},
		}}
		if services {
			rules = append(rules, to(fmt.Sprintf("/%d/pod", i), fmt.Sprint("service-", i)))
		}
		return httpRoute(fmt.Sprint("r-", i), "gw", rules...)
	}
	endpoints := func(i int) *epicv1.GWEndpointSlice {
		sl := &epicv1.GWEndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprint("service-", i)}}
		sl.Spec = epicv1.GWEndpointSliceSpec{
			ParentRef: epicv1.ClientRef{UID: sl.Name}, NodeAddresses: map[string]string{}, AddressType: discoveryv1.AddressTypeIPv4,
			Ports:     []discoveryv1.EndpointPort{{Port: ptr.To[int32](80), Protocol: ptr.To(corev1.ProtocolTCP)}},
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{fmt.Sprintf("10.1.%d.%d", i/250, i%250+1)}}, {Addresses: []string{fmt.Sprintf("10.2.%d.%d", i/250, i%250+1)}}},
		}
		return sl
	}
	var making sync.WaitGroup
	for part := range 8 {
		making.Go(func() {
			for i := part; i < routes; i += 8 {
				if services {
					if _, err := s.client.EpicV1().GWEndpointSlices(namespace).Create(b.Context(), endpoints(i), metav1.CreateOptions{}); err != nil {
						b.Error(err)
					}
				}
				if _, err := s.client.EpicV1().GWRoutes(namespace).Create(b.Context(), route(i, 0), metav1.CreateOptions{}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	making.Wait()
	s.envoy(identityOf("GWProxy", "gw"))
	client := visitor()
	defer client.CloseIdleConnections()
	location := func(i int) string {
		request, err := http.NewRequestWithContext(b.Context(), http.MethodHead, fmt.Sprintf("%s/%d", url(gw.Spec.PublicAddress, 80), i), nil)
		if err != nil {
			b.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			return err.Error()
		}
		_ = response.Body.Close()
		return response.Header.Get("Location")
	}
	serves := func(i, version int) {
		want := fmt.Sprintf("//v%d.example", version)
		for deadline := time.Now().Add(2 * patience); ; time.Sleep(pause) {
			got := location(i)
			if strings.Contains(got, want) {
				return
			}
			if time.Now().After(deadline) {
				b.Fatalf("route %d leads to %q, want %s", i, got, want)
			}
		}
	}
	serves(0, 0)
	serves(routes-1, 0)
	var whole, api, rest times
	const changed = 100
	for n := range changed {
		i := n % routes
		patch := fmt.Appendf(nil, `[{"op":"replace","path":"/spec/http/rules/0/filters/0/requestRedirect/hostname","value":"v%d.example"}]`, n+1)
		begin := time.Now()
		if _, err := s.client.EpicV1().GWRoutes(namespace).Patch(b.Context(), fmt.Sprint("r-", i), "application/json-patch+json", patch, metav1.PatchOptions{}); err != nil {
			b.Fatal(err)
		}
		answered := time.Now()
		serves(i, n+1)
		whole.add(time.Since(begin))
		api.add(answered.Sub(begin))
		rest.add(time.Since(answered))
		s.stages.add("gw", resource.Route, begin)
	}
	s.stages.report(b)
	whole.report(b, "write-to-request")
	api.report(b, "api")
	rest.report(b, "answer-to-request")
}
