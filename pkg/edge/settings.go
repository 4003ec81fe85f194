// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"cmp"
	"time"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// Settings are the edge settings of one proxy, with all defaults.
type Settings struct {
	// PerListener and PerBackend are the maximum numbers of connections.
	PerListener, PerBackend int32
	// Requests, RequestsPerClient and Connections are rate limits; nil means no limit.
	Requests, RequestsPerClient, Connections *Rate
	// ClientsSendAddress indicates that client connections start with a PROXY protocol
	// header.
	ClientsSendAddress bool
	// BackendsGetAddress is the version of the header sent to endpoints.
	BackendsGetAddress epicv1.ProxyProtocolVersion
	// HTTP3 is nil if HTTP/3 is not served.
	HTTP3 *HTTP3
	// HealthCheck is nil if endpoints are not checked.
	HealthCheck *HealthCheck
	// Outlier is nil if outlier detection is disabled.
	Outlier *Outlier
	// AccessLog is the format of the line for each request and connection.
	AccessLog epicv1.AccessLog
	// Tracing is nil if requests are not traced.
	Tracing *Tracing
}

// Rate is a number per time.
type Rate struct {
	Count, Burst uint32
	Interval     time.Duration
}

// HTTP3 configures HTTP/3.
type HTTP3 struct{ MaxAge time.Duration }

// HealthCheck configures health checks of endpoints.
type HealthCheck struct {
	Type              epicv1.HealthCheckType
	Interval, Timeout time.Duration
	// Unhealthy and Healthy are the numbers of consecutive checks that change the state.
	Unhealthy, Healthy uint32
	// Path and Host are for the request, and MinStatus and MaxStatus for the response, of
	// type HTTP. If Host is empty, it depends on the backend.
	Path, Host           string
	MinStatus, MaxStatus int64
	// Service is the service that is checked for type GRPC.
	Service string
}

// Outlier configures outlier detection.
type Outlier struct {
	Errors            epicv1.OutlierErrors
	Consecutive       uint32
	Interval          time.Duration
	BaseTime, MaxTime time.Duration
	MaxPercent        uint32
}

// Tracing configures tracing.
type Tracing struct {
	// Host is the DNS name or IP address of the collector, and Port its port.
	Host string
	Port uint16
	// Share is the percentage of traced requests.
	Share float64
}

// Defaults, which the doc comments of the API's types name.
const (
	defaultRateInterval   = time.Second
	defaultMaxAge         = 24 * time.Hour
	defaultCheckInterval  = 10 * time.Second
	defaultCheckTimeout   = 2 * time.Second
	defaultUnhealthy      = 3
	defaultHealthy        = 2
	defaultMinStatus      = 200
	defaultMaxStatus      = 399
	defaultConsecutive    = 5
	defaultJudgeInterval  = 10 * time.Second
	defaultEjectionTime   = 30 * time.Second
	defaultMaxEjection    = 5 * time.Minute
	defaultEjectedPercent = 50
	defaultTraced         = 10_000
)

// settle returns the settings for the given values.
func settle(e *epicv1.EdgeSpec) Settings {
	s := Settings{
		PerListener: epic.MaxListenerConnections, PerBackend: epic.MaxBackendConnections,
		BackendsGetAddress: epicv1.ProxyProtocolNone, AccessLog: epicv1.AccessLog{Format: epicv1.AccessLogJSON},
	}
	if l := e.ConnectionLimit; l != nil {
		s.PerListener = number(l.PerListener, s.PerListener)
		s.PerBackend = number(l.PerBackend, s.PerBackend)
	}
	if l := e.RateLimit; l != nil {
		s.Requests, s.RequestsPerClient, s.Connections = rateOf(l.Requests), rateOf(l.RequestsPerClient), rateOf(l.Connections)
	}
	if p := e.ProxyProtocol; p != nil {
		s.ClientsSendAddress = p.Clients == epicv1.ProxyProtocolRequired
		s.BackendsGetAddress = cmp.Or(p.Backends, s.BackendsGetAddress)
	}
	if h := e.HTTP3; h != nil && h.Mode != epicv1.EdgeDisabled {
		s.HTTP3 = &HTTP3{MaxAge: duration(h.MaxAge, defaultMaxAge)}
	}
	s.HealthCheck = healthCheck(e.HealthCheck)
	s.Outlier = outlier(e.OutlierDetection)
	if l := e.AccessLog; l != nil {
		s.AccessLog = *l
		s.AccessLog.Format = cmp.Or(l.Format, epicv1.AccessLogJSON)
	}
	s.Tracing = tracing(e.Tracing)
	return s
}

