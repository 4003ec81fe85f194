// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/install"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/apis/epic/validation"
	"github.com/acnodal/epic/pkg/envoy/envoytest"
)

// worldsEnv names the variable with the number of random worlds that
// TestEnvoyAcceptsWhatTheAPIAccepts tries, seedEnv that with the first seed.
const worldsEnv, seedEnv = "EPIC_TRANSLATE_WORLDS", "EPIC_TRANSLATE_SEED"

// Whatever objects the API accepts, Envoy accepts what they are translated to.
func TestEnvoyAcceptsWhatTheAPIAccepts(t *testing.T) {
	number := func(name string, otherwise uint64) uint64 {
		if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
			return n
		}
		return otherwise
	}
	envoy := startEnvoy(t)
	first := number(seedEnv, 1)
	for seed := first; seed < first+number(worldsEnv, 150); seed++ {
		if !try(t, envoy, seed) {
			t.Fatalf("it was seed %d: %s=%d %s=1 go test -run %s repeats it", seed, seedEnv, seed, worldsEnv, t.Name())
		}
	}
}

// FuzzEnvoy searches for more. The Envoy is the same for all inputs of a worker.
func FuzzEnvoy(f *testing.F) {
	f.Add(uint64(1))
	envoy := startEnvoy(f)
	f.Fuzz(func(t *testing.T, seed uint64) { try(t, envoy, seed) })
}

// try translates the objects that a seed stands for.
func try(t *testing.T, envoy *envoytest.Envoy, seed uint64) bool {
	t.Helper()
	w := (&generator{Rand: rand.New(rand.NewPCG(seed, 0))}).world()
	got := w.translate(t)
	if err := envoy.Apply(unbound(t, got.set)); err != nil {
		t.Errorf("Envoy refuses it: %v", err)
	}
	return !t.Failed()
}

// generator makes objects that are as odd as the API allows.
type generator struct {
	*rand.Rand
}

func (g *generator) world() *world {
	w := &world{secrets: map[string]*corev1.Secret{}, now: time.Unix(int64(g.IntN(1<<32)), 0)}
	g.group(w)
	if g.IntN(5) == 0 {
		g.loadBalancer(w)
		return w
	}
	for _, name := range []string{"www", "ca"} {
		w.secrets[name] = testSecret(name)
	}
	for w.proxy == nil {
		g.add(w, g.proxy())
	}
	for range 1 + g.IntN(6) {
		g.add(w, g.route())
	}
	for range g.IntN(6) {
		g.add(w, g.slice())
	}
	return w
}

var defaulting = func() *runtime.Scheme {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	return scheme
}()

// add takes an object in if the API accepts it.
func (g *generator) add(w *world, obj runtime.Object) {
	defaulting.Default(obj)
	if m, ok := obj.(metav1.Object); ok {
		m.SetNamespace("epic-acme")
		m.SetUID(types.UID(strconv.Itoa(g.IntN(1000))))
		m.SetCreationTimestamp(metav1.NewTime(time.Unix(int64(g.IntN(1000)), 0)))
	}
	_ = w.addObject(obj)
}

func (g *generator) loadBalancer(w *world) {
	for w.lb == nil {
		lb := &epicv1.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Name: "lb"}}
		lb.Spec.PublicAddress = g.one("192.0.2.1", "2001:db8::1")
		lb.Spec.UpstreamClusters = []string{"one", g.text()}
		if lb.Spec.Edge = g.edge(); lb.Spec.Edge != nil && g.IntN(2) == 0 {
			lb.Spec.Edge.HTTP3, lb.Spec.Edge.HealthCheck = nil, nil
		}
		for range 1 + g.IntN(4) {
			target := intstr.FromInt32(int32(g.IntN(3)))
			lb.Spec.PublicPorts = append(lb.Spec.PublicPorts, epicv1.ServicePort{
				Name: g.one("", "a", "b.c"), Port: g.port(), Protocol: g.protocol(), TargetPort: &target,
			})
		}
		g.add(w, lb)
	}
	for i := range g.IntN(8) {
		g.add(w, &epicv1.RemoteEndpoint{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("r", i), Labels: map[string]string{epic.OwningLoadBalancerLabel: "lb"}},
			Spec: epicv1.RemoteEndpointSpec{
				Cluster: w.lb.Spec.UpstreamClusters[g.IntN(2)], Address: g.one("10.0.0.1", "fd00::1", "203.0.113.1"),
				NodeAddress: g.one("", "192.168.1.1", "fd00::2"), Port: epicv1.EndpointPort{Port: g.port(), Protocol: g.protocol(), Name: g.one("", "a", "b.c")},
			},
		})
	}
	for i := range w.reps {
		w.reps[i].UID, w.reps[i].CreationTimestamp = "x", w.lb.CreationTimestamp
	}
}

