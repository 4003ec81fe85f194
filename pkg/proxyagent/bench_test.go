// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/acnodal/epic/pkg/envoy/envoytest"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/proxyidentity"
	"github.com/acnodal/epic/test/tools/freeport"
)

// BenchmarkEndpointChange prints the time from SetEndpoints to the end of the first
// request that the new endpoints serve, through epic-proxy and with an Envoy that has
// its stream at the server itself.
func BenchmarkEndpointChange(b *testing.B) {
	for _, hosts := range []int{2, 1000} {
		b.Run(fmt.Sprintf("relayed/hosts=%d", hosts), func(b *testing.B) {
			dir := shortDir(b)
			o := newOperator(b, dir)
			startPod(b, o, dir)
			benchChange(b, o.server, hosts)
		})
		b.Run(fmt.Sprintf("direct/hosts=%d", hosts), func(b *testing.B) {
			benchChange(b, startDirect(b), hosts)
		})
	}
}

// startDirect starts a server and an Envoy, with nothing between them.
func startDirect(b *testing.B) *xds.Server {
	b.Helper()
	dir := shortDir(b)
	s := xds.NewServer(xds.Options{Identify: func(context.Context) (proxyidentity.Identity, time.Time, error) { return web, time.Time{}, nil }})
	g := grpc.NewServer(xds.GRPCOptions()...)
	s.Register(g)
	l, err := net.Listen("unix", filepath.Join(dir, xdsSocket))
	if err != nil {
		b.Fatal(err)
	}
	go g.Serve(l)
	b.Cleanup(g.Stop)
	content, err := DefaultBootstrap(Bootstrap{Identity: web, XDSSocket: filepath.Join(dir, xdsSocket), AdminSocket: filepath.Join(dir, adminSocket)})
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(dir, bootstrapFile)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		b.Fatal(err)
	}
	envoy := &supervisor{path: envoytest.Path(b), arguments: arguments(file, "off", 1), counters: &counters{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		envoy.run(ctx)
	}()
	b.Cleanup(func() {
		cancel()
		envoy.stop(done)
	})
	return s
}

func benchChange(b *testing.B, s *xds.Server, hosts int) {
	b.Helper()
	texts := []string{"a", "b"}
	var sides []*resource.Resource
	for _, text := range texts {
		sides = append(sides, manyEndpoints(b, "web", hosts, anyBackend(b, text)))
	}
	port := freeport.Get(b)
	set := resource.Set{}
	for _, r := range []*resource.Resource{listener(b, "web", port), route(b, "web", "web", ""), cluster(b, "web"), sides[0]} {
		set[r.Key()] = r
	}
	s.Set(web.Proxy, xds.Config{Resources: set}, 0)
	waitFor(b, port, "a")
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
	// An open connection would keep the pod draining.
	defer client.CloseIdleConnections()
	url := fmt.Sprintf("http://127.0.0.1:%d/", port)
	var times []time.Duration
	b.ResetTimer()
	for i := range b.N {
		want := []byte(texts[(i+1)%2])
		began := time.Now()
		s.SetEndpoints(web.Proxy, "", sides[(i+1)%2])
		for {
			response, err := client.Get(url)
			if err != nil {
				b.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err == nil && bytes.Equal(body, want) {
				break
			}
		}
		times = append(times, time.Since(began))
	}
	b.StopTimer()
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "ms-p99")
}

// anyBackend is a backend at every address of the loopback network.
func anyBackend(b *testing.B, text string) int {
	b.Helper()
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) })}
	go s.Serve(l)
	b.Cleanup(func() { s.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

func manyEndpoints(b *testing.B, name string, n, port int) *resource.Resource {
	b.Helper()
	var all []*endpointv3.LbEndpoint
	for i := range n {
		all = append(all, &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
			Address: socketAddress(fmt.Sprintf("127.0.%d.%d", 1+i/200, 1+i%200), port),
		}}})
	}
	return mk(b, resource.Endpoint, name, &endpointv3.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: all}}})
}
