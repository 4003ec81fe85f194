// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"fmt"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// class is how a listener handles connections. Listeners of a port must have the same.
type class uint8

const (
	classNone class = iota
	classHTTP
	classTLS
	classTCP
	classUDP
)

// listener is a listener of a gateway.
type listener struct {
	spec     *gatewayv1.Listener
	field    string
	class    class
	hostname string
	// terminates indicates that the proxy terminates TLS.
	terminates bool
	// tls is the TLS configuration, or nil if the certificates can't be used.
	tls *serverTLS
	// kinds lists the kinds of routes that may attach.
	kinds    []gatewayv1.RouteGroupKind
	attached []*route
	refused  verdict
	conflict verdict
	refs     verdict
	// idle explains why the listener is not in the configuration.
	idle verdict
}

// verdict is the reason why a condition is false; the zero value means that it is true.
type verdict struct{ reason, message string }

func (v verdict) given() bool { return v.reason != "" }

// first keeps the first of several reasons.
func (v *verdict) first(reason, format string, args ...any) {
	if !v.given() {
		*v = verdict{reason, fmt.Sprintf(format, args...)}
	}
}

func (l *listener) accepted() bool { return !l.refused.given() && !l.conflict.given() }

func (l *listener) key() portKey {
	if l.class == classUDP {
		return portKey{uint16(l.spec.Port), protocolUDP}
	}
	return portKey{uint16(l.spec.Port), protocolTCP}
}

// readListeners checks the listeners of the gateway, individually and for conflicts.
func (g *gateway) readListeners() {
	if g.in.Proxy.Spec.Gateway == nil {
		return
	}
	spec := &g.in.Proxy.Spec.Gateway.GatewaySpec
	for i := range spec.Listeners {
		g.listeners = append(g.listeners, g.readListener(&spec.Listeners[i], fmt.Sprintf("spec.gateway.listeners[%d]", i)))
	}
	for i, a := range g.listeners {
		for _, b := range g.listeners[i+1:] {
			a.compare(b)
		}
	}
	for _, l := range g.listeners {
		for _, v := range []verdict{l.refused, l.conflict, l.refs} {
			if v.given() {
				g.problems.add(g.proxy, l.field, v.reason, "%s", v.message)
			}
		}
	}
}

func (g *gateway) readListener(spec *gatewayv1.Listener, field string) *listener {
	l := &listener{spec: spec, field: field, hostname: anyHost}
	if spec.Hostname != nil {
		l.hostname = orAny(string(*spec.Hostname))
	}
	passthrough := spec.TLS != nil && spec.TLS.Mode != nil && *spec.TLS.Mode == gatewayv1.TLSModePassthrough
	switch spec.Protocol {
	case gatewayv1.HTTPProtocolType:
		l.class = classHTTP
		l.allow(spec, "HTTPRoute", "GRPCRoute")
	case gatewayv1.HTTPSProtocolType:
		l.class, l.terminates = classTLS, true
		l.allow(spec, "HTTPRoute", "GRPCRoute")
		if passthrough {
			l.refused.first(string(gatewayv1.ListenerReasonUnsupportedValue), "a listener of protocol HTTPS can't pass TLS through: set tls.mode to Terminate, or the protocol to TLS")
		}
	case gatewayv1.TLSProtocolType:
		l.class, l.terminates = classTLS, !passthrough
		if passthrough {
			l.allow(spec, "TLSRoute")
		} else {
			l.allow(spec, "TLSRoute", "TCPRoute")
		}
	case gatewayv1.TCPProtocolType:
		l.class, l.hostname = classTCP, anyHost
		l.allow(spec, "TCPRoute")
	case gatewayv1.UDPProtocolType:
		l.class, l.hostname = classUDP, anyHost
		l.allow(spec, "UDPRoute")
	default:
		l.refused.first(string(gatewayv1.ListenerReasonUnsupportedProtocol), "its protocol is %q: use one of HTTP, HTTPS, TLS, TCP, UDP", spec.Protocol)
	}
	if spec.Port < 1 || spec.Port > 65535 {
		l.refused.first(string(gatewayv1.ListenerReasonPortUnavailable), "its port is %d: use a number from 1 to 65535", spec.Port)
	}
	if l.terminates && l.accepted() {
		g.readServerTLS(l)
	}
	return l
}