func tracing(t *epicv1.Tracing) *Tracing {
	if t == nil || t.Mode == epicv1.EdgeDisabled || t.Collector == nil || t.Collector.Host == "" {
		return nil
	}
	traced := int32(defaultTraced)
	if n := t.RequestsPerMillion; n != nil {
		traced = min(max(*n, 0), 1_000_000)
	}
	return &Tracing{Host: t.Collector.Host, Port: uint16(number(t.Collector.Port, epic.TracePort)), Share: float64(traced) / 10_000}
}

func healthCheck(h *epicv1.HealthCheck) *HealthCheck {
	if h == nil || h.Type == epicv1.HealthCheckNone {
		return nil
	}
	out := &HealthCheck{
		Type:     cmp.Or(h.Type, epicv1.HealthCheckHTTP),
		Interval: duration(h.Interval, defaultCheckInterval), Timeout: duration(h.Timeout, defaultCheckTimeout),
		Unhealthy: uint32(number(h.UnhealthyThreshold, defaultUnhealthy)), Healthy: uint32(number(h.HealthyThreshold, defaultHealthy)),
		Path: "/", MinStatus: defaultMinStatus, MaxStatus: defaultMaxStatus,
	}
	if c := h.HTTP; c != nil {
		out.Path, out.Host = cmp.Or(c.Path, out.Path), c.Host
		low, high := c.MinStatus, c.MaxStatus
		out.MinStatus = int64(number(low, defaultMinStatus))
		out.MaxStatus = int64(number(high, defaultMaxStatus))
		// Only one of the two was set, beyond the default of the other.
		if high == nil {
			out.MaxStatus = max(out.MaxStatus, out.MinStatus)
		} else {
			out.MinStatus = min(out.MinStatus, out.MaxStatus)
		}
	}
	if h.GRPC != nil {
		out.Service = h.GRPC.Service
	}
	return out
}

func outlier(o *epicv1.OutlierDetection) *Outlier {
	if o == nil || o.Mode == epicv1.EdgeDisabled {
		return nil
	}
	base := duration(o.BaseEjectionTime, defaultEjectionTime)
	return &Outlier{
		Errors:      cmp.Or(o.Errors, epicv1.OutlierGatewayErrors),
		Consecutive: uint32(number(o.ConsecutiveErrors, defaultConsecutive)),
		Interval:    duration(o.Interval, defaultJudgeInterval),
		BaseTime:    base,
		MaxTime:     max(base, duration(o.MaxEjectionTime, defaultMaxEjection)),
		MaxPercent:  uint32(number(o.MaxEjectionPercent, defaultEjectedPercent)),
	}
}

func rateOf(r *epicv1.Rate) *Rate {
	if r == nil || r.Count < 1 {
		return nil
	}
	return &Rate{Count: uint32(r.Count), Burst: uint32(max(number(r.Burst, r.Count), r.Count)), Interval: duration(r.Interval, defaultRateInterval)}
}

// number returns a number, or the default if it is missing or the API would reject it.
func number(n *int32, otherwise int32) int32 {
	if n == nil || *n < 1 {
		return otherwise
	}
	return *n
}

// duration returns a duration, or the default if it is missing or the API would reject
// it.
func duration(d epicv1.Duration, otherwise time.Duration) time.Duration {
	if v, err := time.ParseDuration(string(d)); err == nil && v > 0 {
		return v
	}
	return otherwise
}
