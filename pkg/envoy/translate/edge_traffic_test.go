// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/acnodal/epic/pkg/envoy/envoytest"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/test/tools/freeport"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// edgeWorld is a gateway proxy with an HTTP listener on port 80, an HTTPS one on 443 and a
// TCP one on 9000, which all lead to the Service "web" with the endpoints 10.0.0.1 (on the
// node 192.168.1.1), 10.0.0.2 and 10.0.0.3 (on 192.168.1.3).
const edgeWorld = `
apiVersion: epic.acnodal.io/v1
kind: GWProxy
metadata: {name: gw}
spec:
  public-address: 192.0.2.10
  gateway:
    gatewayClassName: epic
    listeners:
    - {name: http, port: 80, protocol: HTTP}
    - {name: https, port: 443, protocol: HTTPS, hostname: "*.example.com", tls: {certificateRefs: [{name: www}]}}
    - {name: tcp, port: 9000, protocol: TCP}
---
apiVersion: epic.acnodal.io/v1
kind: GWRoute
metadata: {name: r}
spec:
  http:
    parentRefs: [{name: gw}]
    rules: [{backendRefs: [{name: web, port: 80}]}]
---
apiVersion: epic.acnodal.io/v1
kind: GWRoute
metadata: {name: t}
spec:
  tcp:
    parentRefs: [{name: gw, sectionName: tcp}]
    rules: [{backendRefs: [{name: web, port: 80}]}]
---
apiVersion: epic.acnodal.io/v1
kind: GWEndpointSlice
metadata: {name: web-1}
spec:
  parentRef: {uid: web}
  nodeAddresses: {n1: 192.168.1.1, n3: 192.168.1.3}
  addressType: IPv4
  endpoints: [%s]
  ports: [{port: 8080, protocol: TCP}]
---
apiVersion: epic.acnodal.io/v1
kind: LBServiceGroup
metadata: {name: sample}
spec:
  edge: %s
`

// edgeTest is an Envoy that serves edgeWorld.
type edgeTest struct {
	*testing.T
	envoy *envoytest.Envoy
	ports map[uint16]uint16
}

func newEdgeTest(t *testing.T) *edgeTest {
	return &edgeTest{t, startEnvoy(t), map[uint16]uint16{80: uint16(freeport.Get(t)), 443: uint16(freeport.Get(t)), 9000: uint16(freeport.Get(t))}}
}

// serve has the Envoy serve with edge settings. The endpoints are at the addresses of
// servers, in their order; those of the third one's node have a tunnel of which nothing is
// known.
func (e *edgeTest) serve(settings string, servers ...net.Addr) {
	e.Helper()
	var endpoints []string
	at := map[string]*net.TCPAddr{}
	for i, s := range servers {
		node := "n1"
		if i == 2 {
			node = "n3"
		}
		address := fmt.Sprintf("10.0.0.%d", i+1)
		endpoints = append(endpoints, fmt.Sprintf("{addresses: [%s], nodeName: %s}", address, node))
		at[address] = net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s.String()))
	}
	w := parseWorld(e, fmt.Appendf(nil, edgeWorld, strings.Join(endpoints, ", "), settings))
	w.secrets["www"] = testSecret("www")
	w.now = time.Now()
	w.reach = map[string]string{"192.168.1.3": "Unknown"}
	// Like a public address and an alternate one.
	w.options.Addresses = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}
	w.options.ListenPort = func(published uint16) uint16 { return e.ports[published] }
	got := w.translate(e)
	if len(got.Problems) > 0 {
		e.Fatalf("problems: %v", got.Problems)
	}
	if err := e.envoy.Apply(leading(e.T, got.set, at)); err != nil {
		e.Fatal(err)
	}
}

// leading is a set whose endpoints are elsewhere.
func leading(t *testing.T, set resource.Set, at map[string]*net.TCPAddr) resource.Set {
	t.Helper()
	out := resource.Set{}
	for k, r := range set {
		if a, ok := decode(t, r).(*endpointv3.ClusterLoadAssignment); ok {
			for _, locality := range a.Endpoints {
				for _, e := range locality.LbEndpoints {
					s := e.GetEndpoint().GetAddress().GetSocketAddress()
					to := at[s.Address]
					s.Address, s.PortSpecifier = to.IP.String(), &corev3.SocketAddress_PortValue{PortValue: uint32(to.Port)}
				}
			}
			r, _ = resource.New(r.Type, r.Name, a, r.Sources...)
		}
		out[k] = r
	}
	return out
}