// allow sets which kinds of routes may attach: those that the protocol supports and the
// listener lists.
func (l *listener) allow(spec *gatewayv1.Listener, kinds ...gatewayv1.Kind) {
	group := gatewayv1.Group(gatewayv1.GroupName)
	if spec.AllowedRoutes == nil || len(spec.AllowedRoutes.Kinds) == 0 {
		for _, k := range kinds {
			l.kinds = append(l.kinds, gatewayv1.RouteGroupKind{Group: &group, Kind: k})
		}
		return
	}
	for _, k := range spec.AllowedRoutes.Kinds {
		if k.Group != nil && *k.Group != group || !slices.Contains(kinds, k.Kind) {
			l.refs.first(string(gatewayv1.ListenerReasonInvalidRouteKinds), "it allows routes of the kind %q, which a listener with protocol %s does not support: use %s", k.Kind, spec.Protocol, joined(kinds))
			continue
		}
		l.kinds = append(l.kinds, gatewayv1.RouteGroupKind{Group: &group, Kind: k.Kind})
	}
}

func joined(kinds []gatewayv1.Kind) string {
	var all []string
	for _, k := range kinds {
		all = append(all, string(k))
	}
	return strings.Join(all, " or ")
}

func (l *listener) allows(kind gatewayv1.Kind) bool {
	return slices.ContainsFunc(l.kinds, func(k gatewayv1.RouteGroupKind) bool { return k.Kind == kind })
}

// compare records conflicts between two listeners. If two can't be distinguished, neither
// is served.
func (l *listener) compare(o *listener) {
	if l.class == classNone || o.class == classNone || l.key() != o.key() {
		return
	}
	set := func(reason gatewayv1.ListenerConditionReason, text string) {
		l.conflict.first(string(reason), "it has port %d, as has the listener %q, %s", l.spec.Port, o.spec.Name, text)
		o.conflict.first(string(reason), "it has port %d, as has the listener %q, %s", o.spec.Port, l.spec.Name, text)
	}
	switch {
	case l.class != o.class:
		set(gatewayv1.ListenerReasonProtocolConflict, "and another protocol: use another port for one of them")
	case l.class == classTCP || l.class == classUDP:
		set(gatewayv1.ListenerReasonHostnameConflict, "and their connections can't be distinguished: use another port for one of them, or remove it")
	case l.hostname == o.hostname:
		set(gatewayv1.ListenerReasonHostnameConflict, "and the same hostname: give one of them another hostname or port, or remove it")
	}
}

// owner returns the listener of a port that is responsible for a hostname: the one with
// the most specific hostname that covers it, or nil if none does.
func owner(group []*listener, host string) *listener {
	var best *listener
	for _, l := range group {
		if covers(l.hostname, host) && (best == nil || moreSpecific(l.hostname, best.hostname)) {
			best = l
		}
	}
	return best
}

// status returns the status of the listener.
func (l *listener) status() ListenerStatus {
	s := ListenerStatus{Name: string(l.spec.Name), SupportedKinds: l.kinds, AttachedRoutes: int32(len(l.attached))}
	accepted := l.refused
	if !accepted.given() {
		accepted = l.conflict
	}
	programmed := accepted
	if !programmed.given() {
		programmed = l.idle
	}
	s.Conditions = []Condition{
		holds(string(gatewayv1.ListenerConditionAccepted), accepted, string(gatewayv1.ListenerReasonAccepted)),
		holds(string(gatewayv1.ListenerConditionResolvedRefs), l.refs, string(gatewayv1.ListenerReasonResolvedRefs)),
		{Type: string(gatewayv1.ListenerConditionConflicted), Status: l.conflict.given(), Reason: string(gatewayv1.ListenerReasonNoConflicts)},
		holds(string(gatewayv1.ListenerConditionProgrammed), programmed, string(gatewayv1.ListenerReasonProgrammed)),
	}
	if l.conflict.given() {
		s.Conditions[2].Reason, s.Conditions[2].Message = l.conflict.reason, l.conflict.message
	}
	if programmed.given() {
		s.Conditions[3].Reason = string(gatewayv1.ListenerReasonInvalid)
	}
	return s
}

// holds returns a condition that is true unless against has a reason.
func holds(conditionType string, against verdict, reason string) Condition {
	if against.given() {
		return Condition{Type: conditionType, Reason: against.reason, Message: against.message}
	}
	return Condition{Type: conditionType, Status: true, Reason: reason}
}
