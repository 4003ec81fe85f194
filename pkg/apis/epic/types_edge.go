// SPDX-License-Identifier: Apache-2.0

package epic

// EdgeSpec sets how Envoys treat clients and endpoints. A service group has it for all of
// its load balancers and gateway proxies. Each of them may set fields itself, as far as
// the group's edge-overrides allow it: a field that it leaves out has the group's value,
// and the field's default if the group has none. A proxy that is configured by an
// envoy-template takes everything from that and ignores these settings.
type EdgeSpec struct {
	// How many connections there may be. A load balancer or gateway proxy may always set
	// lower numbers than its group, and never higher ones.
	ConnectionLimit *ConnectionLimit

	// How many requests and new connections there may be in a time. A load balancer or
	// gateway proxy may always set lower rates than its group, and never higher ones.
	// Default: any number.
	RateLimit *RateLimit

	// Where the PROXY protocol carries the addresses of clients.
	ProxyProtocol *ProxyProtocol

	// HTTP/3 at HTTPS listeners. Default: none.
	HTTP3 *HTTP3

	// How Envoys check whether endpoints work. Default: they do not.
	HealthCheck *HealthCheck

	// How Envoys avoid endpoints that fail requests. Default: they do not.
	OutlierDetection *OutlierDetection

	// What Envoys write for each request and connection.
	AccessLog *AccessLog

	// Where Envoys send traces of requests. Default: nowhere.
	Tracing *Tracing
}

// EdgePart is a part of edge settings that a group may leave to its load balancers and
// gateway proxies.
type EdgePart string

const (
	// EdgeAccessLog is accessLog.
	EdgeAccessLog EdgePart = "AccessLog"
	// EdgeHealthCheck is healthCheck.
	EdgeHealthCheck EdgePart = "HealthCheck"
	// EdgeHTTP3 is http3.
	EdgeHTTP3 EdgePart = "HTTP3"
	// EdgeOutlierDetection is outlierDetection.
	EdgeOutlierDetection EdgePart = "OutlierDetection"
	// EdgeProxyProtocol is proxyProtocol.
	EdgeProxyProtocol EdgePart = "ProxyProtocol"
	// EdgeTracing is tracing, except for its collector.
	EdgeTracing EdgePart = "Tracing"
)

// Duration is a time in the form of the Gateway API, such as 10s, 500ms or 1h30m.
type Duration string

// EdgeMode turns a part of edge settings on or off.
type EdgeMode string

const (
	// EdgeEnabled turns it on.
	EdgeEnabled EdgeMode = "Enabled"
	// EdgeDisabled turns it off.
	EdgeDisabled EdgeMode = "Disabled"
)

// ConnectionLimit bounds the connections of one Envoy.
type ConnectionLimit struct {
	// How many connections of clients a listener holds, from 1 to 50000. More are
	// closed. One Envoy holds 50000 together. Default: 50000.
	PerListener *int32

	// How many connections, and how many requests, an Envoy has to the endpoints of one
	// backend, from 1 to 65536. More requests are answered with 503, and more
	// connections closed. Default: 65536.
	PerBackend *int32
}

// RateLimit bounds requests and new connections. Each Envoy counts by itself, so a proxy
// with two replicas lets up to twice as many through.
type RateLimit struct {
	// How many requests one HTTP or HTTPS listener takes from all clients together. More
	// are answered with 429.
	Requests *Rate

	// How many requests one HTTP or HTTPS listener takes from one client address. More
	// are answered with 429. The addresses that sent requests last are counted, up to
	// 10000.
	RequestsPerClient *Rate

	// How many new TCP connections one listener takes. More are closed at once.
	Connections *Rate
}

// Rate is a number in a time. Setting any part of it sets the whole.
type Rate struct {
	// How many there may be in an interval, from 1 to 1000000.
	Count int32

	// The interval, from 100ms to 1h. Default: 1s.
	Interval Duration

	// How many there may be at once after a quiet time, from count to 1000000. Default:
	// count.
	Burst *int32
}

