// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"fmt"
	"net"
	"strconv"

	"k8s.io/apimachinery/pkg/api/equality"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// Describe returns the settings that differ from the defaults, for people: each as the
// path of its field below edge, and its value.
func (s *Settings) Describe() []string {
	usual := settle(&epicv1.EdgeSpec{})
	var out []string
	add := func(differs bool, format string, args ...any) {
		if differs {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	add(s.PerListener != usual.PerListener, "connectionLimit.perListener=%d", s.PerListener)
	add(s.PerBackend != usual.PerBackend, "connectionLimit.perBackend=%d", s.PerBackend)
	for _, rate := range []struct {
		field string
		value *Rate
	}{{"requests", s.Requests}, {"requestsPerClient", s.RequestsPerClient}, {"connections", s.Connections}} {
		if rate.value != nil {
			add(true, "rateLimit.%s=%s", rate.field, rate.value)
		}
	}
	add(s.ClientsSendAddress, "proxyProtocol.clients=%s", epicv1.ProxyProtocolRequired)
	add(s.BackendsGetAddress != usual.BackendsGetAddress, "proxyProtocol.backends=%s", s.BackendsGetAddress)
	if h := s.HTTP3; h != nil {
		add(true, "http3.maxAge=%s", h.MaxAge)
	}
	if c := s.HealthCheck; c != nil {
		add(true, "healthCheck=%s every %s", c.Type, c.Interval)
	}
	if o := s.Outlier; o != nil {
		add(true, "outlierDetection=%d errors (%s)", o.Consecutive, o.Errors)
	}
	add(!equality.Semantic.DeepEqual(s.AccessLog, usual.AccessLog), "accessLog.format=%s", s.AccessLog.Format)
	if t := s.Tracing; t != nil {
		add(true, "tracing=%g%% to %s", t.Share, net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port))))
	}
	return out
}
