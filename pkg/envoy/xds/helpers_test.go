// SPDX-License-Identifier: Apache-2.0

package xds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/acnodal/epic/pkg/envoy/delta"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

var web = proxyidentity.Proxy{Namespace: "epic-a", Kind: proxyidentity.GWProxy, Name: "web"}

// recorder counts what an observer learns.
type recorder struct {
	mu                      sync.Mutex
	connected, disconnected int
	acknowledged            []delta.Acknowledgment
	refused                 []delta.Refusal
	ends                    []error
}

func (r *recorder) Connected(proxyidentity.Identity, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.connected++
}

func (r *recorder) Disconnected(_ proxyidentity.Identity, _ time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.disconnected++
	r.ends = append(r.ends, err)
}

func (r *recorder) Acknowledged(_ proxyidentity.Identity, a delta.Acknowledgment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acknowledged = append(r.acknowledged, a)
}

func (r *recorder) Refused(_ proxyidentity.Identity, x delta.Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused = append(r.refused, x)
}

// identify takes the proxy's and pod's names from metadata, in place of a
// certificate.
func identify(ctx context.Context) (proxyidentity.Identity, time.Time, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if len(md["name"]) != 1 {
		return proxyidentity.Identity{}, time.Time{}, errors.New("nobody")
	}
	id := proxyidentity.Identity{Proxy: proxyidentity.Proxy{Namespace: "epic-a", Kind: proxyidentity.GWProxy, Name: md["name"][0]}, Pod: md["pod"][0]}
	var until time.Time
	if len(md["until"]) == 1 {
		d, _ := time.ParseDuration(md["until"][0])
		until = time.Now().Add(d)
	}
	return id, until, nil
}

// serve starts a server and connects to it.
func serve(t testing.TB, o Options) (*Server, *grpc.ClientConn) {
	t.Helper()
	s, dial := serveAll(t, o)
	return s, dial()
}

// serveAll starts a server and returns how to connect to it.
func serveAll(t testing.TB, o Options) (*Server, func(...grpc.DialOption) *grpc.ClientConn) {
	t.Helper()
	if o.Identify == nil {
		o.Identify = identify
	}
	s := NewServer(o)
	l := bufconn.Listen(1 << 20)
	g := grpc.NewServer(GRPCOptions()...)
	s.Register(g)
	go g.Serve(l)
	t.Cleanup(g.Stop)
	return s, func(more ...grpc.DialOption) *grpc.ClientConn {
		conn, err := grpc.NewClient("passthrough:///x", append(more, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
}

// client is a pod that accepts everything but bodies that start with "bad".
type client struct {
	t      testing.TB
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	cancel context.CancelFunc
	// sending serializes the stream's senders.
	sending sync.Mutex
	mu      sync.Mutex
	has     map[resource.Key]string
	count   int
	err     error
	ended   chan struct{}
}

// connect opens a stream that subscribes to clusters and listeners, to a name of each
// other type, and has what is given.
func connect(t testing.TB, conn *grpc.ClientConn, name, pod string, has map[resource.Key]string, md ...string) *client {
	t.Helper()
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(context.Background(), append([]string{"name", name, "pod", pod}, md...)...))
	t.Cleanup(cancel)
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, stream: stream, cancel: cancel, has: map[resource.Key]string{}, ended: make(chan struct{})}
	for _, typ := range resource.Types() {
		r := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typ.URL(), InitialResourceVersions: map[string]string{}}
		if typ != resource.Cluster && typ != resource.Listener {
			r.ResourceNamesSubscribe = []string{"a", "b"}
		}
		if typ == resource.Types()[0] {
			r.Node = &corev3.Node{UserAgentVersionType: &corev3.Node_UserAgentBuildVersion{UserAgentBuildVersion: &corev3.BuildVersion{
				Version: &typev3.SemanticVersion{MajorNumber: 7, MinorNumber: 1, Patch: uint32(len(pod))},
			}}}
		}
		for k, v := range has {
			if k.Type == typ {
				r.InitialResourceVersions[k.Name] = v
				c.has[k] = v
			}
		}
		if err := stream.Send(r); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
	go c.receive()
	return c
}

func (c *client) receive() {
	defer close(c.ended)
	for {
		r, err := c.stream.Recv()
		if err != nil {
			c.err = err
			return
		}
		typ, _ := resource.TypeOf(r.TypeUrl)
		answer := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.TypeUrl, ResponseNonce: r.Nonce}
		c.mu.Lock()
		for _, got := range r.Resources {
			if len(got.Resource.Value) > 3 && string(got.Resource.Value[:3]) == "bad" {
				answer.ErrorDetail = &statuspb.Status{Message: got.Name + ": no"}
			}
		}
		c.count += len(r.Resources)
		if answer.ErrorDetail == nil {
			for _, got := range r.Resources {
				c.has[resource.Key{Type: typ, Name: got.Name}] = got.Version
			}
			for _, name := range r.RemovedResources {
				delete(c.has, resource.Key{Type: typ, Name: name})
			}
		}
		c.mu.Unlock()
		// If this fails, so does receiving.
		_ = c.send(answer)
	}
}

func (c *client) send(r *discoveryv3.DeltaDiscoveryRequest) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	return c.stream.Send(r)
}

func (c *client) version(k resource.Key) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.has[k]
}

func (c *client) received() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

func raw(typ resource.Type, name, content string) *resource.Resource {
	return &resource.Resource{Type: typ, Name: name, Body: []byte(content), Version: "v" + content, Sources: []resource.Source{{Kind: "GWRoute", Name: name}}}
}

func setOf(resources ...*resource.Resource) resource.Set {
	s := resource.Set{}
	for _, r := range resources {
		s[r.Key()] = r
	}
	return s
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("timed out waiting for %s", what)
}

func key(typ resource.Type, name string) resource.Key { return resource.Key{Type: typ, Name: name} }

func fmtInt(i int) string { return fmt.Sprint(i) }