// dial connects to a published port. Envoy opens listeners a moment after it has accepted
// them.
func (e *edgeTest) dial(ctx context.Context, port uint16) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		conn, err := dialer.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", e.ports[port]))
		if err == nil || !strings.Contains(err.Error(), "refused") || time.Now().After(end) {
			return conn, err
		}
	}
}

// get sends a request on a connection of its own and returns the status and the answer.
func (e *edgeTest) get(scheme string, change ...func(*http.Request)) (status int, header http.Header, body string, err error) {
	port := map[string]uint16{"http": 80, "https": 443}[scheme]
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return e.dial(ctx, port) },
		TLSClientConfig:   &tls.Config{ServerName: "a.example.com", InsecureSkipVerify: true},
	}}
	request, err := http.NewRequestWithContext(e.Context(), http.MethodGet, scheme+"://a.example.com/path", nil)
	if err != nil {
		return 0, nil, "", err
	}
	for _, c := range change {
		c(request)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, string(text), err
}

// backend is a server that counts its requests, and can be told to fail them or its health
// checks.
type backend struct {
	net.Addr
	requests           atomic.Int32
	failing, unhealthy atomic.Bool
}

func newBackend(t *testing.T, name string) *backend {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{Addr: listener.Addr()}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			if b.unhealthy.Load() || r.Host != "localhost" {
				w.WriteHeader(http.StatusInternalServerError)
			}
			return
		}
		b.requests.Add(1)
		if b.failing.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"name": name, "header": r.Header, "proto": r.Proto})
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return b
}

// eventually repeats what returns a problem until there is none.
func eventually(t *testing.T, check func() string) {
	t.Helper()
	problem := check()
	for end := time.Now().Add(patience); problem != "" && time.Now().Before(end); problem = check() {
		time.Sleep(50 * time.Millisecond)
	}
	if problem != "" {
		t.Fatal(problem)
	}
}

// Endpoints that fail their health checks get no requests, and one that passes is enough:
// nothing goes to an endpoint with a worse tunnel while it does.
func TestHealthCheckTraffic(t *testing.T) {
	e := newEdgeTest(t)
	bad, good, far := newBackend(t, "bad"), newBackend(t, "good"), newBackend(t, "far")
	bad.unhealthy.Store(true)
	e.serve(`{healthCheck: {http: {path: /healthz}, interval: 1s, unhealthyThreshold: 1, healthyThreshold: 1}}`, bad, good, far)
	only := func(want *backend) {
		t.Helper()
		served := func() string {
			if status, _, body, err := e.get("http"); err != nil || status != http.StatusOK {
				return fmt.Sprintf("status %d, %v: %s", status, err, body)
			}
			return ""
		}
		eventually(t, func() string {
			was := want.requests.Load()
			if problem := served(); problem != "" {
				return problem
			}
			if want.requests.Load() == was {
				return "another endpoint got the request"
			}
			return ""
		})
		before := map[*backend]int32{bad: bad.requests.Load(), good: good.requests.Load(), far: far.requests.Load()}
		for range 50 {
			if problem := served(); problem != "" {
				t.Fatal(problem)
			}
		}
		for b, n := range before {
			if got := b.requests.Load() - n; b != want && got != 0 || b == want && got != 50 {
				t.Errorf("an endpoint got %d of 50 requests", got)
			}
		}
	}
	only(good)
	if n := bad.requests.Load() + far.requests.Load(); n > 0 {
		t.Errorf("%d requests went to an endpoint before it passed a check, or to one with a worse tunnel", n)
	}
	good.unhealthy.Store(true)
	only(far)
	far.unhealthy.Store(true)
	eventually(t, func() string {
		if status, _, _, err := e.get("http"); status != http.StatusServiceUnavailable {
			return fmt.Sprintf("all endpoints fail their checks, and the status is %d, %v", status, err)
		}
		return ""
	})
	good.unhealthy.Store(false)
	only(good)
}

// An endpoint that fails requests gets no more of them.
func TestOutlierTraffic(t *testing.T) {
	e := newEdgeTest(t)
	bad, good := newBackend(t, "bad"), newBackend(t, "good")
	bad.failing.Store(true)
	e.serve(`{outlierDetection: {consecutiveErrors: 3, baseEjectionTime: 1h}}`, bad, good)
	for n := 0; bad.requests.Load() < 3; n++ {
		if _, _, _, err := e.get("http"); err != nil || n > 1000 {
			t.Fatalf("%d requests, %v", n, err)
		}
	}
	// Envoy's main thread ejects the endpoint, so a few requests may still get there.
	for ejected, n := 0, 0; ejected < 30; n++ {
		status, _, body, err := e.get("http")
		switch {
		case err != nil || n > 1000:
			t.Fatalf("%d requests later it is not ejected, status %d, %v: %s", n, status, err, body)
		case status == http.StatusOK:
			ejected++
		default:
			ejected = 0
		}
	}
}

