// SPDX-License-Identifier: Apache-2.0

package v1

// EdgeSpec configures how Envoys treat clients and endpoints. A service group's settings
// apply to all of its load balancers and gateway proxies. Each of them may set fields
// itself, as far as the group's edge-overrides allow. A field that it leaves out takes the
// group's value, or the field's default if the group has none. A proxy that is configured
// by an envoy-template ignores these settings.
type EdgeSpec struct {
	// Limits on concurrent connections. A load balancer or gateway proxy may always set
	// lower limits than its group, and never higher ones.
	// +optional
	ConnectionLimit *ConnectionLimit `json:"connectionLimit,omitempty" protobuf:"bytes,1,opt,name=connectionLimit"`

	// Limits on the rate of requests and new connections. A load balancer or gateway proxy
	// may always set lower rates than its group, and never higher ones. Default: no limit.
	// +optional
	RateLimit *RateLimit `json:"rateLimit,omitempty" protobuf:"bytes,2,opt,name=rateLimit"`

	// Where the PROXY protocol is used to carry client addresses.
	// +optional
	ProxyProtocol *ProxyProtocol `json:"proxyProtocol,omitempty" protobuf:"bytes,3,opt,name=proxyProtocol"`

	// HTTP/3 on HTTPS listeners. Default: off.
	// +optional
	HTTP3 *HTTP3 `json:"http3,omitempty" protobuf:"bytes,4,opt,name=http3"`

	// How Envoys check whether endpoints work. Default: no checks.
	// +optional
	HealthCheck *HealthCheck `json:"healthCheck,omitempty" protobuf:"bytes,5,opt,name=healthCheck"`

	// How Envoys avoid endpoints that fail requests. Default: off.
	// +optional
	OutlierDetection *OutlierDetection `json:"outlierDetection,omitempty" protobuf:"bytes,6,opt,name=outlierDetection"`

	// What Envoys log for each request and connection.
	// +optional
	AccessLog *AccessLog `json:"accessLog,omitempty" protobuf:"bytes,7,opt,name=accessLog"`

	// Where Envoys send traces of requests. Default: no tracing.
	// +optional
	Tracing *Tracing `json:"tracing,omitempty" protobuf:"bytes,8,opt,name=tracing"`
}

// EdgePart is a part of the edge settings that a group may let its load balancers and
// gateway proxies set.
// +enum
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
// +enum
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
	// +optional
	PerListener *int32 `json:"perListener,omitempty" protobuf:"varint,1,opt,name=perListener"`

	// Maximum number of connections, and of concurrent requests, from one Envoy to the
	// endpoints of one backend, from 1 to 65536. Envoy answers requests above it with 503
	// and closes connections above it. Default: 65536.
	// +optional
	PerBackend *int32 `json:"perBackend,omitempty" protobuf:"varint,2,opt,name=perBackend"`
}

// RateLimit limits the rate of requests and new connections. Each Envoy counts on its own,
// so a proxy with two replicas lets up to twice as many through.
type RateLimit struct {
	// Rate of requests that one HTTP or HTTPS listener accepts from all clients together.
	// Envoy answers requests above it with 429.
	// +optional
	Requests *Rate `json:"requests,omitempty" protobuf:"bytes,1,opt,name=requests"`

	// Rate of requests that one HTTP or HTTPS listener accepts from one client address.
	// Envoy answers requests above it with 429. It tracks the 10000 addresses that sent
	// requests most recently.
	// +optional
	RequestsPerClient *Rate `json:"requestsPerClient,omitempty" protobuf:"bytes,2,opt,name=requestsPerClient"`

	// Rate of new TCP connections that one listener accepts. Envoy closes connections above
	// it immediately.
	// +optional
	Connections *Rate `json:"connections,omitempty" protobuf:"bytes,3,opt,name=connections"`
}

// Rate is a number of events per interval. Setting any part of it replaces the whole.
// +structType=atomic
type Rate struct {
	// Number of events allowed per interval, from 1 to 1000000.
	Count int32 `json:"count" protobuf:"varint,1,opt,name=count"`

	// Length of the interval, from 100ms to 1h. Default: 1s.
	// +optional
	Interval Duration `json:"interval,omitempty" protobuf:"bytes,2,opt,name=interval,casttype=Duration"`

	// Maximum number of simultaneous events after an idle period, from count to 1000000.
	// Default: count.
	// +optional
	Burst *int32 `json:"burst,omitempty" protobuf:"varint,3,opt,name=burst"`
}

