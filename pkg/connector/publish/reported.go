// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// routeConflict is EPIC's reason for a route that gets no requests because of an older
// one.
const routeConflict = "RouteConflict"

// reported is EPIC's report on one listener or parent. It only affects conditions: if it
// affected what is published, its own result would change it again.
type reported struct {
	accepted, resolved, conflicted verdict
	// absent is set if the proxy does not have the listener, because another cluster is
	// responsible for its spec.
	absent bool
	// programmed is nil if EPIC does not report it.
	programmed *metav1.Condition
	// partial is the condition of a route of which a part is left out; nil if none is.
	partial *metav1.Condition
}

// reportOf reads conditions that EPIC set for a generation of an object. Conditions for
// an earlier generation are ignored.
func reportOf(list []metav1.Condition, generation int64) reported {
	var r reported
	find := func(kind string) *metav1.Condition {
		if c := meta.FindStatusCondition(list, kind); c != nil && c.ObservedGeneration >= generation {
			return c
		}
		return nil
	}
	against := func(kind string, bad metav1.ConditionStatus) (v verdict) {
		if c := find(kind); c != nil && c.Status == bad {
			v.refuse(c.Reason, c.Message)
		}
		return v
	}
	r.accepted = against(string(gatewayv1.ListenerConditionAccepted), metav1.ConditionFalse)
	r.resolved = against(string(gatewayv1.ListenerConditionResolvedRefs), metav1.ConditionFalse)
	r.conflicted = against(string(gatewayv1.ListenerConditionConflicted), metav1.ConditionTrue)
	r.programmed = find(string(gatewayv1.ListenerConditionProgrammed))
	if c := find(string(gatewayv1.RouteConditionPartiallyInvalid)); c != nil && c.Status == metav1.ConditionTrue {
		r.partial = c
	}
	return r
}

// reportListeners records EPIC's report on the listeners of a Gateway.
func (p *publisher) reportListeners(all []*listener, proxy *epicv1.GWProxy) {
	if proxy == nil {
		return
	}
	maker := p.makerOf(proxy)
	for _, l := range all {
		if !l.usable() {
			continue
		}
		i := slices.IndexFunc(proxy.Status.Listeners, func(s epicv1.GatewayListenerStatus) bool { return s.Name == string(l.merged) })
		switch {
		case maker != "" && !has(proxy, l):
			l.reported.programmed = &metav1.Condition{
				Status: metav1.ConditionFalse, Reason: string(gatewayv1.ListenerReasonInvalid),
				Message: fmt.Sprintf("the cluster %q determines the listeners of the shared proxy and has none with this name, port, protocol and hostname: "+
					"add it to the Gateway there", maker),
			}
			l.reported.absent = true
		case i >= 0:
			l.reported = reportOf(proxy.Status.Listeners[i].Conditions, proxy.Generation)
		}
	}
}

// makerOf returns the other cluster that is responsible for the spec of a shared proxy;
// empty if it is this one.
func (p *publisher) makerOf(proxy *epicv1.GWProxy) string {
	for key := range proxy.Annotations {
		if strings.HasPrefix(key, epic.OwnerAnnotationPrefix) && proxy.Spec.ClientRef.ClusterID != p.config.Cluster {
			return proxy.Spec.ClientRef.ClusterID
		}
	}
	return ""
}

// has reports whether a proxy has a listener like the given one of a Gateway.
func has(proxy *epicv1.GWProxy, l *listener) bool {
	return proxy.Spec.Gateway != nil && slices.ContainsFunc(proxy.Spec.Gateway.Listeners, func(o gatewayv1.Listener) bool {
		return o.Name == l.merged && o.Port == l.Port && o.Protocol == l.Protocol && string(ptr.Deref(o.Hostname, "")) == l.host
	})
}

// verdicts returns those for the conditions of a listener: the connector's own or, if
// that is positive, EPIC's.
func (l *listener) verdicts() (accepted, resolved, conflicted verdict) {
	accepted, resolved, conflicted = l.accepted, l.resolved, l.conflicted
	accepted.also(l.reported.accepted)
	resolved.also(l.reported.resolved)
	conflicted.also(l.reported.conflicted)
	return accepted, resolved, conflicted
}

// reported returns EPIC's report on a route at one of its parents, and false if there is
// none. The parent may comprise several listeners: the route is accepted if one of them
// accepts it, and everything else is reported if it applies to any of them.
func (a *attachment) reported(routes []*epicv1.GWRoute) (reported, bool) {
	var all []reported
	for _, route := range routes {
		for _, p := range route.Status.Parents {
			if p.ParentRef.Name == ProxyName(a.gateway.gateway) && slices.ContainsFunc(a.listeners, func(l *listener) bool { return string(l.merged) == p.ParentRef.SectionName }) {
				r := reportOf(p.Conditions, route.Generation)
				if route.Spec.TCP != nil || route.Spec.UDP != nil {
					r.accepts()
				}
				all = append(all, r)
			}
		}
	}
	if len(all) == 0 {
		return reported{}, false
	}
	sum := reported{accepted: all[0].accepted}
	for _, r := range all {
		sum.resolved.also(r.resolved)
		if r.accepted.no {
			continue
		}
		sum.accepted = verdict{}
		if sum.partial == nil {
			sum.partial = r.partial
		}
		if sum.programmed == nil || sum.programmed.Status == metav1.ConditionTrue {
			sum.programmed = cmp.Or(r.programmed, sum.programmed)
		}
	}
	return sum, true
}

// accepts accepts a TCP or UDP route that is superseded by an older one. The Gateway API
// attaches both to the listener, and sends all connections to the older one; EPIC's
// report of this is handled like others about routes that proxies do not serve.
func (r *reported) accepts() {
	if r.accepted.no && r.accepted.reason == routeConflict {
		r.programmed = &metav1.Condition{Status: metav1.ConditionFalse, Reason: routeConflict, Message: r.accepted.message}
		r.accepted = verdict{}
	}
}
