// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// publisher is the state of one call of the package.
type publisher struct {
	config  *Config
	view    View
	secrets secrets
	// gateways caches the Gateways, so each is evaluated once.
	gateways map[types.NamespacedName]*gatewayState
}

func newPublisher(config *Config, view View) *publisher {
	return &publisher{config: config, view: view, secrets: secrets{}, gateways: map[types.NamespacedName]*gatewayState{}}
}

// gatewayState is a Gateway with everything that belongs to it.
type gatewayState struct {
	gateway *gatewayv1.Gateway
	// group is its service group; empty if accepted has the reason why there is none.
	group string
	// accepted is whether the Gateway as a whole can be served.
	accepted verdict
	// listeners are the listeners of the Gateway and of its sets, in order of precedence.
	listeners []*listener
	// sets are the ListenerSets that refer to it, in order of precedence.
	sets []*setState
}

// setState is a ListenerSet.
type setState struct {
	set *gatewayv1.ListenerSet
	// allowed is whether the Gateway accepts its listeners.
	allowed   verdict
	listeners []*listener
}

// ours reports whether the connector serves a Gateway.
func (p *publisher) ours(gateway *gatewayv1.Gateway) bool {
	class := p.view.Class(string(gateway.Spec.GatewayClassName))
	return class != nil && class.Spec.ControllerName == ControllerName
}

// state returns a Gateway of the connector by name, or nil if there is none.
func (p *publisher) state(name types.NamespacedName) *gatewayState {
	if s, ok := p.gateways[name]; ok {
		return s
	}
	gateway := p.view.Gateway(name)
	if gateway == nil || gateway.DeletionTimestamp != nil || !p.ours(gateway) {
		p.gateways[name] = nil
		return nil
	}
	s := &gatewayState{gateway: gateway}
	p.gateways[name] = s
	p.acceptGateway(s)
	s.listeners = ownListeners(gateway)
	settleConflicts(nil, s.listeners)
	usable := 0
	tooMany(&usable, s.listeners)
	for _, set := range sorted(p.view.ListenerSetsOf(name)) {
		if set.DeletionTimestamp != nil {
			continue
		}
		state := &setState{set: set, allowed: p.allowsSet(gateway, set), listeners: setListeners(set)}
		s.sets = append(s.sets, state)
		if state.allowed.no {
			continue
		}
		settleConflicts(s.listeners, state.listeners)
		tooMany(&usable, state.listeners)
		s.listeners = append(s.listeners, state.listeners...)
	}
	for _, l := range s.listeners {
		p.resolveFrontend(gateway, l)
	}
	settleOverlaps(s.listeners)
	return s
}

// stateOf returns the Gateway to which a parent belongs, and the parent's listeners, or
// nil if the connector does not serve it. A set that its Gateway does not allow has no
// listeners.
func (p *publisher) stateOf(parent Parent) (*gatewayState, []*listener) {
	gateway := parent.NamespacedName
	if parent.Kind == ListenerSetKind {
		set := p.view.ListenerSet(parent.NamespacedName)
		if set == nil {
			return nil, nil
		}
		var ok bool
		if gateway, ok = GatewayOf(set); !ok {
			return nil, nil
		}
	}
	s := p.state(gateway)
	if s == nil {
		return nil, nil
	}
	var own []*listener
	for _, l := range s.listeners {
		if l.owner == parent {
			own = append(own, l)
		}
	}
	return s, own
}

// GatewayOf returns the Gateway to which a ListenerSet belongs, and false if its
// parentRef refers to another kind.
func GatewayOf(set *gatewayv1.ListenerSet) (types.NamespacedName, bool) {
	ref := &set.Spec.ParentRef
	if ptr.Deref(ref.Group, gatewayv1.GroupName) != gatewayv1.GroupName || ptr.Deref(ref.Kind, GatewayKind) != GatewayKind {
		return types.NamespacedName{}, false
	}
	return types.NamespacedName{
		Namespace: string(ptr.Deref(ref.Namespace, gatewayv1.Namespace(set.Namespace))), Name: string(ref.Name),
	}, true
}

// allowsSet returns whether a Gateway accepts the listeners of a set.
func (p *publisher) allowsSet(gateway *gatewayv1.Gateway, set *gatewayv1.ListenerSet) verdict {
	var v verdict
	allowed := ptr.Deref(gateway.Spec.AllowedListeners, gatewayv1.AllowedListeners{})
	namespaces := ptr.Deref(allowed.Namespaces, gatewayv1.ListenerNamespaces{})
	from := ptr.Deref(namespaces.From, gatewayv1.NamespacesFromNone)
	if !p.selects(from, namespaces.Selector, gateway.Namespace, set.Namespace) {
		v.refuse(string(gatewayv1.ListenerSetReasonNotAllowed),
			"the Gateway does not accept ListenerSets of the namespace "+set.Namespace+": change its allowedListeners, or move the ListenerSet")
	}
	return v
}

// selects reports whether a rule for namespaces in one namespace selects another
// namespace.
func (p *publisher) selects(from gatewayv1.FromNamespaces, selector *metav1.LabelSelector, own, other string) bool {
	switch from {
	case gatewayv1.NamespacesFromAll:
		return true
	case gatewayv1.NamespacesFromSame:
		return own == other
	case gatewayv1.NamespacesFromSelector:
		namespace := p.view.Namespace(other)
		s, err := metav1.LabelSelectorAsSelector(selector)
		return namespace != nil && err == nil && s.Matches(labels.Set(namespace.Labels))
	default:
		return false
	}
}

// allows reports whether routes of a namespace may attach to a listener.
func (p *publisher) allows(l *listener, namespace string) bool {
	from, selector := gatewayv1.NamespacesFromSame, (*metav1.LabelSelector)(nil)
	if l.AllowedRoutes != nil && l.AllowedRoutes.Namespaces != nil {
		from = ptr.Deref(l.AllowedRoutes.Namespaces.From, gatewayv1.NamespacesFromSame)
		selector = l.AllowedRoutes.Namespaces.Selector
	}
	return p.selects(from, selector, l.owner.Namespace, namespace)
}

// list returns the collected Secrets, sorted.
func (s secrets) list() []*corev1.Secret {
	all := make([]*corev1.Secret, 0, len(s))
	for _, secret := range s {
		all = append(all, secret)
	}
	slices.SortFunc(all, func(a, b *corev1.Secret) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
