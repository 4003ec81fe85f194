// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// listener is one listener of a Gateway or of a ListenerSet that is attached to it.
type listener struct {
	gatewayv1.Listener
	// owner is the object that contains the listener in its spec.
	owner Parent
	// merged is its unique name among all listeners of the Gateway, and in the gateway
	// proxy.
	merged gatewayv1.SectionName
	host   string
	// kinds are the kinds of routes that may attach.
	kinds []gatewayv1.RouteGroupKind

	accepted, resolved, conflicted verdict
	// reported is EPIC's report on it.
	reported reported
	// overlaps names the listeners with which it shares hostnames.
	overlaps string
	// certificates are the names in EPIC of its usable Secrets.
	certificates []string
	// frontend is why not all authorities of its client certificates can be used.
	frontend *problem
	// routes are the routes that are attached.
	routes []*Route
	// rejected holds those over which another kind of route has priority.
	rejected map[*Route]bool
}

// terminates reports whether the listener terminates TLS.
func (l *listener) terminates() bool {
	switch l.Protocol {
	case gatewayv1.HTTPSProtocolType:
		return true
	case gatewayv1.TLSProtocolType:
		return l.TLS == nil || ptr.Deref(l.TLS.Mode, gatewayv1.TLSModeTerminate) == gatewayv1.TLSModeTerminate
	default:
		return false
	}
}

// usable reports whether the listener is part of the gateway proxy.
func (l *listener) usable() bool { return !l.accepted.no && !l.conflicted.no }

// serves reports whether the listener can serve requests.
func (l *listener) serves() bool {
	return l.usable() && (!l.terminates() || len(l.certificates) > 0)
}

// attached returns the number of routes attached to the listener.
func (l *listener) attached() int32 {
	var n int32
	for _, r := range l.routes {
		if !l.rejected[r] {
			n++
		}
	}
	return n
}

// ownListeners returns the listeners of a Gateway itself.
func ownListeners(gateway *gatewayv1.Gateway) []*listener {
	all := make([]*listener, 0, len(gateway.Spec.Listeners))
	for i := range gateway.Spec.Listeners {
		l := gateway.Spec.Listeners[i]
		all = append(all, newListener(l, Parent{GatewayKind, nameOf(gateway)}, l.Name))
	}
	return all
}

// setListeners returns the listeners of a ListenerSet.
func setListeners(set *gatewayv1.ListenerSet) []*listener {
	all := make([]*listener, 0, len(set.Spec.Listeners))
	for i := range set.Spec.Listeners {
		e := &set.Spec.Listeners[i]
		l := gatewayv1.Listener{Name: e.Name, Hostname: e.Hostname, Port: e.Port, Protocol: e.Protocol, TLS: e.TLS, AllowedRoutes: e.AllowedRoutes}
		all = append(all, newListener(l, Parent{ListenerSetKind, nameOf(set)}, mergedName(set, e.Name)))
	}
	return all
}

func newListener(l gatewayv1.Listener, owner Parent, merged gatewayv1.SectionName) *listener {
	n := &listener{Listener: l, owner: owner, merged: merged}
	if l.Protocol != gatewayv1.TCPProtocolType && l.Protocol != gatewayv1.UDPProtocolType {
		n.host = strings.ToLower(string(ptr.Deref(l.Hostname, "")))
	}
	n.setKinds()
	return n
}

// maxSectionName is the maximum length of a listener name.
const maxSectionName = 253

// mergedName returns the name of a ListenerSet's listener among all listeners of its
// Gateway. The digest prevents conflicts between the names of two sets, and between those
// of a set and the Gateway's own.
func mergedName(set *gatewayv1.ListenerSet, name gatewayv1.SectionName) gatewayv1.SectionName {
	whole := fmt.Sprintf("set.%s.%s.%s", set.Namespace, set.Name, name)
	sum := sha256.Sum256([]byte(set.Namespace + "/" + set.Name + "/" + string(name)))
	suffix := "." + hex.EncodeToString(sum[:])[:10]
	if most := maxSectionName - len(suffix); len(whole) > most {
		whole = strings.TrimRight(whole[:most], ".-")
	}
	return gatewayv1.SectionName(whole + suffix)
}

// kindsFor returns the kinds of routes that a protocol supports; empty if the protocol is
// not supported.
func kindsFor(protocol gatewayv1.ProtocolType) []gatewayv1.Kind {
	switch protocol {
	case gatewayv1.HTTPProtocolType, gatewayv1.HTTPSProtocolType:
		return []gatewayv1.Kind{HTTPRouteKind, GRPCRouteKind}
	case gatewayv1.TLSProtocolType:
		return []gatewayv1.Kind{TLSRouteKind}
	case gatewayv1.TCPProtocolType:
		return []gatewayv1.Kind{TCPRouteKind}
	case gatewayv1.UDPProtocolType:
		return []gatewayv1.Kind{UDPRouteKind}
	}
	return nil
}

