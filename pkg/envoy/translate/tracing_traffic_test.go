// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// collector takes traces by OTLP.
type collector struct {
	collectorv1.UnimplementedTraceServiceServer
	spans chan *tracev1.ResourceSpans
}

func newCollector(t *testing.T) (*collector, *net.TCPAddr) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, server := &collector{spans: make(chan *tracev1.ResourceSpans, 1000)}, grpc.NewServer()
	collectorv1.RegisterTraceServiceServer(server, c)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return c, listener.Addr().(*net.TCPAddr)
}

func (c *collector) Export(_ context.Context, r *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	for _, s := range r.ResourceSpans {
		c.spans <- s
	}
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

// traceOf waits for the spans of a trace, of the request and of each attempt.
func (c *collector) traceOf(t *testing.T, id string, spans int) (service string, all []*tracev1.Span) {
	t.Helper()
	for len(all) < spans {
		select {
		case r := <-c.spans:
			for _, a := range r.GetResource().GetAttributes() {
				if a.Key == "service.name" {
					service = a.Value.GetStringValue()
				}
			}
			for _, scope := range r.ScopeSpans {
				all = append(all, slices.DeleteFunc(scope.Spans, func(s *tracev1.Span) bool { return hex.EncodeToString(s.TraceId) != id })...)
			}
		case <-time.After(patience):
			t.Fatalf("only %d spans of the trace came", len(all))
		}
	}
	return service, all
}

func attributes(s *tracev1.Span) map[string]string {
	all := map[string]string{}
	for _, a := range s.Attributes {
		all[a.Key] = a.Value.GetStringValue()
	}
	return all
}

// traceparent is what an endpoint got in this header, by its answer.
func traceparent(body string) string {
	var got struct{ Header http.Header }
	_ = json.Unmarshal([]byte(body), &got)
	return got.Header.Get("Traceparent")
}

// A trace leads from a request to the endpoint and the client node whose tunnel it took, and
// shows each attempt. No client decides what is traced.
func TestTracingTraffic(t *testing.T) {
	e, web := newEdgeTest(t), newBackend(t, "web")
	traces, address := newCollector(t)
	settings := func(perMillion int) string {
		return fmt.Sprintf("{tracing: {collector: {host: 127.0.0.1, port: %d}, requestsPerMillion: %d}}", address.Port, perMillion)
	}
	forged := "11111111111111111111111111111111"
	ask := func(r *http.Request) {
		r.Header.Set("traceparent", "00-"+forged+"-2222222222222222-01")
		r.Header.Set("tracestate", "visitor=1")
		r.Header.Set("X-Client-Trace-Id", "x")
		r.Header.Set("X-Envoy-Force-Trace", "1")
	}
	e.serve(settings(1_000_000), web)
	status, _, body, err := e.get("http", ask)
	if err != nil || status != http.StatusOK {
		t.Fatalf("status %d, %v", status, err)
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(traceparent(body), "00-"), "-")
	if id == "" || id == forged || strings.Contains(body, "visitor=1") {
		t.Errorf("the client's trace reaches the endpoint: %s", body)
	}
	service, spans := traces.traceOf(t, id, 2)
	if service != "epic-acme/gw" {
		t.Errorf("the service is %q", service)
	}
	request := slices.IndexFunc(spans, func(s *tracev1.Span) bool { return s.Kind == tracev1.Span_SPAN_KIND_SERVER })
	if request < 0 {
		t.Fatalf("no span of the request: %v", spans)
	}
	got := attributes(spans[request])
	for key, want := range map[string]string{
		"epic.proxy": "GWProxy/gw", "epic.endpoint": web.String(), "epic.client_node": "192.168.1.1", "epic.route": "r/http/0", "http.status_code": "200", "upstream_cluster": "web/80",
	} {
		if !strings.HasPrefix(got[key], want) {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	if attempt := spans[1-request]; string(attempt.ParentSpanId) != string(spans[request].SpanId) {
		t.Errorf("the attempt is no part of the request: %v", attempt)
	}

	// Nothing is traced by chance now, and nobody can ask for it.
	e.serve(settings(0), web)
	eventually(t, func() string {
		_, _, body, err := e.get("http", ask)
		if err != nil {
			return err.Error()
		}
		if sampled := strings.HasSuffix(traceparent(body), "-01"); sampled {
			return "requests are still traced: " + body
		}
		return ""
	})
	for range 20 {
		if _, _, body, err := e.get("http", ask); err != nil || strings.HasSuffix(traceparent(body), "-01") {
			t.Errorf("a request is traced: %v, %s", err, body)
		}
	}
}
