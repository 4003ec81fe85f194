// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// Remote is the state in EPIC for one object of the client cluster.
type Remote struct {
	// Proxy is its gateway proxy, or nil if there is none.
	Proxy *epicv1.GWProxy
	// LoadBalancer is its load balancer, or nil if there is none.
	LoadBalancer *epicv1.LoadBalancer
	// Refused is why EPIC refused the last write of the object; empty if it was accepted.
	Refused Refusal
}

// Refusal is an error from EPIC that persists until the object is changed.
type Refusal struct {
	// Reason is a reason of the Gateway API for a condition.
	Reason string
	// Message is the error text from EPIC.
	Message string
}

// GatewayResult is the result for a Gateway with its ListenerSets.
type GatewayResult struct {
	// Proxy is the gateway proxy that should exist. If it is nil, none should be created,
	// and an existing one stays unchanged.
	Proxy *epicv1.GWProxy
	// Secrets are the Secrets that its listeners need in EPIC.
	Secrets []*corev1.Secret
	// ServiceAccount represents the Gateway's infrastructure in the client cluster.
	ServiceAccount *corev1.ServiceAccount
	// Status is the part of the Gateway's status that the connector sets.
	Status gatewayv1.GatewayStatus
	// ListenerSets is the equivalent for each ListenerSet that refers to the Gateway.
	ListenerSets map[types.NamespacedName]gatewayv1.ListenerSetStatus
}

// ProxyName returns the name of a Gateway's proxy: its UID, or the key under which
// several clusters share it.
func ProxyName(gateway metav1.Object) string {
	if key := gateway.GetAnnotations()[SharingKeyAnnotation]; key != "" {
		return key
	}
	return string(gateway.GetUID())
}

// Gateway publishes a Gateway, or returns nil if the connector does not serve it.
func Gateway(config *Config, view View, gateway *gatewayv1.Gateway, remote Remote) *GatewayResult {
	p := newPublisher(config, view)
	s := p.state(nameOf(gateway))
	if s == nil {
		return nil
	}
	for _, l := range s.listeners {
		p.resolveCertificates(l)
	}
	p.attachAll(s)
	r := &GatewayResult{ListenerSets: map[types.NamespacedName]gatewayv1.ListenerSetStatus{}}
	p.reportListeners(s.listeners, remote.Proxy)
	published := publishedState(s, remote)
	if !s.accepted.no && !s.unusableAddress().no {
		r.Proxy = p.proxy(s, remote.Proxy)
	}
	p.backendCertificate(s, r.Proxy)
	r.Secrets = p.secrets.list()
	r.ServiceAccount = serviceAccount(gateway)
	r.Status = p.gatewayStatus(s, published, remote.Proxy)
	for _, set := range s.sets {
		r.ListenerSets[nameOf(set.set)] = setStatus(s, set, published)
	}
	return r
}

// acceptGateway decides whether a Gateway as a whole can be served.
func (p *publisher) acceptGateway(s *gatewayState) {
	class := p.view.Class(string(s.gateway.Spec.GatewayClassName))
	group, refused := groupOf(p.config, class)
	if refused.no {
		s.accepted.refuse(string(gatewayv1.GatewayReasonInvalidParameters), "the GatewayClass is not accepted: "+refused.message)
	}
	s.group = group
	if infra := s.gateway.Spec.Infrastructure; infra != nil && infra.ParametersRef != nil {
		ref := infra.ParametersRef
		switch {
		case ref.Group != epic.GroupName || ref.Kind != GroupKind:
			s.accepted.refuse(string(gatewayv1.GatewayReasonInvalidParameters),
				fmt.Sprintf("infrastructure.parametersRef names the kind %s of the group %q: use a %s of the group %s", ref.Kind, ref.Group, GroupKind, epic.GroupName))
		default:
			if v := p.config.knowsGroup(ref.Name); v.no {
				s.accepted.refuse(string(gatewayv1.GatewayReasonInvalidParameters), "infrastructure.parametersRef: "+v.message)
			}
			s.group = ref.Name
		}
	}
	for i, a := range s.gateway.Spec.Addresses {
		if kind := ptr.Deref(a.Type, gatewayv1.IPAddressType); kind != gatewayv1.IPAddressType {
			s.accepted.refuse(string(gatewayv1.GatewayReasonUnsupportedAddress),
				fmt.Sprintf("addresses[%d] has the type %s: only %s is supported", i, kind, gatewayv1.IPAddressType))
		}
	}
	if _, err := edgeOf(s.gateway); err != nil {
		s.accepted.refuse(string(gatewayv1.GatewayReasonInvalidParameters), err.Error())
	}
	if key := s.gateway.Annotations[SharingKeyAnnotation]; key != "" {
		if problems := validation.IsDNS1123Subdomain(key); len(problems) > 0 {
			s.accepted.refuse(string(gatewayv1.GatewayReasonInvalid), fmt.Sprintf("the annotation %s: %s", SharingKeyAnnotation, problems[0]))
		}
	}
}