func (g *generator) proxy() *epicv1.GWProxy {
	p := &epicv1.GWProxy{ObjectMeta: metav1.ObjectMeta{Name: "gw"}}
	p.Spec.PublicAddress = g.one("192.0.2.1", "2001:db8::1")
	p.Spec.Edge = g.edge()
	if g.IntN(3) == 0 {
		p.Spec.AltAddress = "192.0.2.2"
	}
	spec := &gatewayv1.GatewaySpec{GatewayClassName: "epic"}
	for i := range 1 + g.IntN(8) {
		l := gatewayv1.Listener{Name: gatewayv1.SectionName(fmt.Sprintf("l.%d", i)), Port: g.port()}
		l.Protocol = gatewayv1.ProtocolType(g.one("HTTP", "HTTP", "HTTPS", "HTTPS", "TLS", "TCP", "UDP", "x.y/Z"))
		if g.IntN(3) > 0 {
			l.Hostname = ptrTo(gatewayv1.Hostname(g.hostname()))
		}
		if l.Protocol == "HTTPS" || l.Protocol == "TLS" {
			l.TLS = &gatewayv1.ListenerTLSConfig{Mode: ptrTo(gatewayv1.TLSModeType(g.one("Terminate", "Terminate", "Passthrough")))}
			for range g.IntN(3) {
				l.TLS.CertificateRefs = append(l.TLS.CertificateRefs, gatewayv1.SecretObjectReference{Name: gatewayv1.ObjectName(g.one("www", "www", "nobody", "ca"))})
			}
		}
		spec.Listeners = append(spec.Listeners, l)
	}
	if g.IntN(3) == 0 {
		spec.TLS = &gatewayv1.GatewayTLSConfig{
			Backend: &gatewayv1.GatewayBackendTLS{ClientCertificateRef: &gatewayv1.SecretObjectReference{Name: gatewayv1.ObjectName(g.one("www", "nobody"))}},
			Frontend: &gatewayv1.FrontendTLSConfig{Default: gatewayv1.TLSConfig{Validation: &gatewayv1.FrontendTLSValidation{
				Mode:              gatewayv1.FrontendValidationModeType(g.one("", "AllowValidOnly", "AllowInsecureFallback")),
				CACertificateRefs: []gatewayv1.ObjectReference{{Kind: "Secret", Name: gatewayv1.ObjectName(g.one("ca", "ca", "nobody"))}},
			}}},
		}
	}
	p.Spec.Gateway = &epicv1.GatewaySpec{GatewaySpec: *spec}
	return p
}

