// SPDX-License-Identifier: Apache-2.0

package xds_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"

	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/pki"
	"github.com/acnodal/epic/pkg/proxyidentity"
	"github.com/acnodal/epic/pkg/proxyidentity/issuer"
)

// The pods of the benchmark are another process, so the server's memory can be
// measured. It is this program again, with the server's address in its environment.
const (
	podsEnv  = "EPIC_XDS_BENCH_SERVER"
	benchDir = "EPIC_XDS_BENCH_DIR"
	countEnv = "EPIC_XDS_BENCH_PODS"
	// perProxy is the number of clusters with endpoints of a proxy.
	perProxy = 10
)

func TestMain(m *testing.M) {
	if address := os.Getenv(podsEnv); address != "" {
		count, err := strconv.Atoi(os.Getenv(countEnv))
		if err != nil {
			panic(err)
		}
		runPods(address, os.Getenv(benchDir), count)
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
// are current again and what they are sent, next to the first connection. On a machine that
// does other work, the processor time of both sides says more than the time that passes.
// With 10,000 pods it does so without TLS, on a unix socket.
func BenchmarkStreams(b *testing.B) {
	for name, run := range map[string]struct {
		pods int
		tls  bool
	}{"pods=2000": {2000, true}, "pods=10000/plain": {10_000, false}} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				benchStreams(b, run.pods, run.tls)
			}
		})
	}
}

// cpu returns the processor time that a process has used, in seconds.
func cpu(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	const user, system, hertz = 11, 12, 100
	total := 0
	for _, i := range []int{user, system} {
		n, err := strconv.Atoi(fields[i])
		if err != nil {
			b.Fatal(err)
		}
		total += n
	}
	return float64(total) / hertz
}

func benchStreams(b *testing.B, pods int, secure bool) {
	authority, err := pki.NewProxyAuthority(time.Now())
	if err != nil {
		b.Fatal(err)
	}
	creds, err := issuer.NewCredentials(authority, []string{"operator.test"}, nil)
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	network, at, identify := "unix", dir+"/s", identifyByName
	certificates := ""
	if secure {
		network, at, identify, certificates = "tcp", "127.0.0.1:0", creds.Identify, dir
		writeCertificates(b, authority, dir, pods)
	}
	configs := make([]xds.Config, pods)
	for i := range configs {
		configs[i] = benchConfig(b, i)
	}
	start := func(address string) (*xds.Server, *grpc.Server, *wire, string) {
		s := xds.NewServer(xds.Options{Identify: identify})
		for i := range configs {
			s.Set(benchProxy(i).Proxy, configs[i], 0)
		}
		w := &wire{}
		options := append(xds.GRPCOptions(), grpc.StatsHandler(w))
		if secure {
			options = append(options, grpc.Creds(credentials.NewTLS(creds.ServerTLS())))
		}
		g := grpc.NewServer(options...)
		s.Register(g)
		l, err := net.Listen(network, address)
		if err != nil {
			b.Fatal(err)
		}
		go func() { _ = g.Serve(l) }()
		return s, g, w, l.Addr().String()
	}
	server, g, w, address := start(at)
	before := resident(b)

	child := exec.CommandContext(b.Context(), os.Args[0])
	child.Env = append(os.Environ(), podsEnv+"="+address, benchDir+"="+certificates, countEnv+"="+strconv.Itoa(pods), "GOMAXPROCS=1")
	child.Stderr = os.Stderr
	began := time.Now()
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}()
	current(b, server, pods)
	each := 1 / float64(pods)
	b.ReportMetric(time.Since(began).Seconds(), "s-first-connection")
	b.ReportMetric(float64(w.sent.Load())*each, "B-sent/pod-first")
	after := resident(b)
	b.ReportMetric(float64(after-before)*each/1024, "KiB/pod")

	own, others := cpu(b, os.Getpid()), cpu(b, child.Process.Pid)
	g.Stop()
	began = time.Now()
	server, g, w, _ = start(address)
	defer g.Stop()
	current(b, server, pods)
	b.ReportMetric(time.Since(began).Seconds(), "s-reconnection")
	b.ReportMetric(cpu(b, os.Getpid())-own, "s-reconnection-cpu")
	b.ReportMetric(cpu(b, child.Process.Pid)-others, "s-reconnection-cpu-pods")
	b.ReportMetric(float64(w.sent.Load())*each, "B-sent/pod-reconnection")
}

// identifyByName takes a pod's number from what it says.
func identifyByName(ctx context.Context) (proxyidentity.Identity, time.Time, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if len(md["pod"]) != 1 {
		return proxyidentity.Identity{}, time.Time{}, errors.New("nobody")
	}
	i, err := strconv.Atoi(md["pod"][0])
	return benchProxy(i), time.Time{}, err
}

// current waits until every pod has its configuration.
func current(b *testing.B, s *xds.Server, pods int) {
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
func writeCertificates(b *testing.B, authority *pki.ProxyAuthority, dir string, pods int) {
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
func runPods(address, dir string, pods int) {
	pool := x509.NewCertPool()
	if dir != "" {
		ca, err := os.ReadFile(dir + "/ca")
		if err != nil {
			panic(err)
		}
		pool.AppendCertsFromPEM(ca)
	} else {
		address = "unix:" + address
	}
	for i := range pods {
		secure := insecure.NewCredentials()
		if dir != "" {
			certificate, err := tls.LoadX509KeyPair(fmt.Sprint(dir, "/", i), dir+"/key")
			if err != nil {
				panic(err)
			}
			secure = credentials.NewTLS(&tls.Config{RootCAs: pool, ServerName: "operator.test", Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13})
		}
		go func() {
			has := map[resource.Type]map[string]string{}
			for _, t := range resource.Types() {
				has[t] = map[string]string{}
			}
			for {
				_ = runPod(address, secure, i, has)
				// As the pod's own program does.
				time.Sleep(100*time.Millisecond + time.Duration(i)*200*time.Millisecond/time.Duration(pods))
			}
		}()
	}
	select {}
}

func runPod(address string, secure credentials.TransportCredentials, i int, has map[resource.Type]map[string]string) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(secure))
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(metadata.AppendToOutgoingContext(context.Background(), "pod", strconv.Itoa(i)))
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
