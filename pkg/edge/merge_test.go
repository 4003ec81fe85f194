// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func n(v int32) *int32 { return ptr.To(v) }

// What a proxy leaves out is the group's, and what neither has a default.
func TestOf(t *testing.T) {
	plain := Settings{PerListener: 50000, PerBackend: 65536, BackendsGetAddress: "None", AccessLog: epicv1.AccessLog{Format: "JSON"}}
	all := []epicv1.EdgePart{"AccessLog", "HealthCheck", "HTTP3", "OutlierDetection", "ProxyProtocol", "Tracing"}
	for name, c := range map[string]struct {
		group, own *epicv1.EdgeSpec
		allowed    []epicv1.EdgePart
		want       func(*Settings)
		refused    string // the fields that are refused
	}{
		"nothing":     {},
		"empty parts": {own: &epicv1.EdgeSpec{ConnectionLimit: &epicv1.ConnectionLimit{}, RateLimit: &epicv1.RateLimit{}}},
		"defaults": {
			group: &epicv1.EdgeSpec{HTTP3: &epicv1.HTTP3{}, HealthCheck: &epicv1.HealthCheck{}, OutlierDetection: &epicv1.OutlierDetection{}, RateLimit: &epicv1.RateLimit{Requests: &epicv1.Rate{Count: 7}}},
			want: func(s *Settings) {
				s.HTTP3 = &HTTP3{24 * time.Hour}
				s.HealthCheck = &HealthCheck{Type: "HTTP", Interval: 10 * time.Second, Timeout: 2 * time.Second, Unhealthy: 3, Healthy: 2, Path: "/", MinStatus: 200, MaxStatus: 399}
				s.Outlier = &Outlier{Errors: "Gateway", Consecutive: 5, Interval: 10 * time.Second, BaseTime: 30 * time.Second, MaxTime: 5 * time.Minute, MaxPercent: 50}
				s.Requests = &Rate{Count: 7, Burst: 7, Interval: time.Second}
			},
		},
		"fields of both": {
			allowed: all,
			group: &epicv1.EdgeSpec{
				ConnectionLimit: &epicv1.ConnectionLimit{PerListener: n(10), PerBackend: n(20)},
				RateLimit:       &epicv1.RateLimit{Requests: &epicv1.Rate{Count: 10, Burst: n(20)}, Connections: &epicv1.Rate{Count: 5}},
				ProxyProtocol:   &epicv1.ProxyProtocol{Clients: "Required", Backends: "V1"},
				HealthCheck:     &epicv1.HealthCheck{HTTP: &epicv1.HTTPHealthCheck{Path: "/a", Host: "a", MaxStatus: n(204)}, Interval: "1m", UnhealthyThreshold: n(9)},
				AccessLog:       &epicv1.AccessLog{Fields: []epicv1.AccessLogField{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}},
			},
			own: &epicv1.EdgeSpec{
				ConnectionLimit:  &epicv1.ConnectionLimit{PerBackend: n(19)},
				RateLimit:        &epicv1.RateLimit{Requests: &epicv1.Rate{Count: 600, Interval: "1m", Burst: n(600)}, RequestsPerClient: &epicv1.Rate{Count: 1}},
				ProxyProtocol:    &epicv1.ProxyProtocol{Backends: "V2"},
				HealthCheck:      &epicv1.HealthCheck{HTTP: &epicv1.HTTPHealthCheck{Path: "/b", MinStatus: n(205)}, HealthyThreshold: n(1)},
				OutlierDetection: &epicv1.OutlierDetection{BaseEjectionTime: "1h"},
				AccessLog:        &epicv1.AccessLog{Fields: []epicv1.AccessLogField{{Name: "a", Value: "3"}}},
			},
			want: func(s *Settings) {
				s.PerListener, s.PerBackend = 10, 19
				s.Requests, s.Connections, s.RequestsPerClient = &Rate{10, 20, time.Second}, &Rate{5, 5, time.Second}, &Rate{1, 1, time.Second}
				s.ClientsSendAddress, s.BackendsGetAddress = true, "V2"
				// The proxy's lowest status is above the group's highest: the latter holds.
				s.HealthCheck = &HealthCheck{Type: "HTTP", Interval: time.Minute, Timeout: 2 * time.Second, Unhealthy: 9, Healthy: 1, Path: "/b", Host: "a", MinStatus: 204, MaxStatus: 204}
				s.Outlier = &Outlier{Errors: "Gateway", Consecutive: 5, Interval: 10 * time.Second, BaseTime: time.Hour, MaxTime: time.Hour, MaxPercent: 50}
				s.AccessLog.Fields = []epicv1.AccessLogField{{Name: "b", Value: "2"}, {Name: "a", Value: "3"}}
			},
			refused: "rateLimit.requests.burst",
		},
		"turned off": {
			allowed: all,
			group:   &epicv1.EdgeSpec{HTTP3: &epicv1.HTTP3{}, HealthCheck: &epicv1.HealthCheck{}, OutlierDetection: &epicv1.OutlierDetection{}, ProxyProtocol: &epicv1.ProxyProtocol{Backends: "V1"}},
			own:     &epicv1.EdgeSpec{HTTP3: &epicv1.HTTP3{Mode: "Disabled"}, HealthCheck: &epicv1.HealthCheck{Type: "None"}, OutlierDetection: &epicv1.OutlierDetection{Mode: "Disabled"}, ProxyProtocol: &epicv1.ProxyProtocol{Backends: "None"}},
		},
		"not allowed": {
			group:   &epicv1.EdgeSpec{ConnectionLimit: &epicv1.ConnectionLimit{PerListener: n(10)}},
			own:     &epicv1.EdgeSpec{ConnectionLimit: &epicv1.ConnectionLimit{PerListener: n(11)}, HTTP3: &epicv1.HTTP3{}, HealthCheck: &epicv1.HealthCheck{}, AccessLog: &epicv1.AccessLog{}, ProxyProtocol: &epicv1.ProxyProtocol{}, OutlierDetection: &epicv1.OutlierDetection{}},
			want:    func(s *Settings) { s.PerListener = 10 },
			refused: "connectionLimit.perListener proxyProtocol http3 healthCheck outlierDetection accessLog",
		},
		"HTTP/3 behind the PROXY protocol": {
			allowed: all,
			group:   &epicv1.EdgeSpec{ProxyProtocol: &epicv1.ProxyProtocol{Clients: "Required"}},
			own:     &epicv1.EdgeSpec{HTTP3: &epicv1.HTTP3{}},
			want:    func(s *Settings) { s.ClientsSendAddress = true },
			refused: "http3.mode",
		},
		"tracing": {
			allowed: all,
			group:   &epicv1.EdgeSpec{Tracing: &epicv1.Tracing{Mode: "Disabled", Collector: &epicv1.TraceCollector{Host: "otel"}, RequestsPerMillion: n(5)}},
			own:     &epicv1.EdgeSpec{Tracing: &epicv1.Tracing{Mode: "Enabled", RequestsPerMillion: n(250_000)}},
			want:    func(s *Settings) { s.Tracing = &Tracing{Host: "otel", Port: 4317, Share: 25} },
		},
		"tracing of the group": {
			group: &epicv1.EdgeSpec{Tracing: &epicv1.Tracing{Collector: &epicv1.TraceCollector{Host: "2001:db8::1", Port: n(1)}}},
			want:  func(s *Settings) { s.Tracing = &Tracing{Host: "2001:db8::1", Port: 1, Share: 1} },
		},
		"tracing of nothing": {
			allowed: all,
			group:   &epicv1.EdgeSpec{Tracing: &epicv1.Tracing{Collector: &epicv1.TraceCollector{Host: "otel"}}},
			own:     &epicv1.EdgeSpec{Tracing: &epicv1.Tracing{RequestsPerMillion: n(0)}},
			want:    func(s *Settings) { s.Tracing = &Tracing{Host: "otel", Port: 4317} },
		},
		"tracing to a server of the proxy": {
			allowed: all,
			group:   &epicv1.EdgeSpec{Tracing: &epicv1.Tracing{Collector: &epicv1.TraceCollector{Host: "otel"}}},
			own:     &epicv1.EdgeSpec{Tracing: &epicv1.Tracing{Collector: &epicv1.TraceCollector{Host: "metadata.internal"}}},
			want:    func(s *Settings) { s.Tracing = &Tracing{Host: "otel", Port: 4317, Share: 1} },
			refused: "tracing.collector",
		},
		"tracing without a collector": {
			allowed: all,
			own:     &epicv1.EdgeSpec{Tracing: &epicv1.Tracing{}},
			refused: "tracing",
		},
		"tracing that is not allowed": {
			group:   &epicv1.EdgeSpec{Tracing: &epicv1.Tracing{Collector: &epicv1.TraceCollector{Host: "otel"}}},
			own:     &epicv1.EdgeSpec{Tracing: &epicv1.Tracing{Mode: "Disabled", Collector: &epicv1.TraceCollector{Host: "other"}}},
			want:    func(s *Settings) { s.Tracing = &Tracing{Host: "otel", Port: 4317, Share: 1} },
			refused: "tracing",
		},
		"nonsense that the API refuses": {
			group: &epicv1.EdgeSpec{ConnectionLimit: &epicv1.ConnectionLimit{PerListener: n(-1)}, RateLimit: &epicv1.RateLimit{Requests: &epicv1.Rate{Count: -1}, Connections: &epicv1.Rate{Count: 3, Burst: n(1), Interval: "x"}}},
			want:  func(s *Settings) { s.Connections = &Rate{3, 3, time.Second} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			group := &epicv1.LBServiceGroup{Spec: epicv1.LBServiceGroupSpec{Edge: c.group, EdgeOverrides: c.allowed}}
			group.Name = "sample"
			want := plain
			if c.want != nil {
				c.want(&want)
			}
			got, refused := Of(group, c.own)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			var fields []string
			for _, r := range refused {
				fields = append(fields, r.Field)
				if !strings.Contains(r.Message, "sample") {
					t.Errorf("%s: %q does not name the group", r.Field, r.Message)
				}
			}
			if got := strings.Join(fields, " "); got != c.refused {
				t.Errorf("refused %q, want %q", got, c.refused)
			}
		})
	}
	if got, refused := Of(nil, nil); !cmp.Equal(got, plain) || refused != nil {
		t.Errorf("without a group: %+v, %v", got, refused)
	}
}