func (g *generator) route() *epicv1.GWRoute {
	r := &epicv1.GWRoute{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("r.%d", g.IntN(1000))}}
	common := gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "gw"}}}
	var hostnames []gatewayv1.Hostname
	for range g.IntN(3) {
		hostnames = append(hostnames, gatewayv1.Hostname(g.hostname()))
	}
	switch g.IntN(8) {
	case 0:
		r.Spec.TCP = &epicv1.TCPRouteSpec{TCPRouteSpec: gatewayv1.TCPRouteSpec{CommonRouteSpec: common, Rules: []gatewayv1.TCPRouteRule{{BackendRefs: g.backends()}}}}
	case 1:
		r.Spec.UDP = &epicv1.UDPRouteSpec{UDPRouteSpec: gatewayv1.UDPRouteSpec{CommonRouteSpec: common, Rules: []gatewayv1.UDPRouteRule{{BackendRefs: g.backends()}}}}
	case 2:
		r.Spec.TLS = &epicv1.TLSRouteSpec{TLSRouteSpec: gatewayv1.TLSRouteSpec{CommonRouteSpec: common, Hostnames: append(hostnames, "a.example.com"), Rules: []gatewayv1.TLSRouteRule{{BackendRefs: g.backends()}}}}
	case 3, 4:
		spec := gatewayv1.GRPCRouteSpec{CommonRouteSpec: common, Hostnames: hostnames}
		for range g.IntN(3) {
			spec.Rules = append(spec.Rules, g.grpcRule())
		}
		r.Spec.GRPC = &epicv1.GRPCRouteSpec{GRPCRouteSpec: spec}
	default:
		spec := gatewayv1.HTTPRouteSpec{CommonRouteSpec: common, Hostnames: hostnames}
		for range g.IntN(4) {
			spec.Rules = append(spec.Rules, g.httpRule())
		}
		r.Spec.HTTP = &epicv1.HTTPRouteSpec{HTTPRouteSpec: spec}
	}
	if g.IntN(3) == 0 {
		v := gatewayv1.BackendTLSPolicyValidation{Hostname: "backend.example.com"}
		if g.IntN(3) == 0 {
			v.WellKnownCACertificates = ptrTo(gatewayv1.WellKnownCACertificatesSystem)
		} else {
			v.CACertificateRefs = []gatewayv1.LocalObjectReference{{Name: gatewayv1.ObjectName(g.one("ca", "nobody"))}}
		}
		if g.IntN(2) == 0 {
			v.SubjectAltNames = []gatewayv1.SubjectAltName{{Type: "Hostname", Hostname: gatewayv1.Hostname(g.hostname())}, {Type: "URI", URI: gatewayv1.AbsoluteURI(g.one("spiffe://a/b", "https://é/%"))}}
		}
		r.Spec.Backends = []epicv1.RouteBackend{{Name: g.one("s0", "s1"), Port: int32(g.IntN(2)), TLS: &epicv1.BackendTLSValidation{BackendTLSPolicyValidation: v}}}
	}
	return r
}

func (g *generator) httpRule() gatewayv1.HTTPRouteRule {
	var r gatewayv1.HTTPRouteRule
	for range g.IntN(3) {
		m := gatewayv1.HTTPRouteMatch{}
		if g.IntN(4) > 0 {
			m.Path = &gatewayv1.HTTPPathMatch{Type: ptrTo(gatewayv1.PathMatchType(g.one("Exact", "PathPrefix"))), Value: ptrTo(g.path())}
			if g.IntN(3) == 0 {
				m.Path = &gatewayv1.HTTPPathMatch{Type: ptrTo(gatewayv1.PathMatchRegularExpression), Value: ptrTo(g.expression())}
			}
		}
		if g.IntN(4) == 0 {
			m.Method = ptrTo(gatewayv1.HTTPMethod(g.one("GET", "CONNECT", "PATCH")))
		}
		for range g.IntN(3) {
			kind, value := g.value()
			m.Headers = append(m.Headers, gatewayv1.HTTPHeaderMatch{Type: ptrTo(gatewayv1.HeaderMatchType(kind)), Name: gatewayv1.HTTPHeaderName(g.header()), Value: value})
			kind, value = g.value()
			m.QueryParams = append(m.QueryParams, gatewayv1.HTTPQueryParamMatch{Type: ptrTo(gatewayv1.QueryParamMatchType(kind)), Name: gatewayv1.HTTPHeaderName(g.header()), Value: value})
		}
		r.Matches = append(r.Matches, m)
	}
	r.Filters = g.filters()
	for _, b := range g.backends() {
		ref := gatewayv1.HTTPBackendRef{BackendRef: b}
		if g.IntN(4) == 0 {
			ref.Filters = g.filters()
		}
		r.BackendRefs = append(r.BackendRefs, ref)
	}
	if g.IntN(3) == 0 {
		r.Timeouts = &gatewayv1.HTTPRouteTimeouts{Request: g.duration(), BackendRequest: g.duration()}
	}
	if g.IntN(3) == 0 {
		r.Retry = &gatewayv1.HTTPRouteRetry{Backoff: g.duration(), Attempts: ptrTo(g.number(0, 1, 1<<31-1)), Codes: []gatewayv1.HTTPRouteRetryStatusCode{400, 599, 503}}
	}
	r.SessionPersistence = g.persistence()
	return r
}

