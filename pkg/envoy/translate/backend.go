// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/resource"
)

// invalidCluster is a cluster that does not exist. Envoy responds to requests for it with
// 500, and closes connections.
const invalidCluster = "invalid"

// systemAuthorities is the file with the certificates of public authorities in Envoy's
// image.
const systemAuthorities = "/etc/ssl/certs/ca-certificates.crt"

// maxBackendSources is the maximum number of objects that are named when Envoy refuses
// endpoints.
const maxBackendSources = 16

// use is the protocol for which a cluster is used.
type use uint8

const (
	// useHTTP is HTTP/1.1, or HTTP/2 if the port of the Service requests it.
	useHTTP use = iota
	// useGRPC is HTTP/2.
	useGRPC
	useTCP
	useUDP
)

// clusterOf returns the cluster of a backend of a route. If the reference can't be
// resolved, it reports that and returns invalidCluster.
func (g *gateway) clusterOf(r *route, field string, ref *gatewayv1.BackendObjectReference, u use) string {
	m, ok := g.memberOf(r, field, ref, u)
	if !ok {
		return invalidCluster
	}
	http2 := u == useGRPC
	if u == useHTTP {
		switch g.in.Services[m.Service].appProtocol(m) {
		case "kubernetes.io/h2c", "h2c", "http2", "grpc":
			http2 = true
		}
	}
	name := fmt.Sprintf("%s/%d", m.Service, m.Port)
	switch {
	case u == useTCP:
		name += "/tcp"
	case http2:
		name += "/http2"
	}
	policy := tlsOf(r.object, m)
	if policy != nil {
		name += "/" + digest(policy)
		g.checkPolicy(r, field, string(ref.Name), policy)
	}
	used := usedCluster{name, m}
	if policy != nil {
		// It uses Secrets.
		g.unforeseeable = true
	} else {
		g.using = append(g.using, used)
	}
	if g.shareCluster(r, name) || policy == nil && g.reuseCluster(r, used) {
		return name
	}
	var socket *corev3.TransportSocket
	if policy != nil {
		var err error
		if socket, err = g.clientTLS(policy, http2); err != nil {
			g.unresolved(r, field, string(gatewayv1.BackendTLSPolicyReasonInvalidCACertificateRef), "its backend %q is not used: %v", ref.Name, err)
			return invalidCluster
		}
	}
	cluster := g.cluster(name)
	cluster.LbPolicy = clusterv3.Cluster_LEAST_REQUEST
	cluster.TransportSocket = g.giveAddress(socket)
	speaks := spoken{http: u != useTCP, http2: http2 && u != useTCP}
	if policy != nil {
		speaks.host = string(policy.Hostname)
	}
	g.watchHealth(cluster, speaks)
	if u != useTCP {
		if http2 || socket != nil {
			cluster.TypedExtensionProtocolOptions = httpOptions(http2, socket != nil && u == useHTTP)
		}
		cluster.CommonLbConfig = stickyChoice
	}
	if !g.put(resource.Cluster, name, cluster, r.source, g.proxy) {
		return invalidCluster
	}
	g.backends[name] = Backend{Name: name, Members: []Member{m}, Sources: []resource.Source{r.source}}
	if policy == nil {
		g.memory.clusters[name] = g.resources[resource.Key{Type: resource.Cluster, Name: name}]
	}
	return name
}

// unresolvedReason returns the reason that a client cluster's connector found, which it publishes in
// lower case, as the name of the backend.
func unresolvedReason(name gatewayv1.ObjectName) string {
	for _, reason := range []gatewayv1.RouteConditionReason{gatewayv1.RouteReasonInvalidKind, gatewayv1.RouteReasonRefNotPermitted, gatewayv1.RouteReasonUnsupportedProtocol} {
		if strings.EqualFold(string(reason), string(name)) {
			return string(reason)
		}
	}
	return string(gatewayv1.RouteReasonBackendNotFound)
}

// memberOf returns the port of a Service that a reference names, if it exists.
func (g *gateway) memberOf(r *route, field string, ref *gatewayv1.BackendObjectReference, u use) (Member, bool) {
	m := Member{Service: string(ref.Name), Protocol: protocolTCP}
	if u == useUDP {
		m.Protocol = protocolUDP
	}
	if ref.Port != nil {
		m.Port = *ref.Port
	}
	switch {
	case ref.Group != nil && *ref.Group == epic.GroupName && ref.Kind != nil && *ref.Kind == epic.UnresolvedKind:
		g.unresolved(r, field, unresolvedReason(ref.Name), "its backend can't be resolved in the client cluster: see the condition ResolvedRefs of the route there")
		return m, false
	case ref.Group != nil && *ref.Group != "" || ref.Kind != nil && *ref.Kind != "Service":
		g.unresolved(r, field, string(gatewayv1.RouteReasonInvalidKind), "its backend is a %s: use a Service", kindOf(ref))
		return m, false
	case g.in.Services[m.Service] == nil:
		g.unresolved(r, field, string(gatewayv1.RouteReasonBackendNotFound),
			"no GWEndpointSlice belongs to its backend %q: create one with this spec.parentRef.uid", ref.Name)
		return m, false
	}
	return m, true
}

func kindOf(ref *gatewayv1.BackendObjectReference) string {
	kind, group := "Service", ""
	if ref.Kind != nil {
		kind = string(*ref.Kind)
	}
	if ref.Group != nil && *ref.Group != "" {
		group = "." + string(*ref.Group)
	}
	return kind + group
}

