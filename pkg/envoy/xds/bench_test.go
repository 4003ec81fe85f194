// SPDX-License-Identifier: Apache-2.0

package xds_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/stats"

	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/pki"
	"github.com/acnodal/epic/pkg/proxyidentity"
	"github.com/acnodal/epic/pkg/proxyidentity/issuer"
)

// The pods of the benchmark are another process, so that the server's memory can be
// measured. It is this program again, with the server's address in its environment.
const (
	podsEnv  = "EPIC_XDS_BENCH_SERVER"
	benchDir = "EPIC_XDS_BENCH_DIR"
	pods     = 2000
	// perProxy is how many clusters with endpoints a proxy has.
	perProxy = 10
)

func TestMain(m *testing.M) {
	if address := os.Getenv(podsEnv); address != "" {
		runPods(address, os.Getenv(benchDir))
		return
	}
	os.Exit(m.Run())
}

func benchProxy(i int) proxyidentity.Identity {
	return proxyidentity.Identity{
		Proxy: proxyidentity.Proxy{Namespace: "epic-bench", Kind: proxyidentity.GWProxy, Name: fmt.Sprint("proxy-", i)},
		Pod:   fmt.Sprintf("proxy-%d-7d9f-x2", i),
	}
}

// wire counts what is sent.
type wire struct{ sent atomic.Int64 }

func (*wire) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*wire) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*wire) HandleConn(context.Context, stats.ConnStats)                       {}
func (w *wire) HandleRPC(_ context.Context, s stats.RPCStats) {
	if out, ok := s.(*stats.OutPayload); ok {
		w.sent.Add(int64(out.WireLength))
	}
}

// BenchmarkStreams connects 2,000 pods by mutual TLS and prints what each costs the
// server in memory, and then restarts the server and prints how long it takes until all
// are current again and what they are sent, beside the first connection.
func BenchmarkStreams(b *testing.B) {
	for range b.N {
		benchStreams(b)
	}
}

func benchStreams(b *testing.B) {
	authority, err := pki.NewProxyAuthority(time.Now())
	if err != nil {
		b.Fatal(err)
	}
	creds, err := issuer.NewCredentials(authority, []string{"operator.test"}, nil)
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	writeCertificates(b, authority, dir)
	configs := make([]xds.Config, pods)
	for i := range configs {
		configs[i] = benchConfig(b, i)
	}
	start := func(address string) (*xds.Server, *grpc.Server, *wire, string) {
		s := xds.NewServer(xds.Options{Identify: creds.Identify})
		for i := range configs {
			s.Set(benchProxy(i).Proxy, configs[i], 0)
		}
		w := &wire{}
		g := grpc.NewServer(append(xds.GRPCOptions(), grpc.Creds(credentials.NewTLS(creds.ServerTLS())), grpc.StatsHandler(w))...)
		s.Register(g)
		l, err := net.Listen("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		go func() { _ = g.Serve(l) }()
		return s, g, w, l.Addr().String()
	}
	server, g, w, address := start("127.0.0.1:0")
	before := resident(b)

	child := exec.CommandContext(b.Context(), os.Args[0])
	child.Env = append(os.Environ(), podsEnv+"="+address, benchDir+"="+dir, "GOMAXPROCS=1")
	child.Stderr = os.Stderr
	began := time.Now()
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}()
	current(b, server)
	b.ReportMetric(time.Since(began).Seconds(), "s-first-connection")
	b.ReportMetric(float64(w.sent.Load())/pods, "B-sent/pod-first")
	after := resident(b)
	b.ReportMetric(float64(after-before)/pods/1024, "KiB/pod")

	g.Stop()
	began = time.Now()
	server, g, w, _ = start(address)
	defer g.Stop()
	current(b, server)
	b.ReportMetric(time.Since(began).Seconds(), "s-reconnection")
	b.ReportMetric(float64(w.sent.Load())/pods, "B-sent/pod-reconnection")
}

