// SPDX-License-Identifier: Apache-2.0

package v1

// EdgeSpec sets how Envoys treat clients and endpoints. A service group has it for all of
// its load balancers and gateway proxies. Each of them may set fields itself, as far as
// the group's edge-overrides allow it: a field that it leaves out has the group's value,
// and the field's default if the group has none. A proxy that is configured by an
// envoy-template takes everything from that and ignores these settings.
type EdgeSpec struct {
	// How many connections there may be. A load balancer or gateway proxy may always set
	// lower numbers than its group, and never higher ones.
	// +optional
	ConnectionLimit *ConnectionLimit `json:"connectionLimit,omitempty" protobuf:"bytes,1,opt,name=connectionLimit"`

	// How many requests and new connections there may be in a time. A load balancer or
	// gateway proxy may always set lower rates than its group, and never higher ones.
	// Default: any number.
	// +optional
	RateLimit *RateLimit `json:"rateLimit,omitempty" protobuf:"bytes,2,opt,name=rateLimit"`

	// Where the PROXY protocol carries the addresses of clients.
	// +optional
	ProxyProtocol *ProxyProtocol `json:"proxyProtocol,omitempty" protobuf:"bytes,3,opt,name=proxyProtocol"`

	// HTTP/3 at HTTPS listeners. Default: none.
	// +optional
	HTTP3 *HTTP3 `json:"http3,omitempty" protobuf:"bytes,4,opt,name=http3"`

	// How Envoys check whether endpoints work. Default: they do not.
	// +optional
	HealthCheck *HealthCheck `json:"healthCheck,omitempty" protobuf:"bytes,5,opt,name=healthCheck"`

	// How Envoys avoid endpoints that fail requests. Default: they do not.
	// +optional
	OutlierDetection *OutlierDetection `json:"outlierDetection,omitempty" protobuf:"bytes,6,opt,name=outlierDetection"`

	// What Envoys write for each request and connection.
	// +optional
	AccessLog *AccessLog `json:"accessLog,omitempty" protobuf:"bytes,7,opt,name=accessLog"`

	// Where Envoys send traces of requests. Default: nowhere.
	// +optional
	Tracing *Tracing `json:"tracing,omitempty" protobuf:"bytes,8,opt,name=tracing"`
}

// EdgePart is a part of edge settings that a group may leave to its load balancers and
// gateway proxies.
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

// Duration is a time in the form of the Gateway API, such as 10s, 500ms or 1h30m.
type Duration string

// EdgeMode turns a part of edge settings on or off.
// +enum
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
	// +optional
	PerListener *int32 `json:"perListener,omitempty" protobuf:"varint,1,opt,name=perListener"`

	// How many connections, and how many requests, an Envoy has to the endpoints of one
	// backend, from 1 to 65536. More requests are answered with 503, and more
	// connections closed. Default: 65536.
	// +optional
	PerBackend *int32 `json:"perBackend,omitempty" protobuf:"varint,2,opt,name=perBackend"`
}

// RateLimit bounds requests and new connections. Each Envoy counts by itself, so a proxy
// with two replicas lets up to twice as many through.
type RateLimit struct {
	// How many requests one HTTP or HTTPS listener takes from all clients together. More
	// are answered with 429.
	// +optional
	Requests *Rate `json:"requests,omitempty" protobuf:"bytes,1,opt,name=requests"`

	// How many requests one HTTP or HTTPS listener takes from one client address. More
	// are answered with 429. The addresses that sent requests last are counted, up to
	// 10000.
	// +optional
	RequestsPerClient *Rate `json:"requestsPerClient,omitempty" protobuf:"bytes,2,opt,name=requestsPerClient"`

	// How many new TCP connections one listener takes. More are closed at once.
	// +optional
	Connections *Rate `json:"connections,omitempty" protobuf:"bytes,3,opt,name=connections"`
}

// Rate is a number in a time. Setting any part of it sets the whole.
// +structType=atomic
type Rate struct {
	// How many there may be in an interval, from 1 to 1000000.
	Count int32 `json:"count" protobuf:"varint,1,opt,name=count"`

	// The interval, from 100ms to 1h. Default: 1s.
	// +optional
	Interval Duration `json:"interval,omitempty" protobuf:"bytes,2,opt,name=interval,casttype=Duration"`

	// How many there may be at once after a quiet time, from count to 1000000. Default:
	// count.
	// +optional
	Burst *int32 `json:"burst,omitempty" protobuf:"varint,3,opt,name=burst"`
}