// ProxyProtocol configures where the PROXY protocol carries client addresses. The protocol
// is a header at the start of a TCP connection.
type ProxyProtocol struct {
	// Whether client connections start with the header. Use Required only for a proxy behind
	// a load balancer that sends the header. Envoy then trusts the address in the header and
	// closes connections without one. Anyone who can reach such a proxy directly can claim
	// any address. Can't be combined with HTTP/3, which has no such header. Default: None.
	// +optional
	Clients ProxyProtocolClients `json:"clients,omitempty" protobuf:"bytes,1,opt,name=clients,casttype=ProxyProtocolClients"`

	// Whether connections to endpoints start with the header, and which version to send.
	// The endpoints must expect it. Default: None.
	// +optional
	Backends ProxyProtocolVersion `json:"backends,omitempty" protobuf:"bytes,2,opt,name=backends,casttype=ProxyProtocolVersion"`
}

// ProxyProtocolClients is whether clients send the PROXY protocol header.
// +enum
type ProxyProtocolClients string

const (
	// ProxyProtocolNotExpected accepts connections without the header.
	ProxyProtocolNotExpected ProxyProtocolClients = "None"
	// ProxyProtocolRequired requires the header, of version 1 or 2.
	ProxyProtocolRequired ProxyProtocolClients = "Required"
)

// ProxyProtocolVersion is a version of the PROXY protocol, or none.
// +enum
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
	// +optional
	Mode EdgeMode `json:"mode,omitempty" protobuf:"bytes,1,opt,name=mode,casttype=EdgeMode"`

	// How long a client may remember that HTTP/3 is available, from 1s to 8760h. Default:
	// 24h.
	// +optional
	MaxAge Duration `json:"maxAge,omitempty" protobuf:"bytes,2,opt,name=maxAge,casttype=Duration"`
}

// HealthCheckType is how an endpoint is checked.
// +enum
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
	// +optional
	Type HealthCheckType `json:"type,omitempty" protobuf:"bytes,1,opt,name=type,casttype=HealthCheckType"`

	// Request and expected response of type HTTP.
	// +optional
	HTTP *HTTPHealthCheck `json:"http,omitempty" protobuf:"bytes,2,opt,name=http"`

	// Call of type GRPC.
	// +optional
	GRPC *GRPCHealthCheck `json:"grpc,omitempty" protobuf:"bytes,3,opt,name=grpc"`

	// Time between two checks of an endpoint, from 1s to 1h. Default: 10s.
	// +optional
	Interval Duration `json:"interval,omitempty" protobuf:"bytes,4,opt,name=interval,casttype=Duration"`

	// Maximum duration of a check, from 100ms to 1m. Default: 2s.
	// +optional
	Timeout Duration `json:"timeout,omitempty" protobuf:"bytes,5,opt,name=timeout,casttype=Duration"`

	// Number of consecutive failed checks after which an endpoint gets no more requests,
	// from 1 to 10. Default: 3. A failure of the first check of a new endpoint, and a
	// response with an unexpected status, take effect immediately.
	// +optional
	UnhealthyThreshold *int32 `json:"unhealthyThreshold,omitempty" protobuf:"varint,6,opt,name=unhealthyThreshold"`

	// Number of consecutive successful checks after which a failed endpoint gets requests
	// again, from 1 to 10. Default: 2. A new endpoint needs one.
	// +optional
	HealthyThreshold *int32 `json:"healthyThreshold,omitempty" protobuf:"varint,7,opt,name=healthyThreshold"`
}

// HTTPHealthCheck is a health check with a GET request.
type HTTPHealthCheck struct {
	// Path of the request, optionally with a query. Default: /.
	// +optional
	Path string `json:"path,omitempty" protobuf:"bytes,1,opt,name=path"`

	// Hostname in the request. Default: the hostname against which the backend's
	// certificate is verified, or localhost.
	// +optional
	Host string `json:"host,omitempty" protobuf:"bytes,2,opt,name=host"`

	// Lowest response status that passes, from 100 to 599. Default: 200.
	// +optional
	MinStatus *int32 `json:"minStatus,omitempty" protobuf:"varint,3,opt,name=minStatus"`

	// Highest response status that passes, from 100 to 599. Default: 399.
	// +optional
	MaxStatus *int32 `json:"maxStatus,omitempty" protobuf:"varint,4,opt,name=maxStatus"`
}

// GRPCHealthCheck is a health check with the gRPC health service.
type GRPCHealthCheck struct {
	// Name of the service to check. Default: the server as a whole.
	// +optional
	Service string `json:"service,omitempty" protobuf:"bytes,1,opt,name=service"`
}

