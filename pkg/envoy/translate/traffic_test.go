// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/test/tools/freeport"
)

// echo is what the test's server answers.
type echo struct {
	Host, Path, Protocol string
	Header               http.Header
}

// Requests through a real Envoy get the answers that the routes say.
func TestTraffic(t *testing.T) {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(echo{r.Host, r.URL.String(), r.Proto, r.Header})
	}))
	backend.Config.Protocols = protocols
	backend.Start()
	defer backend.Close()

	w := readWorld(t, "testdata/traffic.yaml")
	w.secrets["www"] = testSecret("www")
	ports := map[uint16]uint16{80: uint16(freeport.Get(t)), 443: uint16(freeport.Get(t))}
	w.options.Addresses = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	w.options.ListenPort = func(published uint16) uint16 { return ports[published] }
	envoy := startEnvoy(t)
	if err := envoy.Apply(ledTo(t, w.translate(t).set, backend.Listener.Addr().(*net.TCPAddr))); err != nil {
		t.Fatal(err)
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	client := &http.Client{
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}

	for _, tc := range []struct {
		name, url, host, method string
		header                  map[string]string
		sni                     string
		status                  int
		check                   func(http.Header, echo) string
	}{
		{name: "prefix", url: "http:/web/x?q=1", status: 200, check: wantPath("/web/x?q=1")},
		{name: "prefix only in whole segments", url: "http:/webx", status: 404},
		{name: "merged slashes and dots", url: "http:/web//a/../b", status: 200, check: wantPath("/web/b")},
		{name: "host with a port", url: "http:/web", host: "www.example.com:80", status: 200},
		{name: "unknown host", url: "http:/web", host: "www.example.org", status: 404},
		{name: "host of a more specific listener", url: "http:/web", host: "only.example.com", status: 404},
		{name: "exact before prefix, headers", url: "http:/web/exact", header: map[string]string{"X-Gone": "1"}, status: 200, check: func(_ http.Header, e echo) string {
			if got := e.Header.Get("X-Set"); got != "100% %REQ(X)%" || e.Header.Get("X-Gone") != "" {
				return fmt.Sprintf("X-Set %q, X-Gone %q", got, e.Header.Get("X-Gone"))
			}
			return ""
		}},
		{name: "stripped prefix", url: "http:/strip/a", status: 200, check: func(_ http.Header, e echo) string {
			if e.Path != "/a" || e.Host != "inner.example.com" {
				return e.Host + e.Path
			}
			return ""
		}},
		{name: "stripped to nothing", url: "http:/strip?q=1", status: 200, check: wantPath("/?q=1")},
		{name: "replaced prefix", url: "http:/move/a", status: 200, check: wantPath("/to/a")},
		{name: "replaced path", url: "http:/full/a?q=1", status: 200, check: wantPath(`/o%5C1?q=1`)},
		{name: "redirect to https", url: "http:/secure/a?q=1", status: 301, check: wantLocation("https://www.example.com/secure/a?q=1")},
		{name: "redirect of a prefix", url: "http:/prefix/a?q=1", status: 302, check: wantLocation("http://www.example.com/new/a?q=1")},
		{name: "no endpoints", url: "http:/empty", status: 503},
		{name: "no such backend", url: "http:/nobody", status: 500},
		{name: "weight 0", url: "http:/zero", status: 500},
		{name: "header with an underscore", url: "http:/web", header: map[string]string{"A_b": "1"}, status: 400},
		{name: "forged client address", url: "http:/web", header: map[string]string{"X-Forwarded-For": "192.0.2.99"}, status: 200, check: func(_ http.Header, e echo) string {
			if got := e.Header.Get("X-Envoy-External-Address"); got == "192.0.2.99" {
				return "the address of the client is " + got
			}
			return ""
		}},
		// The client's address is a private one, or loopback.
		{name: "orders to Envoy", url: "http:/web", header: map[string]string{"X-Envoy-Internal": "true", "X-Envoy-Force-Trace": "1", "X-Envoy-Retry-On": "5xx", "X-Envoy-Upstream-Rq-Timeout-Ms": "60000"}, status: 200, check: func(_ http.Header, e echo) string {
			for name := range e.Header {
				if strings.HasPrefix(name, "X-Envoy-") && name != "X-Envoy-External-Address" {
					return name + " reaches the backend"
				}
			}
			return ""
		}},
		{name: "preflight", url: "http:/cors", method: http.MethodOptions, header: map[string]string{"Origin": "https://a.example.com", "Access-Control-Request-Method": "PUT"}, status: 200, check: func(h http.Header, _ echo) string {
			if got := h.Get("Access-Control-Allow-Origin"); got != "https://a.example.com" {
				return "Access-Control-Allow-Origin: " + got
			}
			return ""
		}},
		{name: "HTTP/1.1 to the backend", url: "http:/web", status: 200, check: wantProtocol("HTTP/1.1")},
		{name: "HTTP/2 to the backend", url: "http:/h2c", status: 200, check: wantProtocol("HTTP/2.0")},
		{name: "https", url: "https:/", host: "a.example.com", sni: "a.example.com", status: 200},
		{name: "misdirected", url: "https:/", host: "b.example.com", sni: "a.example.com", status: 421},
		{name: "https to an unknown host", url: "https:/", host: "www.example.org", sni: "a.example.com", status: 404},
	} {
		t.Run(tc.name, func(t *testing.T) {
			scheme, path, _ := strings.Cut(tc.url, ":")
			port := ports[80]
			if scheme == "https" {
				port = ports[443]
			}
			host := tc.host
			if host == "" {
				host = "www.example.com"
			}
			request, err := http.NewRequestWithContext(t.Context(), tc.method, fmt.Sprintf("%s://%s", scheme, host), nil)
			if err != nil {
				t.Fatal(err)
			}
			request.URL.Opaque = path
			if p, q, ok := strings.Cut(path, "?"); ok {
				request.URL.Opaque, request.URL.RawQuery = p, q
			}
			request.Host = host
			for k, v := range tc.header {
				request.Header.Set(k, v)
			}
			client.Transport = &http.Transport{
				DisableKeepAlives: true,
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return dialer.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
				},
				TLSClientConfig: &tls.Config{ServerName: tc.sni, InsecureSkipVerify: true},
			}
			response, err := client.Do(request)
			// Envoy opens its listeners a moment after it has accepted them.
			for end := time.Now().Add(time.Minute); err != nil && strings.Contains(err.Error(), "refused") && time.Now().Before(end); response, err = client.Do(request) {
				time.Sleep(10 * time.Millisecond)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			body, _ := io.ReadAll(response.Body)
			if response.StatusCode != tc.status {
				t.Fatalf("status %d, want %d: %s", response.StatusCode, tc.status, body)
			}
			var got echo
			_ = json.Unmarshal(body, &got)
			if tc.check != nil {
				if problem := tc.check(response.Header, got); problem != "" {
					t.Error(problem)
				}
			}
		})
	}
}