// addresses returns the addresses that a Gateway requests, by family.
func (s *gatewayState) addresses() (v4, v6 []netip.Addr, bad []string) {
	for _, a := range s.gateway.Spec.Addresses {
		if a.Value == "" {
			continue
		}
		addr, err := netip.ParseAddr(a.Value)
		switch {
		case err != nil || addr.Zone() != "":
			bad = append(bad, a.Value)
		case addr.Unmap().Is4():
			v4 = append(v4, addr.Unmap())
		default:
			v6 = append(v6, addr)
		}
	}
	return v4, v6, bad
}

// unusableAddress rejects addresses that no gateway proxy can have.
func (s *gatewayState) unusableAddress() verdict {
	var v verdict
	v4, v6, bad := s.addresses()
	if len(bad) > 0 {
		v.refuse(string(gatewayv1.GatewayReasonAddressNotUsable), strings.Join(bad, ", ")+" is not an IP address: correct it in addresses, or leave its value out")
	}
	if len(v4) > 1 || len(v6) > 1 {
		v.refuse(string(gatewayv1.GatewayReasonAddressNotUsable), fmt.Sprintf("a Gateway can have one IPv4 and one IPv6 address, but %s are requested: remove some addresses",
			addressText(append(v4, v6...))))
	}
	return v
}

func addressText(all []netip.Addr) string {
	text := make([]string, len(all))
	for i, a := range all {
		text[i] = a.String()
	}
	return strings.Join(text, ", ")
}

// proxy returns the gateway proxy of a Gateway. A Gateway without one gets none until it
// has a usable listener.
func (p *publisher) proxy(s *gatewayState, now *epicv1.GWProxy) *epicv1.GWProxy {
	gateway := s.gateway
	proxy := &epicv1.GWProxy{
		TypeMeta:   metav1.TypeMeta{APIVersion: epicv1.SchemeGroupVersion.String(), Kind: "GWProxy"},
		ObjectMeta: p.config.meta(ProxyName(gateway)),
	}
	infrastructure(gateway, proxy)
	proxy.Labels[epic.OwningLBServiceGroupLabel] = s.group
	if gateway.Annotations[SharingKeyAnnotation] != "" {
		proxy.Annotations[p.config.OwnerAnnotation()] = string(gateway.UID)
	}
	proxy.Spec.ClientRef = p.config.ref(gateway)
	proxy.Spec.DisplayName = gateway.Name
	// A Gateway with unreadable settings is not accepted, and does not get here.
	proxy.Spec.Edge, _ = edgeOf(gateway)
	v4, v6, _ := s.addresses()
	switch {
	case len(v6) > 0:
		proxy.Spec.PublicAddress = v6[0].String()
		if len(v4) > 0 {
			proxy.Spec.AltAddress = v4[0].String()
		}
	case len(v4) > 0:
		proxy.Spec.PublicAddress = v4[0].String()
	}
	if now != nil {
		// An address never changes; the status reports if it is not the requested one.
		proxy.Spec.PublicAddress, proxy.Spec.AltAddress = now.Spec.PublicAddress, cmp.Or(now.Spec.AltAddress, proxy.Spec.AltAddress)
		if gateway.Annotations[SharingKeyAnnotation] != "" {
			// The service group never changes either, and another cluster may have chosen
			// it.
			proxy.Labels[epic.OwningLBServiceGroupLabel] = cmp.Or(now.Labels[epic.OwningLBServiceGroupLabel], s.group)
		}
	}
	spec := gatewayv1.GatewaySpec{GatewayClassName: gateway.Spec.GatewayClassName}
	for _, l := range s.listeners {
		if !l.usable() {
			continue
		}
		spec.Listeners = append(spec.Listeners, l.published())
		proxy.Spec.PublicPorts = append(proxy.Spec.PublicPorts, epicv1.ServicePort{
			Port: l.Port, Protocol: corev1.Protocol(transport(l.Protocol)), Name: string(l.merged),
		})
	}
	if len(spec.Listeners) == 0 {
		if now == nil {
			return nil
		}
		// It keeps its address and serves nothing.
		spec.Listeners = []gatewayv1.Listener{{Name: "none", Port: 1, Protocol: epic.GroupName + "/none"}}
	}
	spec.TLS = p.publishedTLS(s)
	proxy.Spec.Gateway = &epicv1.GatewaySpec{GatewaySpec: spec}
	return proxy
}

