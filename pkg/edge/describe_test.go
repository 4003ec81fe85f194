// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"strings"
	"testing"

	"k8s.io/utils/ptr"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func TestDescribe(t *testing.T) {
	usual, _ := Of(nil, nil)
	if got := usual.Describe(); len(got) > 0 {
		t.Errorf("the defaults are described as %q", got)
	}
	rate := func(n int32) *epicv1.Rate { return &epicv1.Rate{Count: n, Interval: "1m"} }
	group := &epicv1.LBServiceGroup{Spec: epicv1.LBServiceGroupSpec{Edge: &epicv1.EdgeSpec{
		ConnectionLimit:  &epicv1.ConnectionLimit{PerListener: ptr.To[int32](100), PerBackend: ptr.To[int32](50)},
		RateLimit:        &epicv1.RateLimit{Requests: rate(10), RequestsPerClient: rate(5), Connections: rate(7)},
		ProxyProtocol:    &epicv1.ProxyProtocol{Clients: epicv1.ProxyProtocolRequired, Backends: epicv1.ProxyProtocolV2},
		HealthCheck:      &epicv1.HealthCheck{Type: epicv1.HealthCheckTCP},
		OutlierDetection: &epicv1.OutlierDetection{},
		AccessLog:        &epicv1.AccessLog{Format: epicv1.AccessLogNone},
		Tracing:          &epicv1.Tracing{Collector: &epicv1.TraceCollector{Host: "otel.observability.svc"}},
	}}}
	s, _ := Of(group, &epicv1.EdgeSpec{ConnectionLimit: &epicv1.ConnectionLimit{PerListener: ptr.To[int32](20)}})
	want := "connectionLimit.perListener=20 connectionLimit.perBackend=50 " +
		"rateLimit.requests=10 in 1m0s rateLimit.requestsPerClient=5 in 1m0s rateLimit.connections=7 in 1m0s " +
		"proxyProtocol.clients=Required proxyProtocol.backends=V2 healthCheck=TCP every 10s outlierDetection=5 errors (Gateway) accessLog.format=None tracing=1% to otel.observability.svc:4317"
	if got := strings.Join(s.Describe(), " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s, _ = Of(&epicv1.LBServiceGroup{Spec: epicv1.LBServiceGroupSpec{Edge: &epicv1.EdgeSpec{HTTP3: &epicv1.HTTP3{}}}}, nil)
	if got := strings.Join(s.Describe(), " "); got != "http3.maxAge=24h0m0s" {
		t.Errorf("HTTP/3 is described as %s", got)
	}
}
