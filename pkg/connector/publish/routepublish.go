// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// ConditionProxiesProgrammed is False on a route whose configuration the proxies refuse.
// The Gateway API has no condition for it.
const ConditionProxiesProgrammed = epic.LabelPrefix + "Programmed"

// RouteResult is the result for a route.
type RouteResult struct {
	// Routes are the gateway routes that should exist: none if no listener accepts the
	// route, and several if more listeners accept it than one of them can name.
	Routes []*epicv1.GWRoute
	// Secrets are the Secrets that its backends need in EPIC.
	Secrets []*corev1.Secret
	// Parents are the connector's entries in the route's status.
	Parents []gatewayv1.RouteParentStatus
}

// RemoteRoute is the state in EPIC for a route.
type RemoteRoute struct {
	// Routes are its gateway routes.
	Routes []*epicv1.GWRoute
	// Refused is why EPIC refused the last write of one; empty if it was accepted.
	Refused Refusal
}

// Publish publishes the route.
func (r *Route) Publish(config *Config, view View, remote RemoteRoute) *RouteResult {
	p := newPublisher(config, view)
	attachments := p.attachments(r)
	result := &RouteResult{}
	copied, resolved, backends := p.resolveAll(r)
	if r.GetDeletionTimestamp() == nil && remote.Refused.Reason == "" {
		result.Routes = p.gatewayRoutes(r, attachments, copied, backends)
	}
	if remote.Refused.Reason != "" {
		// The objects in EPIC stay unchanged until the route changes.
		result.Routes = remote.Routes
	}
	result.Secrets = p.secrets.list()
	for _, a := range attachments {
		result.Parents = append(result.Parents, r.parentStatus(a, resolved, remote))
	}
	return result
}

// attachments returns the route's attachments to parents that the connector serves. A
// reference is refused if another kind of route has priority at all its listeners.
func (p *publisher) attachments(route *Route) []*attachment {
	var all []*attachment
	whole := ruleVerdict(route)
	for _, ref := range route.allRefs(p.view) {
		a := p.attach(route, ref)
		if a == nil {
			continue
		}
		if !a.accepted.no && whole.no {
			a.accepted, a.listeners = whole, nil
		}
		if !a.accepted.no {
			a.listeners = slices.DeleteFunc(a.listeners, func(l *listener) bool { return p.rejects(a.gateway, l, route) })
			if len(a.listeners) == 0 {
				a.accepted.refuse(string(gatewayv1.ListenerReasonHostnameConflict),
					"an older route of another kind gets the requests for the same hostnames: change the hostnames of one of the two")
			}
		}
		all = append(all, a)
	}
	return all
}

// parentStatus returns the status of the route at one of its parents.
func (r *Route) parentStatus(a *attachment, resolved verdict, remote RemoteRoute) gatewayv1.RouteParentStatus {
	c := conditions{generation: r.GetGeneration()}
	accepted := a.accepted
	if remote.Refused.Reason != "" {
		accepted.refuse(remote.Refused.Reason, remote.Refused.Message)
	}
	epics, told := a.reported(remote.Routes)
	accepted.also(epics.accepted)
	resolved.also(epics.resolved)
	c.state(string(gatewayv1.RouteConditionAccepted), accepted, string(gatewayv1.RouteReasonAccepted), "the route is published in EPIC")
	c.state(string(gatewayv1.RouteConditionResolvedRefs), resolved, string(gatewayv1.RouteReasonResolvedRefs), "all references resolve")
	if accepted.no {
		return gatewayv1.RouteParentStatus{ParentRef: a.ref, ControllerName: ControllerName, Conditions: c.list}
	}
	if text := dropped(r); text != "" {
		c.set(string(gatewayv1.RouteConditionPartiallyInvalid), metav1.ConditionTrue, string(gatewayv1.RouteReasonUnsupportedValue), text)
	} else if epics.partial != nil {
		c.set(epics.partial.Type, metav1.ConditionTrue, epics.partial.Reason, epics.partial.Message)
	}
	if !told {
		epics.programmed = unprogrammed(remote.Routes)
	}
	if p := epics.programmed; p != nil && p.Status == metav1.ConditionFalse {
		c.set(ConditionProxiesProgrammed, metav1.ConditionFalse, p.Reason, p.Message)
	}
	return gatewayv1.RouteParentStatus{ParentRef: a.ref, ControllerName: ControllerName, Conditions: c.list}
}

// unprogrammed returns the condition of the first gateway route that proxies do not have,
// or nil if there is none.
func unprogrammed(routes []*epicv1.GWRoute) *metav1.Condition {
	for _, route := range routes {
		if p := programmed(route.Status.Conditions, route.Generation); p.Status == metav1.ConditionFalse {
			return &p
		}
	}
	return nil
}

// resolveAll returns a copy of the route with resolved references, whether all of them
// were resolved, and how proxies connect to the backends.
func (p *publisher) resolveAll(r *Route) (metav1.Object, verdict, []epicv1.RouteBackend) {
	var resolved verdict
	copied := deepCopy(r.Object)
	dropRules(r, copied)
	for _, ref := range references(r.Object) {
		if _, problem := p.resolve(r, ref.BackendObjectReference); problem != nil {
			resolved.refuse(problem.reason, ref.field+": "+problem.message)
		}
	}
	for _, field := range extensions(r.Object) {
		resolved.refuse(string(gatewayv1.RouteReasonInvalidKind), field+": filters of this kind are not supported, so requests get the status 500: remove it")
	}
	tls := map[string]epicv1.RouteBackend{}
	for _, ref := range references(copied) {
		to, problem := p.resolve(r, ref.BackendObjectReference)
		if problem == nil && r.Kind != TCPRouteKind && r.Kind != UDPRouteKind {
			if policy := p.policyFor(to.service, to.port); policy != nil {
				b := policy.backend(to)
				tls[fmt.Sprintf("%s/%05d", b.Name, b.Port)] = b
			}
		}
		lead(ref.BackendObjectReference, to, problem)
	}
	var backends []epicv1.RouteBackend
	for _, b := range tls {
		backends = append(backends, b)
	}
	slices.SortFunc(backends, func(a, b epicv1.RouteBackend) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Port, b.Port))
	})
	return copied, resolved, backends
}

