// SPDX-License-Identifier: Apache-2.0

package status

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/node/announce"
	"github.com/acnodal/epic/pkg/node/underlay"
)

type source struct{ ready error }

func (source) Report() Report {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return Report{
		Role: "gateway", Version: "v1", Name: "n", Nodes: []netip.Addr{netip.MustParseAddr("192.0.2.40")}, Port: 6080,
		Started: start, Now: start.Add(time.Hour), Source: "disk", Saved: start, CredentialExpires: start.Add(2 * time.Hour), Problems: []string{"the API is away"},
		Interfaces: []underlay.Interface{{Index: 2, Name: "eth0", MTU: 1500, Mode: "tcx"}},
		Proxies:    []Proxy{{Object: "LoadBalancer epic-a/web", Pod: "web-1", Interface: "veth1", Index: 7, Addresses: []netip.Addr{netip.MustParseAddr("192.168.77.2")}}},
		Tunnels: []Tunnel{
			{
				ID: 5, Kind: "LoadBalancer", Namespace: "epic-a", Object: "web", Local: netip.MustParseAddrPort("192.0.2.40:6080"),
				Remote: netip.MustParseAddrPort("198.51.100.7:40001"), MTU: 1464, State: Up, Seen: start.Add(time.Hour - 1500*time.Millisecond), RTT: 20 * time.Millisecond,
				Services: 2, Counters: dataplane.Counters{ReceivedPackets: 3, ReceivedBytes: 1536, SentPackets: 4, SentBytes: 5 << 20},
			},
			{ID: 6, Kind: "GWProxy", Namespace: "epic-b", Object: "gw", Local: netip.MustParseAddrPort("192.0.2.40:6080"), State: NoKey},
		},
		Drops: map[dataplane.DropReason]uint64{"wrong-remote": 9, "ecn": 0}, Control: map[string]uint64{"ok": 12, "replay": 1, "bad-mac": 0},
		Flows:     []dataplane.AddressCounts{{Address: netip.MustParseAddr("192.168.77.2"), Noted: 7, Unknown: 1}},
		Fragments: []dataplane.AddressCounts{{Address: netip.MustParseAddr("192.168.77.2"), Noted: 3, Unknown: 2}},
		Applied:   1, Failed: 1, Repairs: 3, SendErrors: 2,
		Announcements: announce.Status{
			Peers: []announce.Peer{
				{Name: "tor-1", Address: netip.MustParseAddr("192.0.2.1"), Up: true, Since: start.Add(time.Hour - 10*time.Second), Refused: 3, HasBFD: true, BFDUp: true},
				{Name: "tor-2", Address: netip.MustParseAddr("2001:db8::1"), Message: "no answer"},
			},
			Layer2: []announce.Layer2{{Address: netip.MustParseAddr("203.0.113.6"), Interface: "eth0", Role: "Owner", Holder: "02:00:00:00:00:01"}},
			Routes: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/28")}, Waiting: []netip.Addr{netip.MustParseAddr("203.0.113.77")},
		},
	}
}

func (source) Trace(ctx context.Context, tunnel uint32, show func(dataplane.TraceEvent)) error {
	if tunnel == 6 {
		return errors.New("no such tunnel")
	}
	show(dataplane.TraceEvent{Tunnel: tunnel, Text: "a packet"})
	<-ctx.Done()
	return nil
}

func (s source) Ready() error { return s.ready }
func (source) Healthy() error { return nil }

func TestPrint(t *testing.T) {
	r := source{}.Report()
	var b bytes.Buffer
	if err := Print(&b, &r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`node 192.0.2.40, UDP port 6080, up 1h0m0s, state from: disk`, `PROBLEM: the API is away`, `eth0 +2 +1500 +tcx`,
		`web-1 +veth1 +7 +192.168.77.2`,
		`5 +LoadBalancer epic-a/web +192.0.2.40:6080 +198.51.100.7:40001 +up +1.5s +20ms +2 +1464 +3 packets, 1.5 KiB +4 packets, 5 MiB`,
		`6 +GWProxy epic-b/gw +192.0.2.40:6080 +- +no-key +- +-`, `wrong-remote +9`, `replay +1`,
		`tor-1 +192.0.2.1 +Up +Up +10s +3`, `tor-2 +2001:db8::1 +Down +- +- +0 +no answer`, `203.0.113.0/28`, `203.0.113.6 +eth0 +Owner +02:00:00:00:00:01`, `ADDRESS WAITING FOR TUNNELS\n203.0.113.77`,
	} {
		if !regexp.MustCompile(want).MatchString(b.String()) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "ecn") {
		t.Error("it lists a reason that did not occur")
	}
}

