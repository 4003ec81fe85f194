// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/envoy/envoytest"
	"github.com/acnodal/epic/test/netlab"
	"github.com/acnodal/epic/test/world"
)

const (
	// bridgePod and bridgeProxy are the ends of a pod network on the gateway node, and
	// bridgeNode is the node's own address there.
	bridgePod, bridgeProxy, bridgeNode = "10.245.0.5", "10.245.0.2", "10.245.0.1"
	// frpServer is where frp's client connects, and frpPort where visitors do.
	frpServer, frpPort = world.GatewayAddress + ":7000", "7080"

	httpRounds, httpRound = 5, time.Second
)

// BenchmarkHTTP prints requests a second and their 99th percentile for 1, 16 and 256
// connections of a visitor: through an Envoy and the tunnel to a pod behind NAT; through
// the same Envoy to a pod on a bridge of the gateway node; through the same Envoy and frp,
// over the same NAT, to the first pod; and by frp alone, without an Envoy. The ways take
// turns, and the medians of the rounds count. It also prints what a request costs in
// processor time. Without the module test/bench/frp (no network to download it), frp is
// left out.
func BenchmarkHTTP(b *testing.B) {
	for range b.N {
		benchHTTP(b)
	}
}

// httpWay is one way to a pod.
type httpWay struct{ name, url string }

func benchHTTP(b *testing.B) {
	s := newSite(b, 1)
	s.podServes(0, webPort, account(0))
	v := s.service(0, "web", webPort)
	v.answers(account(0))
	v.stopProxy()
	s.bridgedPod(b, v)
	ways := []httpWay{{"tunnel", "http://" + v.public + "/tunnel"}, {"bridge", "http://" + v.public + "/bridge"}}
	envoy := s.envoy(b, v)
	var costs []*spender
	costs = append(costs, &spender{name: "Envoy", pid: envoy}, &spender{name: "visitor and pods", pid: os.Getpid()})
	if server, client, ok := s.frp(b); ok {
		ways = append(ways,
			httpWay{"envoy-frp", "http://" + v.public + "/frp"},
			httpWay{"frp", "http://" + net.JoinHostPort(world.GatewayAddress, frpPort) + "/"})
		costs = append(costs, &spender{name: "frp server", pid: server}, &spender{name: "frp client", pid: client})
	}
	for _, way := range ways {
		s.until("a request by the "+way.name, func() error {
			client := world.Client(s.world.Visitor)
			_, err := get(client, way.url)
			return err
		})
	}
	for _, connections := range []int{1, 16, 256} {
		rates, tails, spent := map[string][]float64{}, map[string][]float64{}, map[string]*spending{}
		for range httpRounds {
			for _, way := range ways {
				if spent[way.name] == nil {
					spent[way.name] = &spending{of: costs}
				}
				spent[way.name].begin()
				rate, tail, requests := s.load(b, way.url, connections)
				spent[way.name].end(requests)
				rates[way.name], tails[way.name] = append(rates[way.name], rate), append(tails[way.name], tail)
			}
		}
		rate, tail := median(rates["tunnel"]), median(tails["tunnel"])
		for _, way := range ways {
			r, t := median(rates[way.name]), median(tails[way.name])
			b.Logf("%3d connections, %s: %.0f requests/s, p99 %.2f ms; the tunnel has %.2f of the rate and %.2f of the p99",
				connections, way.name, r, t, rate/r, tail/t)
			b.Logf("%3d connections, %s: processor time of a request: %s", connections, way.name, spent[way.name])
			b.ReportMetric(r, fmt.Sprintf("req/s-%s-%d", way.name, connections))
			b.ReportMetric(t, fmt.Sprintf("ms-p99-%s-%d", way.name, connections))
		}
	}
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// load asks for a round's time on connections that stay open, and returns the requests a
// second, their 99th percentile in milliseconds, and their number.
func (s *site) load(b *testing.B, url string, connections int) (rate, tail float64, requests int) {
	b.Helper()
	client := &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{DialContext: s.world.Visitor.Dial, MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections},
	}
	defer client.CloseIdleConnections()
	// Connections are opened before the round.
	var opened sync.WaitGroup
	for range connections {
		opened.Go(func() { _, _ = get(client, url) })
	}
	opened.Wait()
	var mu sync.Mutex
	var all []time.Duration
	failed := 0
	ctx, cancel := context.WithTimeout(b.Context(), httpRound)
	defer cancel()
	begin := time.Now()
	var running sync.WaitGroup
	for range connections {
		running.Go(func() {
			var own []time.Duration
			bad := 0
			for ctx.Err() == nil {
				sent := time.Now()
				if err := ask(client, url); err != nil {
					bad++
					continue
				}
				own = append(own, time.Since(sent))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
			failed += bad
		})
	}
	running.Wait()
	took := time.Since(begin)
	if failed > 0 || len(all) == 0 {
		b.Errorf("%s, %d connections: %d requests failed, %d did not", url, connections, failed, len(all))
		return 0, 0, 0
	}
	slices.Sort(all)
	return float64(len(all)) / took.Seconds(), float64(all[len(all)*99/100].Microseconds()) / 1000, len(all)
}

func ask(client *http.Client, url string) error {
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	return nil
}

// bridgedPod makes a pod on the gateway node that the proxy reaches by a pod network of
// the node, as by a cluster's own CNI plugin.
func (s *site) bridgedPod(b *testing.B, v *service) {
	b.Helper()
	pod, err := netlab.Test(b).Namespace("bridged")
	s.must(err)
	for _, err := range []error{
		netlab.Veth(s.world.Gateway, "bridged", pod, "eth0", world.MTU),
		netlab.Veth(s.world.Gateway, "proxied", v.proxy.Namespace, "eth0", world.MTU),
		s.world.Gateway.Bridge("cni0", world.MTU, "bridged", "proxied"),
		pod.Addr("eth0", bridgePod+"/24"),
		v.proxy.Addr("eth0", bridgeProxy+"/24"),
		s.world.Gateway.Addr("cni0", bridgeNode+"/24"),
	} {
		s.must(err)
	}
	s.must(world.ServeHTTP(b.Context(), pod, fmt.Sprintf(":%d", webPort), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintf(w, "%s to %s", account(0), host)
	})))
}