// withAddress sends a header of the PROXY protocol and a request.
func (e *edgeTest) withAddress(header string) (status int, got map[string]any, err error) {
	conn, err := e.dial(e.Context(), 80)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(conn, "%sGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", header); err != nil {
		return 0, nil, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	_ = json.NewDecoder(response.Body).Decode(&got)
	return response.StatusCode, got, nil
}

// The address in the header of the PROXY protocol is the client's, also for rates, and a
// connection without the header is closed.
func TestAddressFromClients(t *testing.T) {
	e := newEdgeTest(t)
	e.serve(`{proxyProtocol: {clients: Required}, rateLimit: {requestsPerClient: {count: 2, interval: 1h}}}`, newBackend(t, "web"))
	line := func(from string) string { return "PROXY TCP4 " + from + " 192.0.2.10 12345 80\r\n" }
	for i, want := range []int{200, 200, 429, 429} {
		status, got, err := e.withAddress(line("203.0.113.7"))
		if status != want || err != nil {
			t.Errorf("request %d: status %d, %v, want %d", i, status, err, want)
		}
		if status == 200 && !strings.Contains(fmt.Sprint(got["header"]), "X-Forwarded-For:[203.0.113.7]") {
			t.Errorf("the endpoint got %v", got)
		}
	}
	if status, _, err := e.withAddress(line("203.0.113.8")); status != 200 {
		t.Errorf("another client: status %d, %v", status, err)
	}
	if status, _, err := e.withAddress(""); err == nil {
		t.Errorf("without the header: status %d", status)
	}
}

// Endpoints get the address of the client in the header of the PROXY protocol, over TCP and
// HTTP.
func TestAddressToEndpoints(t *testing.T) {
	e := newEdgeTest(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	firsts := make(chan string, 16)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				buffer := make([]byte, 107)
				n, _ := io.ReadAtLeast(conn, buffer, 16)
				firsts <- string(buffer[:n])
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			}()
		}
	}()
	for version, check := range map[string]func(first string, port int) bool{
		"V1": func(first string, port int) bool {
			return strings.HasPrefix(first, fmt.Sprintf("PROXY TCP4 127.0.0.1 127.0.0.1 %d ", port))
		},
		"V2": func(first string, port int) bool {
			const signature = "\r\n\r\n\x00\r\nQUIT\n"
			return strings.HasPrefix(first, signature+"\x21\x11") && len(first) >= 28 &&
				first[16:20] == "\x7f\x00\x00\x01" && int(first[24])<<8+int(first[25]) == port
		},
	} {
		e.serve(`{proxyProtocol: {backends: `+version+`}}`, listener.Addr())
		for _, port := range []uint16{9000, 80} {
			conn, err := e.dial(t.Context(), port)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			select {
			case first := <-firsts:
				if own := conn.LocalAddr().(*net.TCPAddr).Port; !check(first, own) {
					t.Errorf("%s, port %d: the endpoint got %q from the client with port %d", version, port, first, own)
				}
			case <-time.After(patience):
				t.Errorf("%s, port %d: the endpoint got nothing", version, port)
			}
			_ = conn.Close()
		}
	}
}

// Requests beyond a rate are answered with 429, and connections beyond a rate or a number
// are closed.
func TestLimitTraffic(t *testing.T) {
	e, web := newEdgeTest(t), newBackend(t, "web")
	e.serve(`{rateLimit: {requests: {count: 2, interval: 1h, burst: 3}}}`, web)
	for i, want := range []int{200, 200, 200, 429, 429} {
		if status, _, _, err := e.get("http"); status != want {
			t.Errorf("request %d: status %d, %v, want %d", i, status, err, want)
		}
	}
	if n := web.requests.Load(); n != 3 {
		t.Errorf("the endpoint got %d requests, want 3", n)
	}
	// open reports whether a connection is served.
	open := func(port uint16) (net.Conn, bool) {
		conn, err := e.dial(t.Context(), port)
		if err != nil {
			return nil, false
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			return conn, false
		}
		_, err = http.ReadResponse(bufio.NewReader(conn), nil)
		return conn, err == nil
	}
	e.serve(`{rateLimit: {connections: {count: 1, interval: 1h}}}`, web)
	for _, port := range []uint16{80, 9000} {
		if _, ok := open(port); !ok {
			t.Errorf("port %d: the first connection is closed", port)
		}
		if _, ok := open(port); ok {
			t.Errorf("port %d: the second connection is served", port)
		}
	}
	e.serve(`{connectionLimit: {perListener: 1}}`, web)
	for _, port := range []uint16{80, 9000} {
		first, ok := open(port)
		if !ok {
			t.Errorf("port %d: the first connection is closed", port)
		}
		if _, ok := open(port); ok {
			t.Errorf("port %d: two connections are served", port)
		}
		_ = first.Close()
		eventually(t, func() string {
			conn, ok := open(port)
			if !ok {
				return fmt.Sprintf("port %d: a connection is closed though no other is open", port)
			}
			_ = conn.Close()
			return ""
		})
	}
}