// tlsOf returns how certificates of a backend are verified, or nil if it does not use
// TLS.
func tlsOf(object *epicv1.GWRoute, m Member) *gatewayv1.BackendTLSPolicyValidation {
	var all *epicv1.BackendTLSValidation
	for i := range object.Spec.Backends {
		b := &object.Spec.Backends[i]
		switch {
		case b.Name != m.Service:
		case b.Port == m.Port && b.Port != 0:
			return validationOf(b.TLS)
		case b.Port == 0 && all == nil:
			all = b.TLS
		}
	}
	return validationOf(all)
}

func validationOf(v *epicv1.BackendTLSValidation) *gatewayv1.BackendTLSPolicyValidation {
	if v == nil {
		return nil
	}
	return &v.BackendTLSPolicyValidation
}

// digest returns a hash of settings for use in a name.
func digest(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		text = fmt.Append(nil, v)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}

// httpOptions returns the protocol options of a cluster. Over TLS, the endpoint chooses.
func httpOptions(http2, negotiated bool) map[string]*anypb.Any {
	options := &httpv3.HttpProtocolOptions{}
	two := &corev3.Http2ProtocolOptions{}
	switch {
	case http2:
		options.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: two},
		}}
	case negotiated:
		options.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_AutoConfig{AutoConfig: &httpv3.HttpProtocolOptions_AutoHttpConfig{Http2ProtocolOptions: two}}
	default:
		options.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{HttpProtocolOptions: &corev3.Http1ProtocolOptions{}},
		}}
	}
	return map[string]*anypb.Any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": pack(options)}
}

// clientTLS returns the transport socket with which a proxy connects to a backend over
// TLS.
func (g *gateway) clientTLS(v *gatewayv1.BackendTLSPolicyValidation, http2 bool) (*corev3.TransportSocket, error) {
	common := &tlsv3.CommonTlsContext{}
	if http2 {
		common.AlpnProtocols = []string{"h2"}
	}
	own := &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: subjects(v)}
	if v.WellKnownCACertificates != nil && *v.WellKnownCACertificates != "" {
		own.TrustedCa = &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: systemAuthorities}}
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: own}
	} else {
		var texts, names []string
		for i := range v.CACertificateRefs {
			ref := &v.CACertificateRefs[i]
			secret := g.in.Secrets[string(ref.Name)]
			if secret == nil {
				return nil, fmt.Errorf("the Secret %q with the authorities for its certificate does not exist in the namespace %s: create it", ref.Name, g.proxy.Namespace)
			}
			b := g.trusted(secret)
			if b.err != nil {
				return nil, fmt.Errorf("the Secret %q with the authorities for its certificate can't be used: %w", ref.Name, b.err)
			}
			texts, names = append(texts, b.text), append(names, secret.Name)
		}
		if len(texts) == 0 {
			return nil, errors.New("no authority for its certificate is set: add caCertificateRefs")
		}
		name := g.validationContext("authorities/", names, texts, func(*tlsv3.CertificateValidationContext) {})
		common.ValidationContextType = &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext:         own,
			ValidationContextSdsSecretConfig: g.sds(name),
		}}
	}
	if tls := g.in.Proxy.Spec.Gateway.TLS; tls != nil && tls.Backend != nil && tls.Backend.ClientCertificateRef != nil {
		name, err := g.certificateOf(tls.Backend.ClientCertificateRef)
		if err != nil {
			return nil, fmt.Errorf("the proxy's own certificate, in gateway.tls.backend.clientCertificateRef, can't be used: %w", err)
		}
		g.checkCertificate("spec.gateway.tls.backend.clientCertificateRef", string(tls.Backend.ClientCertificateRef.Name), name)
		common.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{g.sds(name)}
	}
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(&tlsv3.UpstreamTlsContext{CommonTlsContext: common, Sni: string(v.Hostname)})},
	}, nil
}

// checkPolicy reports authorities of a backend whose certificates are refused. Call it
// for every route that uses the backend.
func (g *gateway) checkPolicy(r *route, field, backend string, v *gatewayv1.BackendTLSPolicyValidation) {
	if v.WellKnownCACertificates != nil && *v.WellKnownCACertificates != "" {
		return
	}
	for i := range v.CACertificateRefs {
		secret := g.in.Secrets[string(v.CACertificateRefs[i].Name)]
		if secret == nil {
			continue
		}
		if invalid := g.checkAuthorities(secret); invalid.given() {
			g.unsupported(r, field, invalid.reason, "its backend %q is verified with the Secret %q: %s", backend, secret.Name, invalid.message)
		}
	}
}

// subjects returns matchers for the names one of which a backend's certificate must have.
func subjects(v *gatewayv1.BackendTLSPolicyValidation) []*tlsv3.SubjectAltNameMatcher {
	exact := func(t tlsv3.SubjectAltNameMatcher_SanType, s string) *tlsv3.SubjectAltNameMatcher {
		return &tlsv3.SubjectAltNameMatcher{SanType: t, Matcher: exactly(s)}
	}
	if len(v.SubjectAltNames) == 0 {
		return []*tlsv3.SubjectAltNameMatcher{exact(tlsv3.SubjectAltNameMatcher_DNS, string(v.Hostname))}
	}
	var all []*tlsv3.SubjectAltNameMatcher
	for _, n := range v.SubjectAltNames {
		if n.Type == gatewayv1.URISubjectAltNameType {
			all = append(all, exact(tlsv3.SubjectAltNameMatcher_URI, string(n.URI)))
		} else {
			all = append(all, exact(tlsv3.SubjectAltNameMatcher_DNS, strings.ToLower(string(n.Hostname))))
		}
	}
	return all
}