// ProxyProtocol sets where the PROXY protocol carries the addresses of clients. It is a
// header at the start of a TCP connection.
type ProxyProtocol struct {
	// Whether connections of clients start with the header. Required is for proxies
	// behind a load balancer that sends it: the address in the header is believed, and a
	// connection without is closed. Anybody who reaches such a proxy directly can claim
	// any address. It can't be used together with HTTP/3, which has no such header.
	// Default: None.
	Clients ProxyProtocolClients

	// Whether connections to endpoints start with the header, and in which version. The
	// endpoints must expect it. Default: None.
	Backends ProxyProtocolVersion
}

// ProxyProtocolClients is whether clients send the header of the PROXY protocol.
type ProxyProtocolClients string

const (
	// ProxyProtocolNotExpected is for clients that connect directly.
	ProxyProtocolNotExpected ProxyProtocolClients = "None"
	// ProxyProtocolRequired is for clients behind a load balancer that sends version 1 or
	// 2.
	ProxyProtocolRequired ProxyProtocolClients = "Required"
)

// ProxyProtocolVersion is a version of the PROXY protocol, or none.
type ProxyProtocolVersion string

const (
	// ProxyProtocolNone sends no header.
	ProxyProtocolNone ProxyProtocolVersion = "None"
	// ProxyProtocolV1 sends a line of text.
	ProxyProtocolV1 ProxyProtocolVersion = "V1"
	// ProxyProtocolV2 sends the binary form.
	ProxyProtocolV2 ProxyProtocolVersion = "V2"
)

// HTTP3 serves HTTP/3 at HTTPS listeners, on the UDP port of the same number, and
// tells clients of HTTP/1.1 and HTTP/2 by the header Alt-Svc. A listener whose
// clients need certificates does not serve it, and neither does one whose port a
// UDP listener uses.
type HTTP3 struct {
	// Whether HTTP/3 is served. Default: Enabled, if http3 is set at all.
	Mode EdgeMode

	// For how long a client may use HTTP/3 without being told again, from 1s to 8760h.
	// Default: 24h.
	MaxAge Duration
}

// HealthCheckType is how an endpoint is checked.
type HealthCheckType string

const (
	// HealthCheckHTTP sends a GET request.
	HealthCheckHTTP HealthCheckType = "HTTP"
	// HealthCheckGRPC calls the health service of gRPC.
	HealthCheckGRPC HealthCheckType = "GRPC"
	// HealthCheckTCP connects.
	HealthCheckTCP HealthCheckType = "TCP"
	// HealthCheckNone does nothing.
	HealthCheckNone HealthCheckType = "None"
)

// HealthCheck has each Envoy check each endpoint, through its tunnel. An endpoint
// gets no requests before it has passed a check or while it fails them; if all
// fail, requests are answered with 503. Endpoints of UDP are not checked.
type HealthCheck struct {
	// How endpoints are checked. HTTP is for endpoints of HTTP routes, and GRPC for those
	// of gRPC routes and others that speak HTTP/2; other endpoints, and those of load
	// balancers, are checked by TCP instead. Default: HTTP, if healthCheck is set at all.
	Type HealthCheckType

	// The request and the answer of type HTTP.
	HTTP *HTTPHealthCheck

	// The call of type GRPC.
	GRPC *GRPCHealthCheck

	// The time between two checks of an endpoint, from 1s to 1h. Default: 10s.
	Interval Duration

	// How long a check may take, from 100ms to 1m. Default: 2s.
	Timeout Duration

	// How many checks in a row an endpoint fails until it gets no more requests, from 1
	// to 10. Default: 3. The first check of a new endpoint, and an answer with a status
	// that is not expected, count at once.
	UnhealthyThreshold *int32

	// How many checks in a row an endpoint that failed passes until it gets requests
	// again, from 1 to 10. Default: 2. A new endpoint needs one.
	HealthyThreshold *int32
}

