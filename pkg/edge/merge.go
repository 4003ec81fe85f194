// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// Refusal is a part of a proxy's own settings that its group does not allow.
type Refusal struct {
	// Field is the path below the edge settings, such as "rateLimit.requests".
	Field string
	// Value is the proxy's value.
	Value string
	// Message contains the rule and the fix.
	Message string
}

// Of returns the settings of a proxy, given its group and its own settings, either of
// which may be nil. Settings that the group does not allow are refused, and those of the
// group apply instead.
func Of(group *epicv1.LBServiceGroup, own *epicv1.EdgeSpec) (Settings, []Refusal) {
	m := merge{out: &epicv1.EdgeSpec{}, own: own, base: &epicv1.EdgeSpec{}, group: "(unknown)"}
	if group != nil {
		m.group, m.allowed = group.Name, group.Spec.EdgeOverrides
		if group.Spec.Edge != nil {
			m.base = group.Spec.Edge
		}
	}
	if m.own == nil {
		m.own = &epicv1.EdgeSpec{}
	}
	m.limits()
	m.rates()
	m.parts()
	if http3, clients := m.out.HTTP3, m.out.ProxyProtocol; http3 != nil && http3.Mode != epicv1.EdgeDisabled && clients != nil && clients.Clients == epicv1.ProxyProtocolRequired {
		if m.own.HTTP3 != nil || m.own.ProxyProtocol != nil {
			m.refuse("http3.mode", string(http3.Mode), "can't be combined with proxyProtocol.clients %s, one of which is set by group %s: set http3.mode to Disabled, or proxyProtocol.clients to None", clients.Clients, m.group)
		}
		m.out.HTTP3 = nil
	}
	return settle(m.out), m.refused
}

// merge is the state while settings are computed.
type merge struct {
	group     string
	allowed   []epicv1.EdgePart
	base, own *epicv1.EdgeSpec
	out       *epicv1.EdgeSpec
	refused   []Refusal
}

func (m *merge) refuse(field, value, format string, args ...any) {
	m.refused = append(m.refused, Refusal{field, value, fmt.Sprintf(format, args...)})
}

// limits merges the connection limits.
func (m *merge) limits() {
	base, own := deref(m.base.ConnectionLimit), deref(m.own.ConnectionLimit)
	m.out.ConnectionLimit = &epicv1.ConnectionLimit{
		PerListener: m.lower("connectionLimit.perListener", base.PerListener, own.PerListener),
		PerBackend:  m.lower("connectionLimit.perBackend", base.PerBackend, own.PerBackend),
	}
}

func (m *merge) lower(field string, base, own *int32) *int32 {
	if own != nil && base != nil && *own > *base {
		m.refuse(field, fmt.Sprint(*own), "is more than the limit of %d in group %s: use at most that, or ask the platform team to change the group", *base, m.group)
		return base
	}
	return cmp.Or(own, base)
}

// rates merges the rates of requests and connections.
func (m *merge) rates() {
	base, own := deref(m.base.RateLimit), deref(m.own.RateLimit)
	m.out.RateLimit = &epicv1.RateLimit{
		Requests:          m.slower("rateLimit.requests", base.Requests, own.Requests),
		RequestsPerClient: m.slower("rateLimit.requestsPerClient", base.RequestsPerClient, own.RequestsPerClient),
		Connections:       m.slower("rateLimit.connections", base.Connections, own.Connections),
	}
}

func (m *merge) slower(field string, base, own *epicv1.Rate) *epicv1.Rate {
	b, o := rateOf(base), rateOf(own)
	switch {
	case b == nil || o == nil:
		return cmp.Or(own, base)
	case int64(o.Count)*int64(b.Interval) > int64(b.Count)*int64(o.Interval):
		m.refuse(field, o.String(), "is more than the rate of %s in group %s: use that rate or a lower one, or ask the platform team to change the group", b, m.group)
		return base
	case o.Burst > b.Burst:
		m.refuse(field+".burst", fmt.Sprint(o.Burst), "is more than the limit of %d in group %s: use at most that, or ask the platform team to change the group", b.Burst, m.group)
		return base
	}
	return own
}

// String formats the rate for people.
func (r *Rate) String() string { return fmt.Sprintf("%d in %s", r.Count, r.Interval) }

