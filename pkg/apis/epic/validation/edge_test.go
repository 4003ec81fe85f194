// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

func validEdge() *epic.EdgeSpec {
	return &epic.EdgeSpec{
		ConnectionLimit: &epic.ConnectionLimit{PerListener: num(1), PerBackend: num(65536)},
		RateLimit: &epic.RateLimit{
			Requests: &epic.Rate{Count: 1}, RequestsPerClient: &epic.Rate{Count: 10, Interval: "100ms", Burst: num(10)},
			Connections: &epic.Rate{Count: 1000000, Interval: "1h", Burst: num(1000000)},
		},
		ProxyProtocol: &epic.ProxyProtocol{Clients: epic.ProxyProtocolNotExpected, Backends: epic.ProxyProtocolV2},
		HTTP3:         &epic.HTTP3{Mode: epic.EdgeEnabled, MaxAge: "1h30m"},
		HealthCheck: &epic.HealthCheck{
			Type: epic.HealthCheckHTTP, HTTP: &epic.HTTPHealthCheck{Path: "/healthz?full=1", Host: "www.example.com", MinStatus: num(200), MaxStatus: num(200)},
			Interval: "1s", Timeout: "100ms", UnhealthyThreshold: num(1), HealthyThreshold: num(10),
		},
		OutlierDetection: &epic.OutlierDetection{
			Mode: epic.EdgeEnabled, Errors: epic.OutlierServerErrors, ConsecutiveErrors: num(1000), Interval: "1h",
			BaseEjectionTime: "24h", MaxEjectionTime: "24h", MaxEjectionPercent: num(100),
		},
		AccessLog: &epic.AccessLog{Format: epic.AccessLogJSON, Fields: []epic.AccessLogField{{Name: "tenant", Value: "%REQ(X-TENANT?X-ACCOUNT):20%"}, {Name: "status"}}},
		Tracing:   &epic.Tracing{Mode: epic.EdgeEnabled, Collector: &epic.TraceCollector{Host: "otel.observability.svc", Port: num(65535)}, RequestsPerMillion: num(1_000_000)},
	}
}