// OutlierErrors selects the failures that count against an endpoint.
// +enum
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
	// +optional
	Mode EdgeMode `json:"mode,omitempty" protobuf:"bytes,1,opt,name=mode,casttype=EdgeMode"`

	// Which failures count. Default: Gateway.
	// +optional
	Errors OutlierErrors `json:"errors,omitempty" protobuf:"bytes,2,opt,name=errors,casttype=OutlierErrors"`

	// Number of consecutive failures after which an endpoint is ejected, which means that
	// it gets no requests. From 1 to 1000. Default: 5.
	// +optional
	ConsecutiveErrors *int32 `json:"consecutiveErrors,omitempty" protobuf:"varint,3,opt,name=consecutiveErrors"`

	// How often Envoy checks whether ejected endpoints can get requests again, from 1s to
	// 1h. Default: 10s.
	// +optional
	Interval Duration `json:"interval,omitempty" protobuf:"bytes,4,opt,name=interval,casttype=Duration"`

	// How long an endpoint is ejected, from 1s to 24h, multiplied by the number of times
	// that it has been ejected. Default: 30s.
	// +optional
	BaseEjectionTime Duration `json:"baseEjectionTime,omitempty" protobuf:"bytes,5,opt,name=baseEjectionTime,casttype=Duration"`

	// Maximum time for which an endpoint is ejected, from 1s to 24h. Default: 5m, or
	// baseEjectionTime if that is longer.
	// +optional
	MaxEjectionTime Duration `json:"maxEjectionTime,omitempty" protobuf:"bytes,6,opt,name=maxEjectionTime,casttype=Duration"`

	// Maximum percentage of a backend's endpoints that may be ejected at the same time,
	// from 1 to 100. With 50, one of two endpoints can be ejected, and an only endpoint
	// never is. Default: 50.
	// +optional
	MaxEjectionPercent *int32 `json:"maxEjectionPercent,omitempty" protobuf:"varint,7,opt,name=maxEjectionPercent"`
}

// AccessLogFormat is the format of a line in the access log.
// +enum
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
	// +optional
	Format AccessLogFormat `json:"format,omitempty" protobuf:"bytes,1,opt,name=format,casttype=AccessLogFormat"`

	// The line for format Text, with Envoy's command operators, such as %START_TIME%
	// %REQ(:METHOD)% %RESPONSE_CODE%. Only command operators about the request, its
	// response and its connections are allowed.
	// +optional
	Text string `json:"text,omitempty" protobuf:"bytes,2,opt,name=text"`

	// Additional fields for format JSON. A field with the name of a default field replaces
	// it, and an empty value removes it. The fields account and proxy can't be changed.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +patchStrategy=merge
	// +patchMergeKey=name
	Fields []AccessLogField `json:"fields,omitempty" patchStrategy:"merge" patchMergeKey:"name" protobuf:"bytes,3,rep,name=fields"`
}

// AccessLogField is a field of a JSON access log line.
type AccessLogField struct {
	// Name of the field.
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// Value of the field, with Envoy's command operators, such as %REQ(X-TENANT)%.
	// +optional
	Value string `json:"value,omitempty" protobuf:"bytes,2,opt,name=value"`
}

// Tracing makes Envoys send traces of requests to an OpenTelemetry collector: one span for
// the request, with the account, the proxy, the route, the endpoint and its client node,
// and one span for each attempt. Endpoints receive the trace context in the headers
// traceparent and tracestate. Envoy removes these headers from client requests.
type Tracing struct {
	// Whether requests are traced. Default: Enabled if tracing is set at all.
	// +optional
	Mode EdgeMode `json:"mode,omitempty" protobuf:"bytes,1,opt,name=mode,casttype=EdgeMode"`

	// Where traces are sent. A group must set it; a load balancer or gateway proxy can't.
	// +optional
	Collector *TraceCollector `json:"collector,omitempty" protobuf:"bytes,2,opt,name=collector"`

	// Number of requests in a million that are traced, from 0 to 1000000. Default: 10000,
	// which is one in a hundred.
	// +optional
	RequestsPerMillion *int32 `json:"requestsPerMillion,omitempty" protobuf:"varint,3,opt,name=requestsPerMillion"`
}

// TraceCollector is a server that receives traces by OTLP over gRPC without TLS, such as
// the OpenTelemetry Collector. Envoys connect to it from the gateway nodes.
type TraceCollector struct {
	// DNS name or IP address of the server.
	Host string `json:"host" protobuf:"bytes,1,opt,name=host"`

	// Port of the server. Default: 4317.
	// +optional
	Port *int32 `json:"port,omitempty" protobuf:"varint,2,opt,name=port"`
}