func (g *generator) grpcRule() gatewayv1.GRPCRouteRule {
	var r gatewayv1.GRPCRouteRule
	for range g.IntN(3) {
		m := gatewayv1.GRPCRouteMatch{}
		if g.IntN(3) > 0 {
			m.Method = &gatewayv1.GRPCMethodMatch{Service: ptrTo(g.one("", "a.b.C")), Method: ptrTo(g.one("", "Get"))}
			if g.IntN(2) == 0 {
				m.Method = &gatewayv1.GRPCMethodMatch{Type: ptrTo(gatewayv1.GRPCMethodMatchRegularExpression), Service: ptrTo(g.expression()), Method: ptrTo(g.expression())}
			}
		}
		for range g.IntN(2) {
			kind, value := g.value()
			m.Headers = append(m.Headers, gatewayv1.GRPCHeaderMatch{Type: ptrTo(gatewayv1.GRPCHeaderMatchType(kind)), Name: gatewayv1.GRPCHeaderName(g.header()), Value: value})
		}
		r.Matches = append(r.Matches, m)
	}
	for _, f := range g.filters() {
		r.Filters = append(r.Filters, gatewayv1.GRPCRouteFilter{
			Type: gatewayv1.GRPCRouteFilterType(f.Type), RequestHeaderModifier: f.RequestHeaderModifier, ResponseHeaderModifier: f.ResponseHeaderModifier,
			RequestMirror: f.RequestMirror, ExtensionRef: f.ExtensionRef,
		})
	}
	for _, b := range g.backends() {
		r.BackendRefs = append(r.BackendRefs, gatewayv1.GRPCBackendRef{BackendRef: b})
	}
	r.SessionPersistence = g.persistence()
	return r
}

