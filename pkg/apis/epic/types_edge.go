// SPDX-License-Identifier: Apache-2.0

package epic

// EdgeSpec configures how Envoys treat clients and endpoints. A service group's settings
// apply to all of its load balancers and gateway proxies. Each of them may set fields
// itself, as far as the group's edge-overrides allow. A field that it leaves out takes the
// group's value, or the field's default if the group has none. A proxy that is configured
// by an envoy-template ignores these settings.
type EdgeSpec struct {
	// Limits on concurrent connections. A load balancer or gateway proxy may always set
	// lower limits than its group, and never higher ones.
	ConnectionLimit *ConnectionLimit

	// Limits on the rate of requests and new connections. A load balancer or gateway proxy
	// may always set lower rates than its group, and never higher ones. Default: no limit.
	RateLimit *RateLimit

	// Where the PROXY protocol is used to carry client addresses.
	ProxyProtocol *ProxyProtocol

	// HTTP/3 on HTTPS listeners. Default: off.
	HTTP3 *HTTP3

	// How Envoys check whether endpoints work. Default: no checks.
	HealthCheck *HealthCheck

	// How Envoys avoid endpoints that fail requests. Default: off.
	OutlierDetection *OutlierDetection

	// What Envoys log for each request and connection.
	AccessLog *AccessLog

	// Where Envoys send traces of requests. Default: no tracing.
	Tracing *Tracing
}

// EdgePart is a part of the edge settings that a group may let its load balancers and
// gateway proxies set.
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

// Duration is a duration in the Gateway API's format, such as 10s, 500ms or 1h30m.
type Duration string

// EdgeMode turns a part of the edge settings on or off.
type EdgeMode string

const (
	// EdgeEnabled turns it on.
	EdgeEnabled EdgeMode = "Enabled"
	// EdgeDisabled turns it off.
	EdgeDisabled EdgeMode = "Disabled"
)

// ConnectionLimit limits the concurrent connections of one Envoy.
type ConnectionLimit struct {
	// Maximum number of client connections per listener, from 1 to 50000. Envoy closes
	// connections above it. An Envoy accepts at most 50000 connections on all listeners
	// together. Default: 50000.
	PerListener *int32

	// Maximum number of connections, and of concurrent requests, from one Envoy to the
	// endpoints of one backend, from 1 to 65536. Envoy answers requests above it with 503
	// and closes connections above it. Default: 65536.
	PerBackend *int32
}

// RateLimit limits the rate of requests and new connections. Each Envoy counts on its own,
// so a proxy with two replicas lets up to twice as many through.
type RateLimit struct {
	// Rate of requests that one HTTP or HTTPS listener accepts from all clients together.
	// Envoy answers requests above it with 429.
	Requests *Rate

	// Rate of requests that one HTTP or HTTPS listener accepts from one client address.
	// Envoy answers requests above it with 429. It tracks the 10000 addresses that sent
	// requests most recently.
	RequestsPerClient *Rate

	// Rate of new TCP connections that one listener accepts. Envoy closes connections above
	// it immediately.
	Connections *Rate
}

// Rate is a number of events per interval. Setting any part of it replaces the whole.
type Rate struct {
	// Number of events allowed per interval, from 1 to 1000000.
	Count int32

	// Length of the interval, from 100ms to 1h. Default: 1s.
	Interval Duration

	// Maximum number of simultaneous events after an idle period, from count to 1000000.
	// Default: count.
	Burst *int32
}

// ProxyProtocol configures where the PROXY protocol carries client addresses. The protocol
// is a header at the start of a TCP connection.
type ProxyProtocol struct {
	// Whether client connections start with the header. Use Required only for a proxy behind
	// a load balancer that sends the header. Envoy then trusts the address in the header and
	// closes connections without one. Anyone who can reach such a proxy directly can claim
	// any address. Can't be combined with HTTP/3, which has no such header. Default: None.
	Clients ProxyProtocolClients

	// Whether connections to endpoints start with the header, and which version to send.
	// The endpoints must expect it. Default: None.
	Backends ProxyProtocolVersion
}

// ProxyProtocolClients is whether clients send the PROXY protocol header.
type ProxyProtocolClients string