// published returns the listener in the form for the gateway proxy.
func (l *listener) published() gatewayv1.Listener {
	out := gatewayv1.Listener{
		Name: l.merged, Port: l.Port, Protocol: l.Protocol,
		AllowedRoutes: &gatewayv1.AllowedRoutes{
			Namespaces: &gatewayv1.RouteNamespaces{From: ptr.To(gatewayv1.NamespacesFromAll)},
			Kinds:      slices.Clone(l.kinds),
		},
	}
	if l.host != "" {
		out.Hostname = ptr.To(gatewayv1.Hostname(l.host))
	}
	if l.TLS != nil && hasTLS(l) {
		out.TLS = &gatewayv1.ListenerTLSConfig{Mode: ptr.To(gatewayv1.TLSModePassthrough), Options: l.TLS.Options}
		if l.terminates() {
			out.TLS.Mode = ptr.To(gatewayv1.TLSModeTerminate)
			for _, name := range l.certificates {
				out.TLS.CertificateRefs = append(out.TLS.CertificateRefs, secretRef(name))
			}
		}
	}
	return out
}

func secretRef(name string) gatewayv1.SecretObjectReference {
	return gatewayv1.SecretObjectReference{Group: ptr.To[gatewayv1.Group](""), Kind: ptr.To[gatewayv1.Kind]("Secret"), Name: gatewayv1.ObjectName(name)}
}

// publishedTLS returns how the gateway proxy validates client certificates.
func (p *publisher) publishedTLS(s *gatewayState) *gatewayv1.GatewayTLSConfig {
	if s.gateway.Spec.TLS == nil || s.gateway.Spec.TLS.Frontend == nil {
		return nil
	}
	frontend := s.gateway.Spec.TLS.Frontend
	out := &gatewayv1.FrontendTLSConfig{Default: p.publishedValidation(s, frontend.Default)}
	for i := range frontend.PerPort {
		out.PerPort = append(out.PerPort, gatewayv1.TLSPortConfig{Port: frontend.PerPort[i].Port, TLS: p.publishedValidation(s, frontend.PerPort[i].TLS)})
	}
	return &gatewayv1.GatewayTLSConfig{Frontend: out}
}

// publishedValidation refers to the authorities by their names in EPIC. If none can be
// used, no listener that requires them is served.
func (p *publisher) publishedValidation(s *gatewayState, c gatewayv1.TLSConfig) gatewayv1.TLSConfig {
	if c.Validation == nil {
		return gatewayv1.TLSConfig{}
	}
	names, _ := p.authorities(s.gateway, c.Validation)
	if len(names) == 0 {
		return gatewayv1.TLSConfig{}
	}
	out := &gatewayv1.FrontendTLSValidation{Mode: c.Validation.Mode}
	for _, name := range names {
		out.CACertificateRefs = append(out.CACertificateRefs, gatewayv1.ObjectReference{Kind: "Secret", Name: gatewayv1.ObjectName(name)})
	}
	return gatewayv1.TLSConfig{Validation: out}
}

// clientCertificate returns the certificate that a Gateway presents to backends.
func (p *publisher) clientCertificate(s *gatewayState) (string, *problem) {
	if s.gateway.Spec.TLS == nil || s.gateway.Spec.TLS.Backend == nil || s.gateway.Spec.TLS.Backend.ClientCertificateRef == nil {
		return "", nil
	}
	return p.certificate(from{GatewayKind, s.gateway.Namespace}, s.gateway.Spec.TLS.Backend.ClientCertificateRef,
		string(gatewayv1.GatewayReasonInvalidClientCertificateRef))
}

// backendCertificate sets the certificate that the Gateway presents to backends in its
// proxy.
func (p *publisher) backendCertificate(s *gatewayState, proxy *epicv1.GWProxy) {
	name, _ := p.clientCertificate(s)
	if name == "" || proxy == nil {
		return
	}
	spec := &proxy.Spec.Gateway.GatewaySpec
	if spec.TLS == nil {
		spec.TLS = &gatewayv1.GatewayTLSConfig{}
	}
	spec.TLS.Backend = &gatewayv1.GatewayBackendTLS{ClientCertificateRef: ptr.To(secretRef(name))}
}

