// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/envoy/bootstrap"
	"github.com/acnodal/epic/pkg/envoy/envoytest"
	"github.com/acnodal/epic/test/tools/freeport"
)

// Envoy counts the requests of each route and hostname, with both as labels, and has the
// metrics by which dashboards show a proxy.
func TestStatistics(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer backend.Close()
	w := readWorld(t, "testdata/traffic.yaml")
	w.secrets["www"] = testSecret("www")
	ports := map[uint16]uint16{80: uint16(freeport.Get(t)), 443: uint16(freeport.Get(t))}
	w.options.Addresses = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	w.options.ListenPort = func(published uint16) uint16 { return ports[published] }
	metrics := netip.AddrPortFrom(w.options.Addresses[0], uint16(freeport.Get(t)))
	envoy := envoytest.StartWith(t, func(ads, admin string) ([]byte, error) {
		c := bootstrap.Config{NodeID: "a", NodeCluster: "b", XDSSocket: ads, AdminSocket: admin, Metrics: metrics}
		return c.JSON()
	})
	if err := envoy.Apply(ledTo(t, w.translate(t).set, backend.Listener.Addr().(*net.TCPAddr))); err != nil {
		t.Fatal(err)
	}
	get := func(address, host, path string) string {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	visited := fmt.Sprintf("127.0.0.1:%d", ports[80])
	for range 3 {
		get(visited, "www.example.com", "/web")
	}
	get(visited, "www.example.com", "/empty")
	get(visited, "other.example.com", "/web")
	wants := []string{
		`envoy_vhost_route_upstream_rq_xx\{envoy_response_code_class="2",envoy_virtual_host="www_example_com",envoy_route="http/http/0"\} 3`,
		`envoy_vhost_route_upstream_rq_xx\{envoy_response_code_class="5",envoy_virtual_host="www_example_com",envoy_route="http/http/7"\} 1`,
		`envoy_vhost_route_upstream_rq_time_count\{envoy_virtual_host="www_example_com",envoy_route="http/http/0"\} 3`,
		`envoy_http_downstream_rq_xx\{envoy_response_code_class="4",envoy_http_conn_manager_prefix="port_80"\} 1`,
		`envoy_cluster_membership_healthy\{envoy_cluster_name="[^"]+"\} 1`,
		`envoy_server_memory_allocated\{\} \d+`,
	}
	// Workers hand their numbers on every few seconds.
	for end := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		text := get(metrics.String(), "", "/metrics")
		missing := ""
		for _, want := range wants {
			if !regexp.MustCompile(`(?m)^` + want + `$`).MatchString(text) {
				missing = want
			}
		}
		if missing == "" {
			break
		}
		if time.Now().After(end) {
			var some strings.Builder
			for line := range strings.Lines(text) {
				if strings.HasPrefix(line, "envoy_vhost") || strings.HasPrefix(line, "envoy_http_downstream_rq_xx") || strings.HasPrefix(line, "envoy_server_memory") {
					some.WriteString(line)
				}
			}
			t.Fatalf("The metrics lack %s:\n%s", missing, &some)
		}
	}
}