// HTTPHealthCheck is a check by a GET request.
type HTTPHealthCheck struct {
	// The path of the request, perhaps with a query. Default: /.
	Path string

	// The hostname in the request. Default: the hostname by which the backend's
	// certificate is verified, or localhost.
	Host string

	// The lowest status of an answer that passes, from 100 to 599. Default: 200.
	MinStatus *int32

	// The highest status of an answer that passes, from 100 to 599. Default: 399.
	MaxStatus *int32
}

// GRPCHealthCheck is a check by the health service of gRPC.
type GRPCHealthCheck struct {
	// The service that is asked about. Default: the server as a whole.
	Service string
}

// OutlierErrors are the failures that count against an endpoint.
type OutlierErrors string

const (
	// OutlierGatewayErrors are connections that fail, timeouts, and the statuses 502, 503
	// and 504.
	OutlierGatewayErrors OutlierErrors = "Gateway"
	// OutlierServerErrors are those and every other status from 500 on.
	OutlierServerErrors OutlierErrors = "Server"
)

// OutlierDetection keeps requests from endpoints that fail them, for a while. Each Envoy
// judges by its own requests. Endpoints of UDP are not judged.
type OutlierDetection struct {
	// Whether endpoints are judged. Default: Enabled, if outlierDetection is set at all.
	Mode EdgeMode

	// Which failures count. Default: Gateway.
	Errors OutlierErrors

	// After how many failures in a row an endpoint gets no requests, from 1 to 1000.
	// Default: 5.
	ConsecutiveErrors *int32

	// How often Envoy checks whether such endpoints get requests again, from 1s to
	// 1h. Default: 10s.
	Interval Duration

	// For how long an endpoint gets no requests, from 1s to 24h, times the number of
	// times that this has happened. Default: 30s.
	BaseEjectionTime Duration

	// The longest such time, from 1s to 24h. Default: 5m, or baseEjectionTime if that is
	// longer.
	MaxEjectionTime Duration

	// The largest part of the endpoints of a backend that may get no requests, in
	// percent, from 1 to 100. With 50, one of two endpoints, and never the only
	// one. Default: 50.
	MaxEjectionPercent *int32
}

// AccessLogFormat is the form of a line in the access log.
type AccessLogFormat string

const (
	// AccessLogJSON is an object in JSON.
	AccessLogJSON AccessLogFormat = "JSON"
	// AccessLogText is text.
	AccessLogText AccessLogFormat = "Text"
	// AccessLogNone is no line.
	AccessLogNone AccessLogFormat = "None"
)

// AccessLog sets what Envoys write to their standard output for each request and
// connection.
type AccessLog struct {
	// The form of a line. Default: JSON.
	Format AccessLogFormat

	// The line of format Text, with Envoy's command operators, such as %START_TIME%
	// %REQ(:METHOD)% %RESPONSE_CODE%. The operators are those about the request,
	// its answer and its connections.
	Text string

	// Further fields of format JSON. A field with the name of a usual one replaces it, and
	// an empty value removes it, except for account and proxy.
	Fields []AccessLogField
}

// AccessLogField is a field of a line in JSON.
type AccessLogField struct {
	// The name of the field.
	Name string

	// The value, with Envoy's command operators, such as %REQ(X-TENANT)%.
	Value string
}

// Tracing has Envoys send traces of requests to a collector of OpenTelemetry: a span of the
// request, with the account, the proxy, the route, the endpoint and its client node, and one
// of each attempt. Endpoints get the trace in the headers traceparent and tracestate; what
// clients send in them is removed.
type Tracing struct {
	// Whether requests are traced. Default: Enabled, if tracing is set at all.
	Mode EdgeMode

	// Where traces go. Only a group can set it, and has to.
	Collector *TraceCollector

	// How many requests of a million are traced, from 0 to 1000000. Default: 10000, which
	// is one in a hundred.
	RequestsPerMillion *int32
}

// TraceCollector is a server that takes traces by OTLP over gRPC without TLS, such as the
// OpenTelemetry Collector. Envoys reach it from the gateway nodes.
type TraceCollector struct {
	// The DNS name or IP address of the server.
	Host string

	// The port. Default: 4317.
	Port *int32
}