// ProxyProtocol sets where the PROXY protocol carries the addresses of clients. It is a
// header at the start of a TCP connection.
type ProxyProtocol struct {
	// Whether connections of clients start with the header. Required is for proxies
	// behind a load balancer that sends it: the address in the header is believed, and a
	// connection without is closed. Anybody who reaches such a proxy directly can claim
	// any address. It can't be used together with HTTP/3, which has no such header.
	// Default: None.
	// +optional
	Clients ProxyProtocolClients `json:"clients,omitempty" protobuf:"bytes,1,opt,name=clients,casttype=ProxyProtocolClients"`

	// Whether connections to endpoints start with the header, and in which version. The
	// endpoints must expect it. Default: None.
	// +optional
	Backends ProxyProtocolVersion `json:"backends,omitempty" protobuf:"bytes,2,opt,name=backends,casttype=ProxyProtocolVersion"`
}

// ProxyProtocolClients is whether clients send the header of the PROXY protocol.
// +enum
type ProxyProtocolClients string

const (
	// ProxyProtocolNotExpected is for clients that connect directly.
	ProxyProtocolNotExpected ProxyProtocolClients = "None"
	// ProxyProtocolRequired is for clients behind a load balancer that sends version 1 or
	// 2.
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

// HTTP3 serves HTTP/3 at HTTPS listeners, on the UDP port of the same number, and tells
// clients of HTTP/1.1 and HTTP/2 by the header Alt-Svc. A listener whose clients need
// certificates has none, nor has one whose port a UDP listener uses.
type HTTP3 struct {
	// Whether HTTP/3 is served. Default: Enabled, if http3 is set at all.
	// +optional
	Mode EdgeMode `json:"mode,omitempty" protobuf:"bytes,1,opt,name=mode,casttype=EdgeMode"`

	// For how long a client may use HTTP/3 without being told again, from 1s to 8760h.
	// Default: 24h.
	// +optional
	MaxAge Duration `json:"maxAge,omitempty" protobuf:"bytes,2,opt,name=maxAge,casttype=Duration"`
}

// HealthCheckType is how an endpoint is checked.
// +enum
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

// HealthCheck has each Envoy check each endpoint, through its tunnel. An endpoint gets no
// requests before it has passed a check, nor while it fails them; if all fail, requests
// are answered with 503. Endpoints of UDP are not checked.
type HealthCheck struct {
	// How endpoints are checked. HTTP is for endpoints of HTTP routes, and GRPC for those
	// of gRPC routes and others that speak HTTP/2; other endpoints, and those of load
	// balancers, are checked by TCP instead. Default: HTTP, if healthCheck is set at all.
	// +optional
	Type HealthCheckType `json:"type,omitempty" protobuf:"bytes,1,opt,name=type,casttype=HealthCheckType"`

	// The request and the answer of type HTTP.
	// +optional
	HTTP *HTTPHealthCheck `json:"http,omitempty" protobuf:"bytes,2,opt,name=http"`

	// The call of type GRPC.
	// +optional
	GRPC *GRPCHealthCheck `json:"grpc,omitempty" protobuf:"bytes,3,opt,name=grpc"`

	// The time between two checks of an endpoint, from 1s to 1h. Default: 10s.
	// +optional
	Interval Duration `json:"interval,omitempty" protobuf:"bytes,4,opt,name=interval,casttype=Duration"`

	// How long a check may take, from 100ms to 1m. Default: 2s.
	// +optional
	Timeout Duration `json:"timeout,omitempty" protobuf:"bytes,5,opt,name=timeout,casttype=Duration"`

	// How many checks in a row an endpoint fails until it gets no more requests, from 1
	// to 10. Default: 3. The first check of a new endpoint, and an answer with a status
	// that is not expected, count at once.
	// +optional
	UnhealthyThreshold *int32 `json:"unhealthyThreshold,omitempty" protobuf:"varint,6,opt,name=unhealthyThreshold"`

	// How many checks in a row an endpoint that failed passes until it gets requests
	// again, from 1 to 10. Default: 2. A new endpoint needs one.
	// +optional
	HealthyThreshold *int32 `json:"healthyThreshold,omitempty" protobuf:"varint,7,opt,name=healthyThreshold"`
}

// HTTPHealthCheck is a check by a GET request.
type HTTPHealthCheck struct {
	// The path of the request, perhaps with a query. Default: /.
	// +optional
	Path string `json:"path,omitempty" protobuf:"bytes,1,opt,name=path"`

	// The hostname in the request. Default: the hostname by which the backend's
	// certificate is verified, or localhost.
	// +optional
	Host string `json:"host,omitempty" protobuf:"bytes,2,opt,name=host"`

	// The lowest status of an answer that passes, from 100 to 599. Default: 200.
	// +optional
	MinStatus *int32 `json:"minStatus,omitempty" protobuf:"varint,3,opt,name=minStatus"`

	// The highest status of an answer that passes, from 100 to 599. Default: 399.
	// +optional
	MaxStatus *int32 `json:"maxStatus,omitempty" protobuf:"varint,4,opt,name=maxStatus"`
}

// GRPCHealthCheck is a check by the health service of gRPC.
type GRPCHealthCheck struct {
	// The service that is asked about. Default: the server as a whole.
	// +optional
	Service string `json:"service,omitempty" protobuf:"bytes,1,opt,name=service"`
}

// OutlierErrors are the failures that count against an endpoint.
// +enum
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
	// +optional
	Mode EdgeMode `json:"mode,omitempty" protobuf:"bytes,1,opt,name=mode,casttype=EdgeMode"`

	// Which failures count. Default: Gateway.
	// +optional
	Errors OutlierErrors `json:"errors,omitempty" protobuf:"bytes,2,opt,name=errors,casttype=OutlierErrors"`

	// After how many failures in a row an endpoint gets no requests, from 1 to 1000.
	// Default: 5.
	// +optional
	ConsecutiveErrors *int32 `json:"consecutiveErrors,omitempty" protobuf:"varint,3,opt,name=consecutiveErrors"`

	// How often Envoy checks whether endpoints get requests again, from 1s to 1h.
	// Default: 10s.
	// +optional
	Interval Duration `json:"interval,omitempty" protobuf:"bytes,4,opt,name=interval,casttype=Duration"`

	// For how long an endpoint gets no requests, from 1s to 24h, times the number of
	// times that this has happened. Default: 30s.
	// +optional
	BaseEjectionTime Duration `json:"baseEjectionTime,omitempty" protobuf:"bytes,5,opt,name=baseEjectionTime,casttype=Duration"`

	// The longest such time, from 1s to 24h. Default: 5m, or baseEjectionTime if that is
	// longer.
	// +optional
	MaxEjectionTime Duration `json:"maxEjectionTime,omitempty" protobuf:"bytes,6,opt,name=maxEjectionTime,casttype=Duration"`

	// Up to which part of the endpoints of a backend may get no requests, in percent,
	// from 1 to 100. With 50, one of two endpoints, and never the only one. Default: 50.
	// +optional
	MaxEjectionPercent *int32 `json:"maxEjectionPercent,omitempty" protobuf:"varint,7,opt,name=maxEjectionPercent"`
}