func (g *generator) filters() []gatewayv1.HTTPRouteFilter {
	var all []gatewayv1.HTTPRouteFilter
	headers := func() *gatewayv1.HTTPHeaderFilter {
		m := &gatewayv1.HTTPHeaderFilter{}
		for range g.IntN(3) {
			m.Set = append(m.Set, gatewayv1.HTTPHeader{Name: gatewayv1.HTTPHeaderName(g.header()), Value: g.text()})
			m.Add = append(m.Add, gatewayv1.HTTPHeader{Name: gatewayv1.HTTPHeaderName(g.header()), Value: g.text()})
			m.Remove = append(m.Remove, g.header())
		}
		return m
	}
	modifier := func() *gatewayv1.HTTPPathModifier {
		if g.IntN(2) == 0 {
			return &gatewayv1.HTTPPathModifier{Type: gatewayv1.FullPathHTTPPathModifier, ReplaceFullPath: ptrTo(g.one(g.path(), g.text(), ""))}
		}
		return &gatewayv1.HTTPPathModifier{Type: gatewayv1.PrefixMatchHTTPPathModifier, ReplacePrefixMatch: ptrTo(g.one(g.path(), g.text(), ""))}
	}
	target := func() gatewayv1.BackendObjectReference { return g.backend().BackendObjectReference }
	for range g.IntN(3) {
		f := gatewayv1.HTTPRouteFilter{}
		switch g.IntN(8) {
		case 0:
			f.Type, f.RequestHeaderModifier = gatewayv1.HTTPRouteFilterRequestHeaderModifier, headers()
		case 1:
			f.Type, f.ResponseHeaderModifier = gatewayv1.HTTPRouteFilterResponseHeaderModifier, headers()
		case 2:
			f.Type, f.RequestMirror = gatewayv1.HTTPRouteFilterRequestMirror, &gatewayv1.HTTPRequestMirrorFilter{BackendRef: target(), Percent: ptrTo(int32(g.number(0, 1, 100)))}
			if g.IntN(2) == 0 {
				f.RequestMirror.Percent, f.RequestMirror.Fraction = nil, &gatewayv1.Fraction{Numerator: 1, Denominator: ptrTo(int32(g.number(1, 3, 1<<31-1)))}
			}
		case 3:
			f.Type, f.RequestRedirect = gatewayv1.HTTPRouteFilterRequestRedirect, &gatewayv1.HTTPRequestRedirectFilter{StatusCode: ptrTo(g.number(301, 302, 303, 307, 308))}
			if g.IntN(2) == 0 {
				f.RequestRedirect.Path = modifier()
			}
			if g.IntN(2) == 0 {
				f.RequestRedirect.Scheme = ptrTo(g.one("http", "https"))
			}
			if g.IntN(2) == 0 {
				f.RequestRedirect.Hostname, f.RequestRedirect.Port = ptrTo(gatewayv1.PreciseHostname("a.example.com")), ptrTo(g.port())
			}
		case 4:
			f.Type, f.URLRewrite = gatewayv1.HTTPRouteFilterURLRewrite, &gatewayv1.HTTPURLRewriteFilter{Path: modifier(), Hostname: ptrTo(gatewayv1.PreciseHostname("b"))}
		case 5:
			f.Type, f.CORS = gatewayv1.HTTPRouteFilterCORS, &gatewayv1.HTTPCORSFilter{
				AllowOrigins: []gatewayv1.CORSOrigin{gatewayv1.CORSOrigin(g.one("*", "https://*.example.com:1", "http://a", "http://*"))}, AllowHeaders: []gatewayv1.HTTPHeaderName{gatewayv1.HTTPHeaderName(g.header())},
				AllowMethods: []gatewayv1.HTTPMethodWithWildcard{"*"}, MaxAge: int32(g.number(0, 1, 1<<31-1)), AllowCredentials: ptrTo(g.IntN(2) == 0),
			}
		case 6:
			f.Type, f.ExternalAuth = gatewayv1.HTTPRouteFilterExternalAuth, &gatewayv1.HTTPExternalAuthFilter{BackendRef: target(), ExternalAuthProtocol: "GRPC", ForwardBody: &gatewayv1.ForwardBodyConfig{MaxSize: uint16(g.number(0, 1, 65535))}}
			if g.IntN(2) == 0 {
				f.ExternalAuth.ExternalAuthProtocol, f.ExternalAuth.HTTPAuthConfig = "HTTP", &gatewayv1.HTTPAuthConfig{Path: g.one("", g.path(), g.text()), AllowedRequestHeaders: []string{g.header()}, AllowedResponseHeaders: []string{g.header()}}
			}
		case 7:
			f.Type, f.ExtensionRef = gatewayv1.HTTPRouteFilterExtensionRef, &gatewayv1.LocalObjectReference{Name: "x"}
		}
		all = append(all, f)
	}
	return all
}

func (g *generator) persistence() *gatewayv1.SessionPersistence {
	if g.IntN(3) > 0 {
		return nil
	}
	p := &gatewayv1.SessionPersistence{SessionName: ptrTo(g.header()), AbsoluteTimeout: g.duration(), Type: ptrTo(gatewayv1.SessionPersistenceType(g.one("Cookie", "Header")))}
	if g.IntN(2) == 0 {
		p.CookieConfig = &gatewayv1.CookieConfig{LifetimeType: ptrTo(gatewayv1.CookieLifetimeType(g.one("Session", "Permanent")))}
	}
	return p
}

func (g *generator) backends() []gatewayv1.BackendRef {
	var all []gatewayv1.BackendRef
	for range 1 + g.IntN(3) {
		all = append(all, g.backend())
	}
	return all
}