func TestEdge(t *testing.T) {
	one := func(e *epic.EdgeSpec) field.ErrorList { return edge(field.NewPath("edge"), e) }
	rates := func(r epic.Rate) func(*epic.EdgeSpec) {
		return func(e *epic.EdgeSpec) { e.RateLimit.Requests = &r }
	}
	log := func(l epic.AccessLog) func(*epic.EdgeSpec) { return func(e *epic.EdgeSpec) { e.AccessLog = &l } }
	creations(t, validEdge, one, []change[epic.EdgeSpec]{
		{"nothing", func(e *epic.EdgeSpec) { *e = epic.EdgeSpec{} }, "", ""},
		{"empty parts", func(e *epic.EdgeSpec) {
			*e = epic.EdgeSpec{
				ConnectionLimit: &epic.ConnectionLimit{}, RateLimit: &epic.RateLimit{}, ProxyProtocol: &epic.ProxyProtocol{}, HTTP3: &epic.HTTP3{},
				HealthCheck: &epic.HealthCheck{}, OutlierDetection: &epic.OutlierDetection{}, AccessLog: &epic.AccessLog{}, Tracing: &epic.Tracing{},
			}
		}, "", ""},
		{"no connections", func(e *epic.EdgeSpec) { e.ConnectionLimit.PerListener = num(0) }, "edge.connectionLimit.perListener", "from 1 to 50000"},
		{"many connections", func(e *epic.EdgeSpec) { e.ConnectionLimit.PerBackend = num(65537) }, "edge.connectionLimit.perBackend", "from 1 to 65536"},
		{"a rate of nothing", rates(epic.Rate{}), "edge.rateLimit.requests.count", "from 1 to 1000000"},
		{"a short interval", rates(epic.Rate{Count: 1, Interval: "99ms"}), "edge.rateLimit.requests.interval", "from 100ms to 1h"},
		{"a long interval", rates(epic.Rate{Count: 1, Interval: "3601s"}), "edge.rateLimit.requests.interval", "from 100ms to 1h"},
		{"no interval", rates(epic.Rate{Count: 1, Interval: "soon"}), "edge.rateLimit.requests.interval", "such as 10s, 500ms or 1h30m"},
		{"Go's own form", rates(epic.Rate{Count: 1, Interval: "1.5s"}), "edge.rateLimit.requests.interval", "must be a duration"},
		{"a burst below the rate", rates(epic.Rate{Count: 2, Burst: num(1)}), "edge.rateLimit.requests.burst", "from 2 to"},
		{"unknown PROXY protocol", func(e *epic.EdgeSpec) { e.ProxyProtocol.Backends = "V3" }, "edge.proxyProtocol.backends", "use one of None, V1, V2"},
		{"unknown clients", func(e *epic.EdgeSpec) { e.ProxyProtocol.Clients = "Optional" }, "edge.proxyProtocol.clients", "use one of None, Required"},
		{"HTTP/3 behind the PROXY protocol", func(e *epic.EdgeSpec) { e.ProxyProtocol.Clients = epic.ProxyProtocolRequired }, "edge.http3.mode", "set mode to Disabled"},
		{"no HTTP/3 behind it", func(e *epic.EdgeSpec) {
			e.ProxyProtocol.Clients, e.HTTP3.Mode = epic.ProxyProtocolRequired, epic.EdgeDisabled
		}, "", ""},
		{"unknown mode", func(e *epic.EdgeSpec) { e.HTTP3.Mode = "true" }, "edge.http3.mode", "use one of Enabled, Disabled"},
		{"age", func(e *epic.EdgeSpec) { e.HTTP3.MaxAge = "0s" }, "edge.http3.maxAge", "from 1s to 8760h"},
		{"unknown check", func(e *epic.EdgeSpec) { e.HealthCheck = &epic.HealthCheck{Type: "ICMP"} }, "edge.healthCheck.type", "use one of HTTP, GRPC, TCP, None"},
		{"settings of another check", func(e *epic.EdgeSpec) { e.HealthCheck.Type = epic.HealthCheckTCP }, "edge.healthCheck.http", "is for type HTTP, and the type is TCP"},
		{"settings of gRPC", func(e *epic.EdgeSpec) { e.HealthCheck.GRPC = &epic.GRPCHealthCheck{} }, "edge.healthCheck.grpc", "is for type GRPC"},
		{"a service with a space", func(e *epic.EdgeSpec) {
			e.HealthCheck = &epic.HealthCheck{Type: epic.HealthCheckGRPC, GRPC: &epic.GRPCHealthCheck{Service: "a b"}}
		}, "edge.healthCheck.grpc.service", "spaces"},
		{"a path that is none", func(e *epic.EdgeSpec) { e.HealthCheck.HTTP.Path = "healthz" }, "edge.healthCheck.http.path", "such as /healthz"},
		{"a path that is two headers", func(e *epic.EdgeSpec) { e.HealthCheck.HTTP.Path = "/ HTTP/1.1\r\nA: b" }, "edge.healthCheck.http.path", "printable"},
		{"a fragment", func(e *epic.EdgeSpec) { e.HealthCheck.HTTP.Path = "/#a" }, "edge.healthCheck.http.path", "#"},
		{"a long path", func(e *epic.EdgeSpec) { e.HealthCheck.HTTP.Path = "/" + long(1024) }, "edge.healthCheck.http.path", "at most 1024"},
		{"no host", func(e *epic.EdgeSpec) { e.HealthCheck.HTTP.Host = "a b" }, "edge.healthCheck.http.host", "DNS name"},
		{"a status", func(e *epic.EdgeSpec) { e.HealthCheck.HTTP.MaxStatus = num(600) }, "edge.healthCheck.http.maxStatus", "from 100 to 599"},
		{"statuses in no order", func(e *epic.EdgeSpec) { e.HealthCheck.HTTP.MinStatus = num(201) }, "edge.healthCheck.http.maxStatus", "below minStatus"},
		{"many checks", func(e *epic.EdgeSpec) { e.HealthCheck.Interval = "999ms" }, "edge.healthCheck.interval", "from 1s to 1h"},
		{"long checks", func(e *epic.EdgeSpec) { e.HealthCheck.Timeout = "61s" }, "edge.healthCheck.timeout", "from 100ms to 1m"},
		{"many failures", func(e *epic.EdgeSpec) { e.HealthCheck.UnhealthyThreshold = num(11) }, "edge.healthCheck.unhealthyThreshold", "from 1 to 10"},
		{"no success", func(e *epic.EdgeSpec) { e.HealthCheck.HealthyThreshold = num(0) }, "edge.healthCheck.healthyThreshold", "from 1 to 10"},
		{"unknown errors", func(e *epic.EdgeSpec) { e.OutlierDetection.Errors = "All" }, "edge.outlierDetection.errors", "use one of Gateway, Server"},
		{"no errors", func(e *epic.EdgeSpec) { e.OutlierDetection.ConsecutiveErrors = num(0) }, "edge.outlierDetection.consecutiveErrors", "from 1 to 1000"},
		{"times in no order", func(e *epic.EdgeSpec) { e.OutlierDetection.MaxEjectionTime = "1h" }, "edge.outlierDetection.maxEjectionTime", "below baseEjectionTime"},
		{"more than all", func(e *epic.EdgeSpec) { e.OutlierDetection.MaxEjectionPercent = num(101) }, "edge.outlierDetection.maxEjectionPercent", "from 1 to 100"},
		{"unknown format", log(epic.AccessLog{Format: "CSV"}), "edge.accessLog.format", "use one of JSON, Text, None"},
		{"text without a line", log(epic.AccessLog{Format: epic.AccessLogText}), "edge.accessLog.text", "requires text"},
		{"a line without its format", log(epic.AccessLog{Text: "a"}), "edge.accessLog.text", "set format to Text"},
		{"fields of text", log(epic.AccessLog{Format: epic.AccessLogText, Text: "a", Fields: []epic.AccessLogField{{Name: "a"}}}), "edge.accessLog.fields", "set format to JSON"},
		{"a field without a name", log(epic.AccessLog{Fields: []epic.AccessLogField{{}}}), "edge.accessLog.fields[0].name", "1 to 63"},
		{"another's name", log(epic.AccessLog{Fields: []epic.AccessLogField{{Name: "account", Value: "other"}}}), "edge.accessLog.fields[0].name", "is always set"},
		{"a field twice", log(epic.AccessLog{Fields: []epic.AccessLogField{{Name: "a"}, {Name: "a"}}}), "edge.accessLog.fields[1].name", "Duplicate"},
		{"many fields", log(epic.AccessLog{Fields: times(65, func(i int) epic.AccessLogField { return epic.AccessLogField{Name: fmt.Sprint("f", i)} })}), "edge.accessLog.fields", "more than 64"},
		{"unknown mode of tracing", func(e *epic.EdgeSpec) { e.Tracing.Mode = "On" }, "edge.tracing.mode", "use one of Enabled, Disabled"},
		{"a collector at an address", func(e *epic.EdgeSpec) { e.Tracing.Collector.Host = "2001:db8::1" }, "", ""},
		{"a collector without a name", func(e *epic.EdgeSpec) { e.Tracing.Collector.Host = "" }, "edge.tracing.collector.host", "DNS name"},
		{"a collector with its port", func(e *epic.EdgeSpec) { e.Tracing.Collector.Host = "otel:4317" }, "edge.tracing.collector.host", "DNS name"},
		{"any collector", func(e *epic.EdgeSpec) { e.Tracing.Collector.Host = "*.example.com" }, "edge.tracing.collector.host", "without the wildcard"},
		{"no port of a collector", func(e *epic.EdgeSpec) { e.Tracing.Collector.Port = num(0) }, "edge.tracing.collector.port", "from 1 to 65535"},
		{"more than all traced", func(e *epic.EdgeSpec) { e.Tracing.RequestsPerMillion = num(1_000_001) }, "edge.tracing.requestsPerMillion", "from 0 to 1000000"},
		{"nothing traced", func(e *epic.EdgeSpec) { e.Tracing.RequestsPerMillion = num(0) }, "", ""},
		{"a long value", log(epic.AccessLog{Fields: []epic.AccessLogField{{Name: "a", Value: long(1025)}}}), "edge.accessLog.fields[0].value", "shorten it to 1024"},
	})
	creations(t, validEdge, func(e *epic.EdgeSpec) field.ErrorList { return groupEdge(field.NewPath("edge"), e) }, []change[epic.EdgeSpec]{
		{"a group without a collector", func(e *epic.EdgeSpec) { e.Tracing.Collector = nil }, "edge.tracing.collector", "set it, or set mode to Disabled"},
		{"nor needs one", func(e *epic.EdgeSpec) { e.Tracing = &epic.Tracing{Mode: epic.EdgeDisabled} }, "", ""},
		{"no settings", func(e *epic.EdgeSpec) { *e = epic.EdgeSpec{} }, "", ""},
	})
	creations(t, func() *[]epic.EdgePart { return &[]epic.EdgePart{epic.EdgeAccessLog, epic.EdgeHTTP3} }, func(parts *[]epic.EdgePart) field.ErrorList {
		return overrides(field.NewPath("edge-overrides"), *parts)
	}, []change[[]epic.EdgePart]{
		{"a part twice", func(p *[]epic.EdgePart) { *p = append(*p, epic.EdgeHTTP3) }, "edge-overrides[2]", "Duplicate"},
		{"unknown part", func(p *[]epic.EdgePart) { *p = append(*p, "RateLimit") }, "edge-overrides[2]", "use one of AccessLog"},
	})
}