// envoy runs an Envoy in the place of the proxy's forwarder and returns its process ID. Its
// paths lead to the pods.
func (s *site) envoy(b *testing.B, v *service) int {
	b.Helper()
	cluster := func(name, address string, port any) string {
		return fmt.Sprintf(`{"name": %q, "type": "STATIC", "connect_timeout": "2s", "circuit_breakers": {"thresholds": [{"max_connections": 65536, "max_requests": 65536, "max_pending_requests": 65536}]},
  "load_assignment": {"cluster_name": %[1]q, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": %q, "port_value": %v}}}}]}]}}`, name, address, port)
	}
	config := fmt.Sprintf(`{"static_resources": {
"clusters": [%s, %s, %s],
"listeners": [{"name": "web", "address": {"socket_address": {"address": %q, "port_value": 80}}, "filter_chains": [{"filters": [{
  "name": "envoy.filters.network.http_connection_manager", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "web",
    "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
    "route_config": {"name": "web", "virtual_hosts": [{"name": "web", "domains": ["*"], "routes": [
      {"match": {"prefix": "/tunnel"}, "route": {"cluster": "tunnel"}}, {"match": {"prefix": "/bridge"}, "route": {"cluster": "bridge"}},
      {"match": {"prefix": "/frp"}, "route": {"cluster": "frp"}}]}]}}}]}]}]}}`,
		cluster("tunnel", v.pod, webPort), cluster("bridge", bridgePod, webPort), cluster("frp", bridgeNode, frpPort), v.lb.Spec.PublicAddress)
	file := s.path("envoy.json")
	s.must(os.WriteFile(file, []byte(config), 0o600))
	return s.run(b, v.proxy.Namespace, "envoy", envoytest.Path(b), "--config-path", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error")
}

// frp publishes the pod by frp, and returns the process IDs of its server and client. It
// returns false if frp can't be built.
func (s *site) frp(b *testing.B) (server, client int, ok bool) {
	b.Helper()
	program := s.path("frp")
	build := exec.CommandContext(b.Context(), "go", "build", "-C", filepath.Join("..", "bench", "frp"), "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		b.Logf("frp is left out, because it can't be built: %v: %s", err, out)
		return 0, 0, false
	}
	server = s.run(b, s.world.Gateway, "frp-server", program, "server", frpServer)
	client = s.run(b, s.world.Tenants[0].Node, "frp-client", program, "client", frpServer, net.JoinHostPort(world.PodAddress, fmt.Sprint(webPort)), frpPort)
	return server, client, true
}

// run starts another program than EPIC's, which ends with the benchmark, and returns its
// process ID.
func (s *site) run(b *testing.B, host *netlab.Namespace, name, program string, args ...string) int {
	b.Helper()
	p, err := world.Start(host, s.path(name+".log"), program, args...)
	s.must(err)
	b.Cleanup(func() { _ = p.Kill() })
	return p.ID()
}
