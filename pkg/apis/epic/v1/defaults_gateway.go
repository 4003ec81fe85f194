// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// The Gateway API keeps its defaults in its CRDs, which this server does not
// run on, so they are set here. Envoy templates rely on them: they follow
// pointers that a defaulted object always has.

const (
	// compatibility names the gateway class and the listener of proxies that
	// come from clients which know neither.
	compatibility = "compatibility"
	// defaultListenerPort is the port of a listener that nothing else gives one.
	defaultListenerPort gatewayv1.PortNumber = 80
	// defaultRedirectStatus is the status code of a redirect.
	defaultRedirectStatus = 302
	// defaultDenominator is what a fraction of requests is a part of.
	defaultDenominator int32 = 100
	// defaultCORSMaxAge is for how many seconds a browser may keep the answer to a
	// preflight request.
	defaultCORSMaxAge int32 = 5
)

// SetDefaults_GWProxySpec gives a proxy a gateway class and a listener.
func SetDefaults_GWProxySpec(spec *GWProxySpec) {
	if spec.Gateway == nil {
		if len(spec.PublicPorts) == 0 {
			return
		}
		spec.Gateway = &GatewaySpec{}
	}
	gateway := &spec.Gateway.GatewaySpec
	setDefault(&gateway.GatewayClassName, compatibility)
	if len(gateway.Listeners) == 0 {
		port := defaultListenerPort
		if len(spec.PublicPorts) > 0 {
			port = spec.PublicPorts[0].Port
		}
		gateway.Listeners = []gatewayv1.Listener{{
			Name:     compatibility,
			Protocol: gatewayv1.HTTPProtocolType,
			Port:     port,
		}}
	}
	for i := range gateway.Listeners {
		setListenerDefaults(&gateway.Listeners[i])
	}
	for i := range gateway.Addresses {
		setPointer(&gateway.Addresses[i].Type, gatewayv1.IPAddressType)
	}
	if gateway.TLS != nil && gateway.TLS.Frontend != nil {
		setAuthorities(&gateway.TLS.Frontend.Default)
		for i := range gateway.TLS.Frontend.PerPort {
			setAuthorities(&gateway.TLS.Frontend.PerPort[i].TLS)
		}
	}
}

// setAuthorities supplies the list that the schema of a client certificate's
// validation requires.
func setAuthorities(tls *gatewayv1.TLSConfig) {
	if tls.Validation != nil {
		setList(&tls.Validation.CACertificateRefs)
	}
}

// SetDefaults_HTTPRouteSpec makes explicit what an HTTPRoute leaves unsaid.
func SetDefaults_HTTPRouteSpec(spec *HTTPRouteSpec) {
	setParentDefaults(spec.ParentRefs)
	if len(spec.Rules) == 0 {
		spec.Rules = []gatewayv1.HTTPRouteRule{{}}
	}
	for i := range spec.Rules {
		rule := &spec.Rules[i]
		if len(rule.Matches) == 0 {
			rule.Matches = []gatewayv1.HTTPRouteMatch{{}}
		}
		for j := range rule.Matches {
			setMatchDefaults(&rule.Matches[j])
		}
		setFilterDefaults(rule.Filters)
		for j := range rule.BackendRefs {
			setBackendDefaults(&rule.BackendRefs[j].BackendRef)
			setFilterDefaults(rule.BackendRefs[j].Filters)
		}
	}
}

// SetDefaults_TCPRouteSpec makes explicit what a TCPRoute leaves unsaid.
func SetDefaults_TCPRouteSpec(spec *TCPRouteSpec) {
	setStreamDefaults(spec.ParentRefs, &spec.Rules, func(r *gatewayv1.TCPRouteRule) *[]gatewayv1.BackendRef { return &r.BackendRefs })
}

// SetDefaults_TLSRouteSpec makes explicit what a TLSRoute leaves unsaid.
func SetDefaults_TLSRouteSpec(spec *TLSRouteSpec) {
	setList(&spec.Hostnames)
	setStreamDefaults(spec.ParentRefs, &spec.Rules, func(r *gatewayv1.TLSRouteRule) *[]gatewayv1.BackendRef { return &r.BackendRefs })
}

// SetDefaults_UDPRouteSpec makes explicit what a UDPRoute leaves unsaid.
func SetDefaults_UDPRouteSpec(spec *UDPRouteSpec) {
	setStreamDefaults(spec.ParentRefs, &spec.Rules, func(r *gatewayv1.UDPRouteRule) *[]gatewayv1.BackendRef { return &r.BackendRefs })
}

// setStreamDefaults is for the routes whose rules are lists of backends.
func setStreamDefaults[Rule any](parents []gatewayv1.ParentReference, rules *[]Rule, backends func(*Rule) *[]gatewayv1.BackendRef) {
	setParentDefaults(parents)
	setList(rules)
	for i := range *rules {
		refs := backends(&(*rules)[i])
		setList(refs)
		setBackendsDefaults(*refs)
	}
}