// The access log has the lines that the settings describe.
func TestAccessLogTraffic(t *testing.T) {
	e, web := newEdgeTest(t), newBackend(t, "web")
	header := func(r *http.Request) { r.Header.Set("X-Tenant", "acme \"quoted\"") }
	e.serve(`{accessLog: {format: Text, text: "line=%REQ(:METHOD)% %REQ(X-TENANT):4% %RESPONSE_CODE% %UPSTREAM_METADATA(epic:node)% 100%%"}}`, web)
	if _, _, _, err := e.get("http", header); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if log := e.envoy.Log(); !strings.Contains(log, "line=GET acme 200 192.168.1.1 100%\n") {
			return "the log is " + log
		}
		return ""
	})
	e.serve(`{accessLog: {fields: [{name: tenant, value: "%REQ(X-TENANT)%"}, {name: user_agent}, {name: status, value: "<%RESPONSE_CODE%>"}]}}`, web)
	if _, _, _, err := e.get("http", header); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		log := e.envoy.Log()
		for line := range strings.Lines(log) {
			var got map[string]any
			if json.Unmarshal([]byte(line), &got) == nil && got["tenant"] == `acme "quoted"` {
				if got["account"] != "acme" || got["proxy"] != "GWProxy/gw" || got["status"] != "<200>" || got["method"] != "GET" || got["user_agent"] != nil {
					t.Errorf("the line is %s", line)
				}
				return ""
			}
		}
		return "the log is " + log
	})
	e.serve(`{accessLog: {format: None}}`, web)
	if _, _, _, err := e.get("http", func(r *http.Request) { r.Header.Set("X-Tenant", "nobody") }); err != nil {
		t.Fatal(err)
	}
	if log := e.envoy.Log(); strings.Contains(log, "nobody") {
		t.Errorf("format None, and the log is %s", log)
	}
}

// A client that is told about HTTP/3 uses it, with the same routes.
func TestHTTP3Traffic(t *testing.T) {
	e, web := newEdgeTest(t), newBackend(t, "web")
	e.serve(`{http3: {maxAge: 1h}, rateLimit: {requests: {count: 3, interval: 1h}}}`, web)
	status, header, body, err := e.get("https")
	if want := fmt.Sprintf(`h3=":%d"; ma=3600`, e.ports[443]); status != 200 || header.Get("Alt-Svc") != want {
		t.Fatalf("status %d, %v, Alt-Svc %q, want %q: %s", status, err, header.Get("Alt-Svc"), want, body)
	}
	if _, header, _, err := e.get("http"); err != nil || header.Get("Alt-Svc") != "" {
		t.Errorf("the HTTP listener says %q, %v", header.Get("Alt-Svc"), err)
	}
	for _, c := range []struct {
		address, host string
		want          int
	}{
		{"127.0.0.1", "a.example.com", 200}, {"127.0.0.2", "b.example.com", 200}, {"127.0.0.1", "www.example.org", 404},
		{"127.0.0.2", "a.example.com", 429},
	} {
		transport := &http3.Transport{
			TLSClientConfig: &tls.Config{ServerName: "a.example.com", InsecureSkipVerify: true, NextProtos: []string{http3.NextProtoH3}},
			Dial: func(ctx context.Context, _ string, config *tls.Config, quicConfig *quic.Config) (*quic.Conn, error) {
				return quic.DialAddr(ctx, fmt.Sprintf("%s:%d", c.address, e.ports[443]), config, quicConfig)
			},
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+c.host+"/path", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		_ = transport.Close()
		if response.StatusCode != c.want || response.ProtoMajor != 3 {
			t.Errorf("%s at %s: status %d by %s, want %d by HTTP/3: %s", c.host, c.address, response.StatusCode, response.Proto, c.want, text)
		}
	}
	if n := web.requests.Load(); n != 4 {
		t.Errorf("the endpoint got %d requests, want 4", n)
	}
}