// current waits until every pod has its configuration.
func current(b *testing.B, s *xds.Server) {
	b.Helper()
	deadline := time.Now().Add(5 * time.Minute)
	for i := 0; i < pods; {
		if time.Now().After(deadline) {
			b.Fatalf("only %d pods are current", i)
		}
		if state := s.State(benchProxy(i).Proxy); len(state.Pods) == 1 && state.Pods[0].Current {
			i++
			continue
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// resident returns the memory that this process has, after a garbage collection.
func resident(b *testing.B) int {
	b.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	time.Sleep(200 * time.Millisecond)
	f, err := os.Open("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var kb int
		if _, err := fmt.Sscanf(s.Text(), "VmRSS: %d kB", &kb); err == nil {
			return kb << 10
		}
	}
	b.Fatal("no VmRSS")
	return 0
}

func benchConfig(b *testing.B, i int) xds.Config {
	b.Helper()
	set := resource.Set{}
	for j := range perProxy {
		name := fmt.Sprintf("cluster-%d-%d", i, j)
		r, err := resource.New(resource.Cluster, name, &clusterv3.Cluster{
			Name: name, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}, EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{},
		})
		if err != nil {
			b.Fatal(err)
		}
		set[r.Key()] = r
		for _, typ := range []resource.Type{resource.Endpoint, resource.Route} {
			r := &resource.Resource{Type: typ, Name: name, Body: []byte(strings.Repeat("x", 500)), Version: "1"}
			set[r.Key()] = r
		}
	}
	r := &resource.Resource{Type: resource.Listener, Name: "listener", Body: []byte(strings.Repeat("x", 2000)), Version: "1"}
	set[r.Key()] = r
	return xds.Config{Resources: set}
}

// writeCertificates writes what all pods share, and each pod's certificate.
func writeCertificates(b *testing.B, authority *pki.ProxyAuthority, dir string) {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		b.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		b.Fatal(err)
	}
	files := map[string][]byte{"ca": authority.Bundle(), "key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})}
	for i := range pods {
		if files[fmt.Sprint(i)], err = authority.SignProxy(csr, benchProxy(i), time.Now()); err != nil {
			b.Fatal(err)
		}
	}
	for name, content := range files {
		if err := os.WriteFile(dir+"/"+name, content, 0o600); err != nil {
			b.Fatal(err)
		}
	}
}

// runPods runs all pods, each on a connection of its own, until the process is ended.
func runPods(address, dir string) {
	ca, err := os.ReadFile(dir + "/ca")
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	for i := range pods {
		certificate, err := tls.LoadX509KeyPair(fmt.Sprint(dir, "/", i), dir+"/key")
		if err != nil {
			panic(err)
		}
		go func() {
			has := map[resource.Type]map[string]string{}
			for _, t := range resource.Types() {
				has[t] = map[string]string{}
			}
			for {
				_ = runPod(address, &tls.Config{RootCAs: pool, ServerName: "operator.test", Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13}, i, has)
				// As the pod's own program does.
				time.Sleep(100*time.Millisecond + time.Duration(i)*200*time.Millisecond/pods)
			}
		}()
	}
	select {}
}

func runPod(address string, config *tls.Config, i int, has map[resource.Type]map[string]string) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(context.Background())
	if err != nil {
		return err
	}
	for _, t := range resource.Types() {
		r := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: t.URL(), InitialResourceVersions: has[t]}
		if t == resource.Endpoint || t == resource.Route {
			for j := range perProxy {
				r.ResourceNamesSubscribe = append(r.ResourceNamesSubscribe, fmt.Sprintf("cluster-%d-%d", i, j))
			}
		}
		if err := stream.Send(r); err != nil {
			return err
		}
	}
	for {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		t, _ := resource.TypeOf(r.TypeUrl)
		for _, got := range r.Resources {
			has[t][got.Name] = got.Version
		}
		if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.TypeUrl, ResponseNonce: r.Nonce}); err != nil {
			return err
		}
	}
}