// Served and documented metrics are the same.
func TestMetricsDocumented(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	c := NewCollector(source{}, true)
	c.Delay.Observe(0.01)
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var served, listed []string
	for _, f := range families {
		served = append(served, f.GetName()+" "+strings.ToLower(f.GetType().String()))
	}
	doc, err := os.ReadFile("../../../docs/dataplane.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(epic_node_\\w+)` \\| (\\w+) \\|").FindAllStringSubmatch(string(doc), -1) {
		listed = append(listed, m[1]+" "+m[2])
	}
	slices.Sort(served)
	slices.Sort(listed)
	if !slices.Equal(served, listed) {
		t.Errorf("served are\n%s\nlisted are\n%s", strings.Join(served, "\n"), strings.Join(listed, "\n"))
	}
	want := `
# HELP epic_node_tunnels Tunnels that end on this node, by state: up, down, opening or no-key.
# TYPE epic_node_tunnels gauge
epic_node_tunnels{state="down"} 0
epic_node_tunnels{state="no-key"} 1
epic_node_tunnels{state="opening"} 0
epic_node_tunnels{state="up"} 1
# HELP epic_node_tunnel_received_bytes_total Bytes of inner packets received through a tunnel.
# TYPE epic_node_tunnel_received_bytes_total counter
epic_node_tunnel_received_bytes_total{kind="GWProxy",namespace="epic-b",object="gw",tunnel="6"} 0
epic_node_tunnel_received_bytes_total{kind="LoadBalancer",namespace="epic-a",object="web",tunnel="5"} 1536
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "epic_node_tunnels", "epic_node_tunnel_received_bytes_total"); err != nil {
		t.Error(err)
	}
	few := prometheus.NewPedanticRegistry()
	few.MustRegister(NewCollector(source{}, false))
	if n, err := testutil.GatherAndCount(few, "epic_node_tunnel_up"); err != nil || n != 0 {
		t.Errorf("%d series of tunnels, %v", n, err)
	}
}

func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s", "status.sock")
	client := NewClient(path)
	if _, err := client.Report(t.Context()); err == nil || !strings.Contains(err.Error(), "no node program responds at "+path) {
		t.Errorf("nobody is there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- ServeSocket(ctx, path, source{}) }()
	var r Report
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var err error
		if r, err = client.Report(t.Context()); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	want := source{}.Report()
	if r.Tunnels[0].Remote != want.Tunnels[0].Remote || !r.Tunnels[0].Seen.Equal(want.Tunnels[0].Seen) || r.Tunnels[1].Remote.IsValid() || r.Drops["wrong-remote"] != 9 {
		t.Errorf("report %+v", r)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for _, id := range []string{"0", "x", "2147483648", "-1"} {
		if err := client.Trace(t.Context(), id, io.Discard); err == nil || !strings.Contains(err.Error(), "specify a number") {
			t.Errorf("trace of %q: %v", id, err)
		}
	}
	var b bytes.Buffer
	if err := client.Trace(t.Context(), "6", &b); err == nil || !strings.Contains(err.Error(), "no such tunnel") {
		t.Errorf("%q, %v", b.String(), err)
	}
	// It would wait for packets forever.
	if err := client.Trace(t.Context(), "7", &b); err == nil || !strings.Contains(err.Error(), `no tunnel 7 ends on this node: "epic-node status" lists`) {
		t.Errorf("%q, %v", b.String(), err)
	}
	b.Reset()
	traced, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	if err := client.Trace(traced, "5", &b); err != nil || b.String() != "a packet\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// removed is a source whose tunnel is removed while it is traced.
type removed struct {
	source
	gone *atomic.Bool
}

func (s removed) Report() Report {
	r := s.source.Report()
	if s.gone.Load() {
		r.Tunnels = nil
	}
	return r
}

func (s removed) Trace(ctx context.Context, tunnel uint32, show func(dataplane.TraceEvent)) error {
	s.gone.Store(true)
	return s.source.Trace(ctx, tunnel, show)
}

func TestTraceOfATunnelThatIsRemoved(t *testing.T) {
	defer func(d time.Duration) { lookAtTraced = d }(lookAtTraced)
	lookAtTraced = 10 * time.Millisecond
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.SetPathValue("tunnel", "5")
		trace(w, r, removed{gone: &atomic.Bool{}})
	}))
	defer server.Close()
	client := &Client{http: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", server.Listener.Addr().String())
	}}}}
	defer client.http.CloseIdleConnections()
	var b bytes.Buffer
	if err := client.Trace(t.Context(), "5", &b); err == nil || !strings.Contains(err.Error(), "the trace ended: tunnel 5 was removed") || b.String() != "a packet\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestProbes(t *testing.T) {
	for _, c := range []struct {
		ready error
		want  int
	}{{nil, http.StatusOK}, {errors.New("not yet"), http.StatusServiceUnavailable}} {
		recorder := &answer{header: http.Header{}}
		probe(source{c.ready}.Ready)(recorder, nil)
		if recorder.code != c.want || c.ready != nil && !strings.Contains(recorder.String(), "not yet") {
			t.Errorf("%v: %d %s", c.ready, recorder.code, recorder.String())
		}
	}
}

type answer struct {
	bytes.Buffer
	header http.Header
	code   int
}

func (a *answer) Header() http.Header { return a.header }
func (a *answer) WriteHeader(n int)   { a.code = n }
func (a *answer) Write(b []byte) (int, error) {
	if a.code == 0 {
		a.code = http.StatusOK
	}
	return a.Buffer.Write(b)
}