// setKinds determines which kinds of routes may attach.
func (l *listener) setKinds() {
	supported := kindsFor(l.Protocol)
	if len(supported) == 0 {
		l.accepted.refuse(string(gatewayv1.ListenerReasonUnsupportedProtocol),
			fmt.Sprintf("the protocol %s is not supported: use HTTP, HTTPS, TLS, TCP or UDP", l.Protocol))
	}
	l.kinds = []gatewayv1.RouteGroupKind{}
	if l.AllowedRoutes == nil || len(l.AllowedRoutes.Kinds) == 0 {
		for _, kind := range supported {
			l.kinds = append(l.kinds, routeKind(kind))
		}
		return
	}
	for _, k := range l.AllowedRoutes.Kinds {
		if group := ptr.Deref(k.Group, gatewayv1.GroupName); group != gatewayv1.GroupName || !slices.Contains(supported, k.Kind) {
			l.resolved.refuse(string(gatewayv1.ListenerReasonInvalidRouteKinds),
				fmt.Sprintf("allowedRoutes names the kind %s of the group %s, which a listener with the protocol %s does not support: use %s of the group %s",
					k.Kind, group, l.Protocol, list(supported), gatewayv1.GroupName))
			continue
		}
		if !l.allowsKind(k.Kind) {
			l.kinds = append(l.kinds, routeKind(k.Kind))
		}
	}
}

func routeKind(kind gatewayv1.Kind) gatewayv1.RouteGroupKind {
	return gatewayv1.RouteGroupKind{Group: ptr.To[gatewayv1.Group](gatewayv1.GroupName), Kind: kind}
}

func (l *listener) allowsKind(kind gatewayv1.Kind) bool {
	return slices.ContainsFunc(l.kinds, func(k gatewayv1.RouteGroupKind) bool { return k.Kind == kind })
}

// list joins words for people.
func list[T ~string](words []T) string {
	text := make([]string, len(words))
	for i, w := range words {
		text[i] = string(w)
	}
	if len(text) == 0 {
		return "none"
	}
	return strings.Join(text, ", ")
}

// transport returns the transport protocol of a listener's protocol.
func transport(protocol gatewayv1.ProtocolType) gatewayv1.ProtocolType {
	if protocol == gatewayv1.UDPProtocolType {
		return gatewayv1.UDPProtocolType
	}
	return gatewayv1.TCPProtocolType
}

// clash returns why two listeners can't both be served; empty if they can. A request must
// belong to one of them, by its port, transport protocol and hostname.
func clash(a, b *listener) string {
	if a.Port != b.Port || transport(a.Protocol) != transport(b.Protocol) {
		return ""
	}
	switch {
	case a.Protocol == b.Protocol && a.Protocol != transport(a.Protocol):
		if a.host == b.host {
			return string(gatewayv1.ListenerReasonHostnameConflict)
		}
		return ""
	case a.Protocol == b.Protocol:
		return string(gatewayv1.ListenerEntryReasonListenerConflict)
	case hasTLS(a) && hasTLS(b) && a.host != b.host:
		return ""
	}
	return string(gatewayv1.ListenerReasonProtocolConflict)
}

// settleConflicts marks the listeners of one owner that conflict with one that takes
// precedence, and then those that conflict with each other, none of which is served.
func settleConflicts(before, own []*listener) {
	for _, l := range own {
		for _, other := range before {
			if other.usable() {
				l.conflict(clash(other, l))
			}
		}
	}
	// Whether a listener conflicts must not depend on the order of the others.
	found := make([]string, len(own))
	for i, l := range own {
		for j, other := range own {
			if i != j && l.usable() && other.usable() {
				found[i] = cmp.Or(found[i], clash(other, l))
			}
		}
	}
	for i, l := range own {
		l.conflict(found[i])
	}
}

// conflict refuses the listener if there is a reason. It does not name the other
// listener, which may belong to another team.
func (l *listener) conflict(reason string) {
	if reason != "" && !l.accepted.no {
		l.conflicted.refuse(reason, fmt.Sprintf("another listener of the Gateway uses port %d for %s%s: change the port or the hostname",
			l.Port, transport(l.Protocol), hostText(l.host)))
	}
}

func hostText(host string) string {
	if host == "" {
		return ""
	}
	return " and requests for " + host
}

// settleOverlaps marks listeners with TLS on one port that share hostnames.
func settleOverlaps(all []*listener) {
	for i, a := range all {
		for _, b := range all[i+1:] {
			if a.Port != b.Port || !a.usable() || !b.usable() || !hostsMeet(a.host, b.host) {
				continue
			}
			if hasTLS(a) && hasTLS(b) {
				a.overlap()
				b.overlap()
			}
		}
	}
}

func hasTLS(l *listener) bool {
	return l.Protocol == gatewayv1.HTTPSProtocolType || l.Protocol == gatewayv1.TLSProtocolType
}

func (l *listener) overlap() {
	l.overlaps = fmt.Sprintf("another listener on port %d serves some of the same hostnames: "+
		"an HTTP client that reuses its connection for a name of the other listener gets the status 421", l.Port)
}

// tooMany refuses the listeners of ListenerSets that exceed the limit of a gateway proxy.
func tooMany(usable *int, own []*listener) {
	for _, l := range own {
		if !l.usable() {
			continue
		}
		if *usable++; *usable > epic.MaxListeners {
			l.accepted.refuse(string(gatewayv1.ListenerEntryReasonTooManyListeners),
				fmt.Sprintf("a Gateway and its ListenerSets have at most %d listeners together: remove some", epic.MaxListeners))
		}
	}
}