func (g *generator) backend() gatewayv1.BackendRef {
	b := gatewayv1.BackendRef{Weight: ptrTo(int32(g.number(0, 1, 1_000_000)))}
	b.Name = gatewayv1.ObjectName(g.one("s0", "s1", "s2", strings.Repeat("a.", 120)+"b"))
	if g.IntN(3) > 0 {
		b.Port = ptrTo(g.port())
	}
	if g.IntN(8) == 0 {
		b.Kind = ptrTo(gatewayv1.Kind("Other"))
	}
	return b
}

func (g *generator) slice() *epicv1.GWEndpointSlice {
	s := &epicv1.GWEndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("s.%d", g.IntN(1000))}}
	s.Spec.ParentRef.UID = g.one("s0", "s1", "s2", strings.Repeat("a.", 120)+"b")
	s.Spec.NodeAddresses = map[string]string{"n": g.one("192.168.1.1", "fd00::1")}
	s.Spec.AddressType = discoveryv1.AddressType(g.one("IPv4", "IPv4", "IPv6", "FQDN"))
	for range g.IntN(4) {
		e := discoveryv1.Endpoint{Addresses: []string{g.one("10.0.0.1", "10.0.0.2", "fd00::5", "a.example.com")}, NodeName: ptrTo(g.one("n", "m"))}
		e.Conditions = discoveryv1.EndpointConditions{Ready: ptrTo(g.IntN(2) == 0), Serving: ptrTo(g.IntN(2) == 0), Terminating: ptrTo(g.IntN(2) == 0)}
		s.Spec.Endpoints = append(s.Spec.Endpoints, e)
	}
	for i := range g.IntN(3) {
		s.Spec.Ports = append(s.Spec.Ports, discoveryv1.EndpointPort{
			Name: ptrTo(fmt.Sprint("p", i)), Port: ptrTo(g.port()), Protocol: ptrTo(g.protocol()), AppProtocol: ptrTo(g.one("", "http", "kubernetes.io/h2c", "kubernetes.io/ws", "example.com/x")),
		})
	}
	return s
}

func (g *generator) one(all ...string) string  { return all[g.IntN(len(all))] }
func (g *generator) number(all ...int) int     { return all[g.IntN(len(all))] }
func (g *generator) port() int32               { return int32(g.number(1, 80, 443, 65535)) }
func (g *generator) protocol() corev1.Protocol { return corev1.Protocol(g.one("TCP", "TCP", "UDP")) }
func ptrTo[T any](v T) *T                      { return &v }

func (g *generator) duration() *gatewayv1.Duration {
	return ptrTo(gatewayv1.Duration(g.one("0s", "1ms", "10s", "99999h99999h99999h99999h", "0ms", "1m30s")))
}

func (g *generator) hostname() string {
	return g.one("a.example.com", "*.example.com", "b.example.com", "*.a.example.com", "example.com", "*.com", "x", "xn--bcher-kva.example", strings.Repeat("a.", 120)+"com")
}

func (g *generator) path() string {
	return g.one("/", "/a", "/a/", "/a//b", "//", "/%", "/a%2Fb", "/é", `/\1`, "/a b", "/a?b", "/*", "/a#", "/{x}", "/a/../b", "/"+strings.Repeat("b", 1023), "/...", "/a;b=c", "/[", "/**", "/%REQ(X)%")
}

func (g *generator) header() string {
	return g.one("X-A", "host", "Host", "content-length", "transfer-encoding", "connection", "te", "cookie", "a_b", "~!#$%&'*+^`|.", strings.Repeat("x", 256), "x-envoy-original-path",
		"x-forwarded-for", "grpc-timeout", "upgrade", "set-cookie", "authorization", "x-envoy-retry-on", "1")
}