const (
	// ProxyProtocolNotExpected accepts connections without the header.
	ProxyProtocolNotExpected ProxyProtocolClients = "None"
	// ProxyProtocolRequired requires the header, of version 1 or 2.
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

// HTTP3 serves HTTP/3 on HTTPS listeners, on the UDP port with the same number, and
// advertises it to HTTP/1.1 and HTTP/2 clients with the Alt-Svc header. HTTP/3 is not
// served on a listener that requires client certificates, or if a UDP listener uses the
// port.
type HTTP3 struct {
	// Whether HTTP/3 is served. Default: Enabled if http3 is set at all.
	Mode EdgeMode

	// How long a client may remember that HTTP/3 is available, from 1s to 8760h. Default:
	// 24h.
	MaxAge Duration
}

// HealthCheckType is how an endpoint is checked.
type HealthCheckType string

const (
	// HealthCheckHTTP sends a GET request.
	HealthCheckHTTP HealthCheckType = "HTTP"
	// HealthCheckGRPC calls the gRPC health service.
	HealthCheckGRPC HealthCheckType = "GRPC"
	// HealthCheckTCP opens a connection.
	HealthCheckTCP HealthCheckType = "TCP"
	// HealthCheckNone turns checks off.
	HealthCheckNone HealthCheckType = "None"
)

// HealthCheck makes each Envoy check each endpoint through its tunnel. An endpoint gets
// requests after it has passed its first check and as long as it passes. If all endpoints
// fail, Envoy answers requests with 503. UDP endpoints are not checked.
type HealthCheck struct {
	// How endpoints are checked. HTTP applies to endpoints of HTTP routes, and GRPC to
	// endpoints of gRPC routes and others that speak HTTP/2. All other endpoints, including
	// those of load balancers, are checked by TCP instead. Default: HTTP if healthCheck is
	// set at all.
	Type HealthCheckType

	// Request and expected response of type HTTP.
	HTTP *HTTPHealthCheck

	// Call of type GRPC.
	GRPC *GRPCHealthCheck

	// Time between two checks of an endpoint, from 1s to 1h. Default: 10s.
	Interval Duration

	// Maximum duration of a check, from 100ms to 1m. Default: 2s.
	Timeout Duration

	// Number of consecutive failed checks after which an endpoint gets no more requests,
	// from 1 to 10. Default: 3. A failure of the first check of a new endpoint, and a
	// response with an unexpected status, take effect immediately.
	UnhealthyThreshold *int32

	// Number of consecutive successful checks after which a failed endpoint gets requests
	// again, from 1 to 10. Default: 2. A new endpoint needs one.
	HealthyThreshold *int32
}

// HTTPHealthCheck is a health check with a GET request.
type HTTPHealthCheck struct {
	// Path of the request, optionally with a query. Default: /.
	Path string

	// Hostname in the request. Default: the hostname against which the backend's
	// certificate is verified, or localhost.
	Host string

	// Lowest response status that passes, from 100 to 599. Default: 200.
	MinStatus *int32

	// Highest response status that passes, from 100 to 599. Default: 399.
	MaxStatus *int32
}

// GRPCHealthCheck is a health check with the gRPC health service.
type GRPCHealthCheck struct {
	// Name of the service to check. Default: the server as a whole.
	Service string
}

// OutlierErrors selects the failures that count against an endpoint.
type OutlierErrors string

const (
	// OutlierGatewayErrors counts failed connections, timeouts, and the statuses 502, 503
	// and 504.
	OutlierGatewayErrors OutlierErrors = "Gateway"
	// OutlierServerErrors also counts every other status from 500 on.
	OutlierServerErrors OutlierErrors = "Server"
)

// OutlierDetection temporarily removes endpoints that fail requests. Each Envoy decides
// from its own requests. UDP endpoints are not affected.
type OutlierDetection struct {
	// Whether outlier detection is on. Default: Enabled if outlierDetection is set at all.
	Mode EdgeMode

	// Which failures count. Default: Gateway.
	Errors OutlierErrors

	// Number of consecutive failures after which an endpoint is ejected, which means that
	// it gets no requests. From 1 to 1000. Default: 5.
	ConsecutiveErrors *int32

	// How often Envoy checks whether ejected endpoints can get requests again, from 1s to
	// 1h. Default: 10s.
	Interval Duration

	// How long an endpoint is ejected, from 1s to 24h, multiplied by the number of times
	// that it has been ejected. Default: 30s.
	BaseEjectionTime Duration

	// Maximum time for which an endpoint is ejected, from 1s to 24h. Default: 5m, or
	// baseEjectionTime if that is longer.
	MaxEjectionTime Duration

	// Maximum percentage of a backend's endpoints that may be ejected at the same time,
	// from 1 to 100. With 50, one of two endpoints can be ejected, and an only endpoint
	// never is. Default: 50.
	MaxEjectionPercent *int32
}

// AccessLogFormat is the format of a line in the access log.
type AccessLogFormat string

const (
	// AccessLogJSON writes JSON objects.
	AccessLogJSON AccessLogFormat = "JSON"
	// AccessLogText writes text.
	AccessLogText AccessLogFormat = "Text"
	// AccessLogNone turns the access log off.
	AccessLogNone AccessLogFormat = "None"
)

// AccessLog configures what Envoys write to their standard output for each request and
// connection.
type AccessLog struct {
	// Format of a line. Default: JSON.
	Format AccessLogFormat

	// The line for format Text, with Envoy's command operators, such as %START_TIME%
	// %REQ(:METHOD)% %RESPONSE_CODE%. Only command operators about the request, its
	// response and its connections are allowed.
	Text string

	// Additional fields for format JSON. A field with the name of a default field replaces
	// it, and an empty value removes it. The fields account and proxy can't be changed.
	Fields []AccessLogField
}

// AccessLogField is a field of a JSON access log line.
type AccessLogField struct {
	// Name of the field.
	Name string

	// Value of the field, with Envoy's command operators, such as %REQ(X-TENANT)%.
	Value string
}

// Tracing makes Envoys send traces of requests to an OpenTelemetry collector: one span for
// the request, with the account, the proxy, the route, the endpoint and its client node,
// and one span for each attempt. Endpoints receive the trace context in the headers
// traceparent and tracestate. Envoy removes these headers from client requests.
type Tracing struct {
	// Whether requests are traced. Default: Enabled if tracing is set at all.
	Mode EdgeMode

	// Where traces are sent. A group must set it; a load balancer or gateway proxy can't.
	Collector *TraceCollector

	// Number of requests in a million that are traced, from 0 to 1000000. Default: 10000,
	// which is one in a hundred.
	RequestsPerMillion *int32
}

// TraceCollector is a server that receives traces by OTLP over gRPC without TLS, such as
// the OpenTelemetry Collector. Envoys connect to it from the gateway nodes.
type TraceCollector struct {
	// DNS name or IP address of the server.
	Host string

	// Port of the server. Default: 4317.
	Port *int32
}