// infrastructure sets the labels and annotations that a Gateway requests on an object
// that represents it. Tenants can't set EPIC's own.
func infrastructure(gateway *gatewayv1.Gateway, o metav1.Object) {
	labels, annotations := o.GetLabels(), o.GetAnnotations()
	if labels == nil {
		labels = map[string]string{}
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	if infra := gateway.Spec.Infrastructure; infra != nil {
		for k, v := range infra.Labels {
			if !strings.HasPrefix(string(k), epic.LabelPrefix) {
				labels[string(k)] = string(v)
			}
		}
		for k, v := range infra.Annotations {
			if !strings.HasPrefix(string(k), epic.LabelPrefix) {
				annotations[string(k)] = string(v)
			}
		}
	}
	labels[gatewayv1.GatewayNameLabelKey] = epic.LabelValue(gateway.Name)
	labels[gatewayv1.GatewayClassNameLabelKey] = epic.LabelValue(string(gateway.Spec.GatewayClassName))
	o.SetLabels(labels)
	o.SetAnnotations(annotations)
}

// serviceAccount returns an object that represents a Gateway in its namespace, so tools
// that look there for its infrastructure find its labels. No pod uses it.
func serviceAccount(gateway *gatewayv1.Gateway) *corev1.ServiceAccount {
	account := &corev1.ServiceAccount{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: gateway.Namespace,
			Name:      serviceAccountName(gateway),
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: gatewayv1.GroupVersion.String(), Kind: string(GatewayKind), Name: gateway.Name, UID: gateway.UID, Controller: ptr.To(true),
			}},
		},
		AutomountServiceAccountToken: ptr.To(false),
	}
	infrastructure(gateway, account)
	return account
}

// serviceAccountName consists of a Gateway's name and its class, as the Gateway API
// recommends.
func serviceAccountName(gateway *gatewayv1.Gateway) string {
	name := gateway.Name + "-" + string(gateway.Spec.GatewayClassName)
	if len(name) <= validation.DNS1123SubdomainMaxLength {
		return name
	}
	return epic.NameLabel(name)
}

// published describes whether a Gateway is published, and served by proxies.
type published struct {
	verdict
	// each is set if only the state of EPIC's proxies is in doubt: then EPIC's report for
	// each listener decides.
	each bool
}

// publishedState returns EPIC's report on a Gateway's proxy.
func publishedState(s *gatewayState, remote Remote) published {
	var v published
	pending := string(gatewayv1.GatewayReasonPending)
	if s.accepted.no {
		v.refuse(string(gatewayv1.GatewayReasonInvalid), "the Gateway is not accepted: "+s.accepted.message)
	}
	if unusable := s.unusableAddress(); unusable.no {
		v.refuse(unusable.reason, unusable.message)
	}
	if remote.Refused.Reason != "" {
		v.refuse(remote.Refused.Reason, remote.Refused.Message)
	}
	proxy := remote.Proxy
	switch {
	case proxy == nil:
		v.refuse(pending, "EPIC has not created a gateway proxy for it yet")
	case proxy.Spec.PublicAddress == "":
		v.refuse(string(gatewayv1.GatewayReasonAddressNotAssigned), "EPIC has not assigned an address yet")
	default:
		v4, v6, _ := s.addresses()
		for _, want := range append(v4, v6...) {
			if text := want.String(); text != proxy.Spec.PublicAddress && text != proxy.Spec.AltAddress {
				v.refuse(string(gatewayv1.GatewayReasonAddressNotUsable),
					fmt.Sprintf("it has the address %s, which can't change: create another Gateway for %s", proxy.Spec.PublicAddress, text))
			}
		}
		v.each = !v.no
		if c := programmed(proxy.Status.Conditions, proxy.Generation); c.Status != metav1.ConditionTrue && !s.stays(c) {
			v.refuse(cmp.Or(c.Reason, pending), cmp.Or(c.Message, "EPIC is configuring its proxies"))
		}
	}
	return v
}

// stays reports whether a Gateway counts as programmed although its proxies do not have
// the newest configuration yet: it was programmed, has not changed since, and a change of
// a route is in progress.
func (s *gatewayState) stays(c metav1.Condition) bool {
	was := programmed(s.gateway.Status.Conditions, s.gateway.Generation)
	return c.Reason == string(gatewayv1.GatewayReasonPending) && was.Status == metav1.ConditionTrue && was.ObservedGeneration == s.gateway.Generation
}

// programmed returns the condition by which EPIC reports that proxies are configured, if
// it refers to the current generation.
func programmed(list []metav1.Condition, generation int64) metav1.Condition {
	for _, c := range list {
		if c.Type == string(gatewayv1.GatewayConditionProgrammed) && (c.ObservedGeneration == 0 || c.ObservedGeneration >= generation) {
			return c
		}
	}
	return metav1.Condition{}
}