// noAuthorities is the name of a Secret that never exists.
const noAuthorities = "unresolved"

// backend returns how proxies connect to a port of a Service by a policy. A policy that
// is not accepted trusts the content of a Secret that does not exist, so all requests
// fail.
func (s *policyState) backend(to *backend) epicv1.RouteBackend {
	validation := &epicv1.BackendTLSValidation{BackendTLSPolicyValidation: gatewayv1.BackendTLSPolicyValidation{
		Hostname:        s.policy.Spec.Validation.Hostname,
		SubjectAltNames: slices.Clone(s.policy.Spec.Validation.SubjectAltNames),
	}}
	if s.accepted.no {
		validation.CACertificateRefs = []gatewayv1.LocalObjectReference{{Kind: "Secret", Name: noAuthorities}}
	} else {
		for _, name := range s.authorities {
			validation.CACertificateRefs = append(validation.CACertificateRefs, gatewayv1.LocalObjectReference{Kind: "Secret", Name: gatewayv1.ObjectName(name)})
		}
		if len(s.authorities) == 0 {
			validation.WellKnownCACertificates = s.policy.Spec.Validation.WellKnownCACertificates
		}
	}
	return epicv1.RouteBackend{Name: string(to.service.UID), Port: to.port.Port, TLS: validation}
}

// deepCopy copies a route.
func deepCopy(o metav1.Object) metav1.Object {
	switch o := o.(type) {
	case *gatewayv1.HTTPRoute:
		return o.DeepCopy()
	case *gatewayv1.GRPCRoute:
		return o.DeepCopy()
	case *gatewayv1.TLSRoute:
		return o.DeepCopy()
	case *gatewayv1.TCPRoute:
		return o.DeepCopy()
	case *gatewayv1.UDPRoute:
		return o.DeepCopy()
	}
	return nil
}

// gatewayRoutes returns the gateway routes of a route with resolved references.
func (p *publisher) gatewayRoutes(r *Route, attachments []*attachment, copied metav1.Object, backends []epicv1.RouteBackend) []*epicv1.GWRoute {
	var refs []gatewayv1.ParentReference
	for _, a := range attachments {
		for _, l := range a.listeners {
			if !l.usable() {
				continue
			}
			ref := gatewayv1.ParentReference{
				Name: gatewayv1.ObjectName(ProxyName(a.gateway.gateway)), SectionName: ptr.To(l.merged),
			}
			if !slices.ContainsFunc(refs, func(have gatewayv1.ParentReference) bool {
				return have.Name == ref.Name && *have.SectionName == *ref.SectionName
			}) {
				refs = append(refs, ref)
			}
		}
	}
	var routes []*epicv1.GWRoute
	for part := range slices.Chunk(refs, epic.MaxParentRefs) {
		name := string(r.GetUID())
		if n := len(routes) + 1; n > 1 {
			name = fmt.Sprintf("%s-%d", name, n)
		}
		route := &epicv1.GWRoute{
			TypeMeta:   metav1.TypeMeta{APIVersion: epicv1.SchemeGroupVersion.String(), Kind: "GWRoute"},
			ObjectMeta: p.config.meta(name),
		}
		metav1.SetMetaDataAnnotation(&route.ObjectMeta, CreatedAnnotation, created(r))
		route.Spec.ClientRef = p.config.ref(r)
		route.Spec.Backends = backends
		setSpec(&route.Spec, deepCopy(copied), slices.Clone(part))
		routes = append(routes, route)
	}
	return routes
}

// setSpec sets the route's spec, with its parents in EPIC.
func setSpec(spec *epicv1.GWRouteSpec, route metav1.Object, parents []gatewayv1.ParentReference) {
	common := gatewayv1.CommonRouteSpec{ParentRefs: parents}
	switch o := route.(type) {
	case *gatewayv1.HTTPRoute:
		o.Spec.CommonRouteSpec = common
		spec.HTTP = &epicv1.HTTPRouteSpec{HTTPRouteSpec: o.Spec}
	case *gatewayv1.GRPCRoute:
		o.Spec.CommonRouteSpec = common
		spec.GRPC = &epicv1.GRPCRouteSpec{GRPCRouteSpec: o.Spec}
	case *gatewayv1.TLSRoute:
		o.Spec.CommonRouteSpec = common
		spec.TLS = &epicv1.TLSRouteSpec{TLSRouteSpec: o.Spec}
	case *gatewayv1.TCPRoute:
		o.Spec.CommonRouteSpec = common
		spec.TCP = &epicv1.TCPRouteSpec{TCPRouteSpec: o.Spec}
	case *gatewayv1.UDPRoute:
		o.Spec.CommonRouteSpec = common
		spec.UDP = &epicv1.UDPRouteSpec{UDPRouteSpec: o.Spec}
	}
}