// parts merges the parts that a group leaves to its proxies.
func (m *merge) parts() {
	base, own, out := m.base, m.own, m.out
	out.ProxyProtocol = part(m, epicv1.EdgeProxyProtocol, "proxyProtocol", base.ProxyProtocol, own.ProxyProtocol, func(b, o epicv1.ProxyProtocol) epicv1.ProxyProtocol {
		return epicv1.ProxyProtocol{Clients: cmp.Or(o.Clients, b.Clients), Backends: cmp.Or(o.Backends, b.Backends)}
	})
	out.HTTP3 = part(m, epicv1.EdgeHTTP3, "http3", base.HTTP3, own.HTTP3, func(b, o epicv1.HTTP3) epicv1.HTTP3 {
		return epicv1.HTTP3{Mode: cmp.Or(o.Mode, b.Mode), MaxAge: cmp.Or(o.MaxAge, b.MaxAge)}
	})
	out.HealthCheck = part(m, epicv1.EdgeHealthCheck, "healthCheck", base.HealthCheck, own.HealthCheck, mergeHealthCheck)
	out.OutlierDetection = part(m, epicv1.EdgeOutlierDetection, "outlierDetection", base.OutlierDetection, own.OutlierDetection, func(b, o epicv1.OutlierDetection) epicv1.OutlierDetection {
		return epicv1.OutlierDetection{
			Mode: cmp.Or(o.Mode, b.Mode), Errors: cmp.Or(o.Errors, b.Errors), ConsecutiveErrors: cmp.Or(o.ConsecutiveErrors, b.ConsecutiveErrors),
			Interval: cmp.Or(o.Interval, b.Interval), BaseEjectionTime: cmp.Or(o.BaseEjectionTime, b.BaseEjectionTime),
			MaxEjectionTime: cmp.Or(o.MaxEjectionTime, b.MaxEjectionTime), MaxEjectionPercent: cmp.Or(o.MaxEjectionPercent, b.MaxEjectionPercent),
		}
	})
	out.AccessLog = part(m, epicv1.EdgeAccessLog, "accessLog", base.AccessLog, own.AccessLog, func(b, o epicv1.AccessLog) epicv1.AccessLog {
		merged := epicv1.AccessLog{Format: cmp.Or(o.Format, b.Format), Text: cmp.Or(o.Text, b.Text), Fields: slices.Clone(b.Fields)}
		for _, f := range o.Fields {
			merged.Fields = append(slices.DeleteFunc(merged.Fields, func(was epicv1.AccessLogField) bool { return was.Name == f.Name }), f)
		}
		return merged
	})
	m.tracing()
}

// tracing merges which requests are traced. The group determines where traces are sent.
func (m *merge) tracing() {
	base, own := m.base.Tracing, m.own.Tracing
	m.out.Tracing = part(m, epicv1.EdgeTracing, "tracing", base, own, func(b, o epicv1.Tracing) epicv1.Tracing {
		return epicv1.Tracing{Mode: cmp.Or(o.Mode, b.Mode), Collector: b.Collector, RequestsPerMillion: cmp.Or(o.RequestsPerMillion, b.RequestsPerMillion)}
	})
	switch {
	case own == nil || !slices.Contains(m.allowed, epicv1.EdgeTracing):
	case own.Collector != nil && (base == nil || !equality.Semantic.DeepEqual(own.Collector, base.Collector)):
		m.refuse("tracing.collector", own.Collector.Host, "can't be set on a proxy, because group %s determines where traces are sent: remove it", m.group)
	case own.Mode != epicv1.EdgeDisabled && m.out.Tracing.Collector == nil:
		m.refuse("tracing", "", "requires a collector, and group %s does not set one: remove it, or ask the platform team to set one", m.group)
	}
}

func mergeHealthCheck(b, o epicv1.HealthCheck) epicv1.HealthCheck {
	merged := epicv1.HealthCheck{
		Type: cmp.Or(o.Type, b.Type), HTTP: b.HTTP, GRPC: cmp.Or(o.GRPC, b.GRPC), Interval: cmp.Or(o.Interval, b.Interval), Timeout: cmp.Or(o.Timeout, b.Timeout),
		UnhealthyThreshold: cmp.Or(o.UnhealthyThreshold, b.UnhealthyThreshold), HealthyThreshold: cmp.Or(o.HealthyThreshold, b.HealthyThreshold),
	}
	if h := o.HTTP; h != nil {
		was := deref(b.HTTP)
		merged.HTTP = &epicv1.HTTPHealthCheck{
			Path: cmp.Or(h.Path, was.Path), Host: cmp.Or(h.Host, was.Host),
			MinStatus: cmp.Or(h.MinStatus, was.MinStatus), MaxStatus: cmp.Or(h.MaxStatus, was.MaxStatus),
		}
	}
	return merged
}

// part merges one part, if the group leaves it to its proxies. A proxy may repeat the
// group's value.
func part[T any](m *merge, name epicv1.EdgePart, field string, base, own *T, fields func(base, own T) T) *T {
	if own == nil {
		return base
	}
	if !slices.Contains(m.allowed, name) {
		allowed := "no part"
		if len(m.allowed) > 0 {
			allowed = joined(m.allowed)
		}
		m.refuse(field, "", "can't be set on a proxy, because edge-overrides of group %s lists %s: remove it, or ask the platform team to add %s", m.group, allowed, name)
		return base
	}
	merged := fields(deref(base), *own)
	return &merged
}

func joined(parts []epicv1.EdgePart) string {
	all := make([]string, len(parts))
	for i, p := range parts {
		all[i] = string(p)
	}
	return strings.Join(all, ", ")
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