// SetDefaults_GRPCRouteSpec makes explicit what a GRPCRoute leaves unsaid. Unlike that
// of an HTTPRoute, a rule without matches stays so: it matches every request.
func SetDefaults_GRPCRouteSpec(spec *GRPCRouteSpec) {
	setParentDefaults(spec.ParentRefs)
	for i := range spec.Rules {
		rule := &spec.Rules[i]
		for j := range rule.Matches {
			match := &rule.Matches[j]
			if match.Method != nil {
				setPointer(&match.Method.Type, gatewayv1.GRPCMethodMatchExact)
			}
			for k := range match.Headers {
				setPointer(&match.Headers[k].Type, gatewayv1.GRPCHeaderMatchExact)
			}
		}
		setGRPCFilterDefaults(rule.Filters)
		for j := range rule.BackendRefs {
			setBackendDefaults(&rule.BackendRefs[j].BackendRef)
			setGRPCFilterDefaults(rule.BackendRefs[j].Filters)
		}
	}
}

// SetDefaults_BackendTLSValidation makes explicit what the validation of a backend
// leaves unsaid.
func SetDefaults_BackendTLSValidation(v *BackendTLSValidation) {
	for i := range v.CACertificateRefs {
		setDefault(&v.CACertificateRefs[i].Kind, "Secret")
	}
}

func setGRPCFilterDefaults(filters []gatewayv1.GRPCRouteFilter) {
	for i := range filters {
		if mirror := filters[i].RequestMirror; mirror != nil {
			setMirrorDefaults(mirror)
		}
	}
}

func setMirrorDefaults(mirror *gatewayv1.HTTPRequestMirrorFilter) {
	setTargetDefaults(&mirror.BackendRef)
	if mirror.Fraction != nil {
		setPointer(&mirror.Fraction.Denominator, defaultDenominator)
	}
}

func setListenerDefaults(listener *gatewayv1.Listener) {
	if listener.AllowedRoutes == nil {
		listener.AllowedRoutes = &gatewayv1.AllowedRoutes{}
	}
	routes := listener.AllowedRoutes
	if routes.Namespaces == nil {
		routes.Namespaces = &gatewayv1.RouteNamespaces{}
	}
	setPointer(&routes.Namespaces.From, gatewayv1.NamespacesFromSame)
	for i := range routes.Kinds {
		setPointer(&routes.Kinds[i].Group, gatewayv1.GroupName)
	}
	if tls := listener.TLS; tls != nil {
		setPointer(&tls.Mode, gatewayv1.TLSModeTerminate)
		for i := range tls.CertificateRefs {
			setPointer(&tls.CertificateRefs[i].Group, "")
			setPointer(&tls.CertificateRefs[i].Kind, "Secret")
		}
	}
}

func setParentDefaults(parents []gatewayv1.ParentReference) {
	for i := range parents {
		setPointer(&parents[i].Group, gatewayv1.GroupName)
		setPointer(&parents[i].Kind, "Gateway")
	}
}

func setMatchDefaults(match *gatewayv1.HTTPRouteMatch) {
	if match.Path == nil {
		match.Path = &gatewayv1.HTTPPathMatch{}
	}
	setPointer(&match.Path.Type, gatewayv1.PathMatchPathPrefix)
	setPointer(&match.Path.Value, "/")
	for i := range match.Headers {
		setPointer(&match.Headers[i].Type, gatewayv1.HeaderMatchExact)
	}
	for i := range match.QueryParams {
		setPointer(&match.QueryParams[i].Type, gatewayv1.QueryParamMatchExact)
	}
}

func setFilterDefaults(filters []gatewayv1.HTTPRouteFilter) {
	for i := range filters {
		if redirect := filters[i].RequestRedirect; redirect != nil {
			setPointer(&redirect.StatusCode, defaultRedirectStatus)
		}
		if mirror := filters[i].RequestMirror; mirror != nil {
			setMirrorDefaults(mirror)
		}
		if auth := filters[i].ExternalAuth; auth != nil {
			setTargetDefaults(&auth.BackendRef)
		}
		if cors := filters[i].CORS; cors != nil {
			setDefault(&cors.MaxAge, defaultCORSMaxAge)
		}
	}
}

func setBackendsDefaults(backends []gatewayv1.BackendRef) {
	for i := range backends {
		setBackendDefaults(&backends[i])
	}
}

func setBackendDefaults(backend *gatewayv1.BackendRef) {
	setTargetDefaults(&backend.BackendObjectReference)
	setPointer(&backend.Weight, 1)
}

func setTargetDefaults(target *gatewayv1.BackendObjectReference) {
	setPointer(&target.Group, "")
	setPointer(&target.Kind, "Service")
}

// setDefault replaces a zero value.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// setPointer fills in an absent value and leaves one that was given alone, even
// when it is zero: a weight of 0 means no requests.
func setPointer[T any](field **T, value T) {
	if *field == nil {
		*field = ptr.To(value)
	}
}
