// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"cmp"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/edge"
)

// defaultCheckHost is the hostname in the request of a health check, if none is
// configured. Servers with named hosts usually accept it.
const defaultCheckHost = "localhost"

// spoken is the protocol of a cluster's endpoints.
type spoken struct {
	// http indicates HTTP, and http2 indicates HTTP/2.
	http, http2 bool
	// host is the name that their certificate must have; empty without TLS.
	host string
}

// watchHealth configures health checks of a cluster's endpoints, if enabled.
func (t *translation) watchHealth(cluster *clusterv3.Cluster, s spoken) {
	if h := t.edge.HealthCheck; h != nil {
		cluster.HealthChecks = []*corev3.HealthCheck{healthCheck(h, s)}
		// The health of a removed endpoint must not delay its removal.
		cluster.IgnoreHealthOnHostRemoval = true
	}
	switch o := t.edge.Outlier; {
	case o != nil:
		cluster.OutlierDetection = outlierDetection(o)
	case !s.http:
		cluster.OutlierDetection = refusals
	}
}

// refusals ejects an endpoint that refuses connections for a moment, unless it is the
// only one left. Without that, all attempts of a connection could go to it: unlike for
// HTTP requests, Envoy does not exclude endpoints from the retries of a TCP connection.
// Fewer failures than defaultLimits.connectAttempts must be sufficient. It must not be
// modified.
var refusals = &clusterv3.OutlierDetection{
	SplitExternalLocalOriginErrors:         true,
	ConsecutiveLocalOriginFailure:          wrapperspb.UInt32(3),
	EnforcingConsecutiveLocalOriginFailure: wrapperspb.UInt32(100),
	EnforcingLocalOriginSuccessRate:        wrapperspb.UInt32(0),
	EnforcingSuccessRate:                   wrapperspb.UInt32(0),
	EnforcingConsecutive_5Xx:               wrapperspb.UInt32(0),
	EnforcingFailurePercentage:             wrapperspb.UInt32(0),
	EnforcingConsecutiveGatewayFailure:     wrapperspb.UInt32(0),
	// A new endpoint only refuses connections until the nodes know it.
	Interval:           durationpb.New(time.Second),
	BaseEjectionTime:   durationpb.New(time.Second),
	MaxEjectionTime:    durationpb.New(30 * time.Second),
	MaxEjectionPercent: wrapperspb.UInt32(99),
	// Passing a check does not mean that connections are accepted.
	SuccessfulActiveHealthCheckUnejectHost: wrapperspb.Bool(false),
}

func healthCheck(h *edge.HealthCheck, s spoken) *corev3.HealthCheck {
	check := &corev3.HealthCheck{
		Timeout:            durationpb.New(h.Timeout),
		Interval:           durationpb.New(h.Interval),
		UnhealthyThreshold: wrapperspb.UInt32(h.Unhealthy),
		HealthyThreshold:   wrapperspb.UInt32(h.Healthy),
		// A cluster without requests is checked as often: its first request must find a
		// healthy endpoint.
		NoTrafficInterval: durationpb.New(h.Interval),
		// Spread the checks of Envoys that start together.
		IntervalJitterPercent: 10,
	}
	switch {
	case h.Type == epicv1.HealthCheckHTTP && s.http:
		request := &corev3.HealthCheck_HttpHealthCheck{
			Host: cmp.Or(h.Host, s.host, defaultCheckHost), Path: h.Path,
			ExpectedStatuses: []*typev3.Int64Range{{Start: h.MinStatus, End: h.MaxStatus + 1}},
		}
		if s.http2 {
			request.CodecClientType = typev3.CodecClientType_HTTP2
		} else if s.host != "" {
			// The negotiated protocol must be the one of the check.
			check.TlsOptions = &corev3.HealthCheck_TlsOptions{AlpnProtocols: []string{"http/1.1"}}
		}
		check.HealthChecker = &corev3.HealthCheck_HttpHealthCheck_{HttpHealthCheck: request}
	case h.Type == epicv1.HealthCheckGRPC && s.http2:
		check.HealthChecker = &corev3.HealthCheck_GrpcHealthCheck_{GrpcHealthCheck: &corev3.HealthCheck_GrpcHealthCheck{
			ServiceName: h.Service, Authority: cmp.Or(s.host, defaultCheckHost),
		}}
	default:
		check.HealthChecker = &corev3.HealthCheck_TcpHealthCheck_{TcpHealthCheck: &corev3.HealthCheck_TcpHealthCheck{}}
	}
	return check
}

func outlierDetection(o *edge.Outlier) *clusterv3.OutlierDetection {
	out := &clusterv3.OutlierDetection{
		Interval:                           durationpb.New(o.Interval),
		BaseEjectionTime:                   durationpb.New(o.BaseTime),
		MaxEjectionTime:                    durationpb.New(o.MaxTime),
		MaxEjectionTimeJitter:              durationpb.New(min(time.Second, o.BaseTime/10)),
		MaxEjectionPercent:                 wrapperspb.UInt32(o.MaxPercent),
		EnforcingSuccessRate:               wrapperspb.UInt32(0),
		EnforcingConsecutive_5Xx:           wrapperspb.UInt32(0),
		EnforcingFailurePercentage:         wrapperspb.UInt32(0),
		EnforcingConsecutiveGatewayFailure: wrapperspb.UInt32(0),
		// An endpoint that passes checks may still fail requests.
		SuccessfulActiveHealthCheckUnejectHost: wrapperspb.Bool(false),
	}
	if o.Errors == epicv1.OutlierServerErrors {
		out.Consecutive_5Xx, out.EnforcingConsecutive_5Xx = wrapperspb.UInt32(o.Consecutive), wrapperspb.UInt32(100)
	} else {
		out.ConsecutiveGatewayFailure, out.EnforcingConsecutiveGatewayFailure = wrapperspb.UInt32(o.Consecutive), wrapperspb.UInt32(100)
	}
	return out
}