func wantPath(want string) func(http.Header, echo) string {
	return func(_ http.Header, e echo) string {
		if e.Path != want {
			return fmt.Sprintf("the backend got %q, want %q", e.Path, want)
		}
		return ""
	}
}

func wantProtocol(want string) func(http.Header, echo) string {
	return func(_ http.Header, e echo) string {
		if e.Protocol != want {
			return fmt.Sprintf("the backend got %q, want %q", e.Protocol, want)
		}
		return ""
	}
}

func wantLocation(want string) func(http.Header, echo) string {
	return func(h http.Header, _ echo) string {
		if got := h.Get("Location"); got != want {
			return fmt.Sprintf("Location: %q, want %q", got, want)
		}
		return ""
	}
}

// ledTo is a set whose endpoints are all at one address: the API accepts none of this
// machine.
func ledTo(t *testing.T, set resource.Set, address *net.TCPAddr) resource.Set {
	t.Helper()
	out := resource.Set{}
	for k, r := range set {
		if a, ok := decode(t, r).(*endpointv3.ClusterLoadAssignment); ok {
			for _, locality := range a.Endpoints {
				for _, e := range locality.LbEndpoints {
					s := e.GetEndpoint().GetAddress().GetSocketAddress()
					s.Address, s.PortSpecifier = address.IP.String(), &corev3.SocketAddress_PortValue{PortValue: uint32(address.Port)}
				}
			}
			r, _ = resource.New(r.Type, r.Name, a, r.Sources...)
		}
		out[k] = r
	}
	return out
}