func (g *generator) text() string {
	return g.one("", "a", "%", "%%", "%REQ(X-A)%", "%%%", "é", "a,b", " x ", strings.Repeat("v", 4096), "%ENVIRONMENT(PATH)%", `\`, "\"", "a=b; c", "{{.}}", "日本")
}

func (g *generator) value() (kind, value string) {
	if g.IntN(2) == 0 {
		return "Exact", g.text()
	}
	return "RegularExpression", g.expression()
}

func (g *generator) expression() string {
	return g.one(".*", "[0-9a-z-]{36}", "(?i)abc", `\pL+`, "a{1000}", "^/a$", "/(a|b)", `\d+`, "(?P<n>x)", "(?<n>x)", "[^/]*", "a{500}b{400}", `\x{10FFFF}`, `[\x{100}-\x{10FFFF}]{20}`, "(a+)+$",
		`\Aa\z`, `\Qa.b\E`, "(?s).", "(?U)a+", `\p{Greek}`, `[[:alpha:]]+`, "(?:a|b|c){300}", ".{200}", "(?i)[a-z]{300}", `\b\B`, "a||b", "()", "(|a)*", `[\d\w]{99}`, "(?m)^$", `\PN{60}`, "é{100}", "(?i)k{100}", `\s+`, "x*?",
		".{110}", "[^a]{150}", "(.*){50}")
}

// group adds a group with edge settings, in most worlds.
func (g *generator) group(w *world) {
	for g.IntN(3) > 0 && w.group == nil {
		group := &epicv1.LBServiceGroup{ObjectMeta: metav1.ObjectMeta{Name: "sample"}}
		group.Spec.Edge = g.edge()
		for _, part := range []epicv1.EdgePart{epicv1.EdgeAccessLog, epicv1.EdgeHealthCheck, epicv1.EdgeHTTP3, epicv1.EdgeOutlierDetection, epicv1.EdgeProxyProtocol, epicv1.EdgeTracing} {
			if g.IntN(3) > 0 {
				group.Spec.EdgeOverrides = append(group.Spec.EdgeOverrides, part)
			}
		}
		g.add(w, group)
	}
}

// edge returns edge settings, with nil in place of most parts.
func (g *generator) edge() *epicv1.EdgeSpec {
	if g.IntN(4) == 0 {
		return nil
	}
	e := &epicv1.EdgeSpec{}
	for range 1 + g.IntN(4) {
		switch g.IntN(8) {
		case 7:
			e.Tracing = &epicv1.Tracing{Mode: epicv1.EdgeMode(g.one("", "", "Enabled", "Disabled")), RequestsPerMillion: g.perhaps(0, 1_000_000)}
			if g.IntN(3) > 0 {
				e.Tracing.Collector = &epicv1.TraceCollector{Host: g.one("127.0.0.1", "::1", "otel.example.com"), Port: g.perhaps(1, 65535)}
			}
		case 0:
			e.ConnectionLimit = &epicv1.ConnectionLimit{PerListener: g.perhaps(1, 50000), PerBackend: g.perhaps(1, 65536)}
		case 1:
			e.RateLimit = &epicv1.RateLimit{Requests: g.rate(), RequestsPerClient: g.rate(), Connections: g.rate()}
		case 2:
			e.ProxyProtocol = &epicv1.ProxyProtocol{Clients: epicv1.ProxyProtocolClients(g.one("", "None", "Required")), Backends: epicv1.ProxyProtocolVersion(g.one("", "None", "V1", "V2"))}
		case 3:
			e.HTTP3 = &epicv1.HTTP3{Mode: epicv1.EdgeMode(g.one("", "", "Enabled", "Disabled")), MaxAge: epicv1.Duration(g.one("", "1s", "8760h"))}
		case 4:
			e.HealthCheck = g.healthCheck()
		case 5:
			e.OutlierDetection = &epicv1.OutlierDetection{
				Mode: epicv1.EdgeMode(g.one("", "", "Enabled", "Disabled")), Errors: epicv1.OutlierErrors(g.one("", "Gateway", "Server")), ConsecutiveErrors: g.perhaps(1, 1000),
				Interval: epicv1.Duration(g.one("", "1s", "1h")), BaseEjectionTime: epicv1.Duration(g.one("", "1s", "24h")), MaxEjectionTime: epicv1.Duration(g.one("", "1s", "24h")), MaxEjectionPercent: g.perhaps(1, 100),
			}
		case 6:
			e.AccessLog = &epicv1.AccessLog{Format: epicv1.AccessLogFormat(g.one("", "JSON", "Text", "None"))}
			for e.AccessLog.Format == "Text" && e.AccessLog.Text == "" {
				e.AccessLog.Text = g.logFormat()
			}
			for i := range g.IntN(3) {
				e.AccessLog.Fields = append(e.AccessLog.Fields, epicv1.AccessLogField{Name: g.one("a", "status", "x@y.z-") + fmt.Sprint(i), Value: g.logFormat()})
			}
		}
	}
	return e
}

func (g *generator) healthCheck() *epicv1.HealthCheck {
	h := &epicv1.HealthCheck{
		Type: epicv1.HealthCheckType(g.one("", "HTTP", "GRPC", "TCP", "None")), Interval: epicv1.Duration(g.one("", "1s", "1h")), Timeout: epicv1.Duration(g.one("", "100ms", "1m")),
		UnhealthyThreshold: g.perhaps(1, 10), HealthyThreshold: g.perhaps(1, 10),
	}
	if h.Type == "" || h.Type == "HTTP" {
		h.HTTP = &epicv1.HTTPHealthCheck{Path: g.one("", "/", g.path(), "/%00%", "/a?b=%REQ(X)%"), Host: g.one("", "a.example.com", "x"), MinStatus: g.perhaps(100, 599), MaxStatus: g.perhaps(100, 599)}
	}
	if h.Type == "" || h.Type == "GRPC" {
		h.GRPC = &epicv1.GRPCHealthCheck{Service: g.one("", "a.b.C", "é", "%")}
	}
	return h
}

func (g *generator) rate() *epicv1.Rate {
	if g.IntN(2) == 0 {
		return nil
	}
	return &epicv1.Rate{Count: int32(g.number(1, 100, 1000000)), Interval: epicv1.Duration(g.one("", "100ms", "1h", "1m30s")), Burst: g.perhaps(100, 1000000)}
}

// perhaps returns one of two numbers, or none.
func (g *generator) perhaps(low, high int) *int32 {
	if g.IntN(3) == 0 {
		return nil
	}
	return ptrTo(int32(g.number(low, high)))
}

func (g *generator) logFormat() string {
	return g.one("", g.text(), "%START_TIME(%Y-%m-%dT%H:%M:%S.%3f%z)%", "%START_TIME(%s.%9f %3s %j %e %b)%", "%REQ(X-A?:PATH):9999%", "%RESP(x_y.z-)%%TRAILER(T)%", "%UPSTREAM_METADATA(epic:cluster)%",
		"%DURATION%", "%GRPC_STATUS%%RESPONSE_FLAGS_LONG%", "a%%b", "%DOWNSTREAM_PEER_FINGERPRINT_256%%STREAM_ID%%CONNECTION_ID%", "%UPSTREAM_TLS_VERSION% %UPSTREAM_CONNECTION_ID%", "%DOWNSTREAM_REMOTE_PORT%%DOWNSTREAM_LOCAL_PORT%",
		strings.Repeat("%DURATION%", 100))
}

// Every operator that the API accepts is one that Envoy knows.
func TestEnvoyKnowsAllLogOperators(t *testing.T) {
	envoy := startEnvoy(t)
	for _, one := range validation.LogOperators() {
		w := parseWorld(t, []byte(strings.ReplaceAll(`
apiVersion: epic.acnodal.io/v1
kind: LBServiceGroup
metadata: {name: sample}
spec: {edge: {accessLog: {format: Text, text: "%OPERATOR%"}}}
---
apiVersion: epic.acnodal.io/v1
kind: LoadBalancer
metadata: {name: lb}
spec: {public-address: 192.0.2.1, public-ports: [{port: 80, protocol: TCP}]}
`, "OPERATOR", one)))
		if err := envoy.Apply(unbound(t, w.translate(t).set)); err != nil {
			t.Errorf("%%%s%%: %v", one, err)
		}
	}
}