// AccessLogFormat is the form of a line in the access log.
// +enum
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
	// +optional
	Format AccessLogFormat `json:"format,omitempty" protobuf:"bytes,1,opt,name=format,casttype=AccessLogFormat"`

	// The line of format Text, with Envoy's command operators, such as
	// %START_TIME% %REQ(:METHOD)% %RESPONSE_CODE%. The operators are those about
	// the request, its answer and its connections.
	// +optional
	Text string `json:"text,omitempty" protobuf:"bytes,2,opt,name=text"`

	// Further fields of format JSON. A field with the name of a usual one replaces it, and
	// an empty value removes it, except for account and proxy.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +patchStrategy=merge
	// +patchMergeKey=name
	Fields []AccessLogField `json:"fields,omitempty" patchStrategy:"merge" patchMergeKey:"name" protobuf:"bytes,3,rep,name=fields"`
}

// AccessLogField is a field of a line in JSON.
type AccessLogField struct {
	// The name of the field.
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// The value, with Envoy's command operators, such as %REQ(X-TENANT)%.
	// +optional
	Value string `json:"value,omitempty" protobuf:"bytes,2,opt,name=value"`
}

// Tracing has Envoys send traces of requests to a collector of OpenTelemetry: a span of the
// request, with the account, the proxy, the route, the endpoint and its client node, and one
// of each attempt. Endpoints get the trace in the headers traceparent and tracestate; what
// clients send in them is removed.
type Tracing struct {
	// Whether requests are traced. Default: Enabled, if tracing is set at all.
	// +optional
	Mode EdgeMode `json:"mode,omitempty" protobuf:"bytes,1,opt,name=mode,casttype=EdgeMode"`

	// Where traces go. Only a group can set it, and has to.
	// +optional
	Collector *TraceCollector `json:"collector,omitempty" protobuf:"bytes,2,opt,name=collector"`

	// How many requests of a million are traced, from 0 to 1000000. Default: 10000, which
	// is one in a hundred.
	// +optional
	RequestsPerMillion *int32 `json:"requestsPerMillion,omitempty" protobuf:"varint,3,opt,name=requestsPerMillion"`
}

// TraceCollector is a server that takes traces by OTLP over gRPC without TLS, such as the
// OpenTelemetry Collector. Envoys reach it from the gateway nodes.
type TraceCollector struct {
	// The DNS name or IP address of the server.
	Host string `json:"host" protobuf:"bytes,1,opt,name=host"`

	// The port. Default: 4317.
	// +optional
	Port *int32 `json:"port,omitempty" protobuf:"varint,2,opt,name=port"`
}