// A load balancer has no settings that are about requests.
func TestStreamEdge(t *testing.T) {
	valid := func() *epic.EdgeSpec {
		e := validEdge()
		e.HTTP3, e.Tracing, e.RateLimit.Requests, e.RateLimit.RequestsPerClient = nil, nil, nil, nil
		e.HealthCheck.Type, e.HealthCheck.HTTP = epic.HealthCheckTCP, nil
		return e
	}
	creations(t, valid, func(e *epic.EdgeSpec) field.ErrorList { return streamEdge(field.NewPath("edge"), e) }, []change[epic.EdgeSpec]{
		{"HTTP/3", func(e *epic.EdgeSpec) { e.HTTP3 = &epic.HTTP3{} }, "edge.http3", "use a gateway proxy"},
		{"requests", func(e *epic.EdgeSpec) { e.RateLimit.Requests = &epic.Rate{Count: 1} }, "edge.rateLimit.requests", "use a gateway proxy"},
		{"requests of a client", func(e *epic.EdgeSpec) { e.RateLimit.RequestsPerClient = &epic.Rate{Count: 1} }, "edge.rateLimit.requestsPerClient", "use a gateway proxy"},
		{"traces", func(e *epic.EdgeSpec) { e.Tracing = &epic.Tracing{} }, "edge.tracing", "use a gateway proxy"},
		{"HTTP checks", func(e *epic.EdgeSpec) { e.HealthCheck.Type = epic.HealthCheckHTTP }, "edge.healthCheck.type", "use TCP or None"},
		{"gRPC checks", func(e *epic.EdgeSpec) { e.HealthCheck.Type = epic.HealthCheckGRPC }, "edge.healthCheck.type", "use TCP or None"},
	})
}
