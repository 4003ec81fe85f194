// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/operator/processes"
	"github.com/acnodal/epic/pkg/pki/pkitest"
	"github.com/acnodal/epic/pkg/proxyidentity/exchange"
)

// Whatever a tenant or a platform admin gets wrong, the object or the API server's answer
// shows what it is and what to do. Everything else is served.
func TestBadInput(t *testing.T) {
	s := newSite(t)
	address := ownAddress(t)
	port := serveText(t, address, "hello")
	s.slice("svc", port, address.String())
	good := s.gateway("good", httpListener())
	s.must(nil, s.create(httpRoute("good", "good", to("/", "svc"))))
	s.answers(url(good.Spec.PublicAddress, 80)+"/", 200)

	for _, test := range []struct {
		name string
		run  func(s *site)
	}{
		{"a certificate that is missing, does not match, has expired, and is renewed", (*site).badCertificates},
		{"authorities that have expired", (*site).badAuthorities},
		{"a Secret of another namespace", (*site).foreignSecret},
		{"two routes that conflict", (*site).conflict},
		{"a hostname of another proxy", (*site).sharedHostname},
		{"a regular expression that RE2 refuses", (*site).badRegex},
		{"a redirect loop", (*site).redirectLoop},
		{"weights of 0 everywhere", (*site).noWeight},
		{"a backend without endpoints", (*site).noEndpoints},
		{"5,000 routes", (*site).manyRoutes},
		{"a port in use on the address", (*site).portInUse},
		{"templates", (*site).badTemplates},
		{"another pod's token", (*site).foreignToken},
	} {
		t.Run(test.name, func(t *testing.T) {
			part := *s
			part.TB = t
			test.run(&part)
			part.answers(url(good.Spec.PublicAddress, 80)+"/", 200)
		})
	}
}

// says waits until the conditions of an object have all texts, in lines of their own order.
func (s *site) says(kind, name string, texts ...string) {
	s.Helper()
	s.until(kind+" "+name, func() string {
		all := s.conditions(kind, name)
		for _, text := range texts {
			if !containsLine(all, text) {
				return fmt.Sprintf("nothing says %q:\n%s", text, all)
			}
		}
		return ""
	})
}

// containsLine reports whether a line begins with what is before … and has what follows.
func containsLine(all, text string) bool {
	begin, rest, _ := strings.Cut(text, " … ")
	for line := range strings.Lines(all) {
		if strings.HasPrefix(line, begin) && strings.Contains(line, rest) {
			return true
		}
	}
	return false
}

// refusedWith wants an error of the API that has all texts.
func (s *site) refusedWith(err error, texts ...string) {
	s.Helper()
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			s.Errorf("error %v, want %q in it", err, text)
		}
	}
}

func tlsListener(secret string) gatewayv1.Listener {
	return gatewayv1.Listener{Name: "secure", Port: 443, Protocol: gatewayv1.HTTPSProtocolType, TLS: &gatewayv1.ListenerTLSConfig{
		CertificateRefs: []gatewayv1.SecretObjectReference{{Name: gatewayv1.ObjectName(secret)}},
	}}
}

// secret writes a Secret of the account's namespace as the process runner reads it.
func (s *site) secret(name string, certificate, key []byte) {
	s.Helper()
	dir := filepath.Join(s.dir, "op", "secrets", namespace, name)
	s.must(nil, os.MkdirAll(dir, 0o700))
	s.must(nil, os.WriteFile(filepath.Join(dir, "tls.crt"), certificate, 0o600))
	s.must(nil, os.WriteFile(filepath.Join(dir, "tls.key"), key, 0o600))
}

// certificate makes a certificate that is valid from two hours ago, and its key.
func (s *site) certificate(valid time.Duration) (certificate, key []byte) {
	s.Helper()
	certificate, key, err := pkitest.SelfSigned(&x509.Certificate{
		Subject: pkix.Name{CommonName: "shop.example"}, DNSNames: []string{"shop.example"},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(valid),
	}, nil)
	s.must(nil, err)
	return certificate, key
}

func (s *site) badCertificates() {
	gw := s.gateway("secure", httpListener(), tlsListener("shop"))
	s.must(nil, s.create(httpRoute("secure", "secure", to("/", "svc"))))
	s.says("gwproxy", "secure",
		"Accepted=False InvalidCertificateRef … spec.gateway.listeners[1]",
		"listener secure ResolvedRefs=False InvalidCertificateRef … shop", "listener web Programmed=True")
	s.answers(url(gw.Spec.PublicAddress, 80)+"/", 200)
	const valid = 24 * time.Hour
	one, key := s.certificate(valid)
	_, other := s.certificate(valid)
	s.secret("shop", one, other)
	s.says("gwproxy", "secure", "listener secure ResolvedRefs=False InvalidCertificateRef … does not match")
	expired, expiredKey := s.certificate(-time.Hour)
	s.secret("shop", expired, expiredKey)
	s.says("gwproxy", "secure", "Accepted=False CertificateExpired … renew it", "listener secure Programmed=True")
	s.secret("shop", one, key)
	s.says("gwproxy", "secure", "listener secure ResolvedRefs=True", "listener secure Programmed=True", "Accepted=True")
	at := netip.AddrPortFrom(processes.LoopbackAddress(netip.MustParseAddr(gw.Spec.PublicAddress)), processes.LoopbackPort(443))
	s.until("a TLS handshake", func() string {
		conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, ServerName: "shop.example"}}).DialContext(s.Context(), "tcp", at.String())
		if err != nil {
			return err.Error()
		}
		return errorText(conn.Close())
	})
}

// badAuthorities are those of clients and of a backend.
func (s *site) badAuthorities() {
	write := func(certificate []byte) {
		dir := filepath.Join(s.dir, "op", "secrets", namespace, "clients")
		s.must(nil, os.MkdirAll(dir, 0o700))
		s.must(nil, os.WriteFile(filepath.Join(dir, "ca.crt"), certificate, 0o600))
	}
	refs := []gatewayv1.ObjectReference{{Kind: "Secret", Name: "clients"}}
	gw := gatewayProxy("clients", httpListener(), tlsListener("shop"))
	gw.Spec.Gateway.TLS = &gatewayv1.GatewayTLSConfig{Frontend: &gatewayv1.FrontendTLSConfig{
		Default: gatewayv1.TLSConfig{Validation: &gatewayv1.FrontendTLSValidation{CACertificateRefs: refs}},
	}}
	valid, key := s.certificate(24 * time.Hour)
	expired, _ := s.certificate(-time.Hour)
	s.secret("shop", valid, key)
	write(expired)
	s.must(s.client.EpicV1().GWProxies(namespace).Create(s.Context(), gw, metav1.CreateOptions{}))
	r := httpRoute("clients", "clients", to("/", "svc"))
	r.Spec.Backends = []epicv1.RouteBackend{{Name: "svc", Port: 80, TLS: &epicv1.BackendTLSValidation{
		BackendTLSPolicyValidation: gatewayv1.BackendTLSPolicyValidation{
			Hostname: "shop.example", CACertificateRefs: []gatewayv1.LocalObjectReference{{Kind: "Secret", Name: "clients"}},
		},
	}}}
	s.must(nil, s.create(r))
	s.says("gwproxy", "clients", "Accepted=False CertificateExpired … spec.gateway.tls.frontend.default.validation.caCertificateRefs[0]: names the Secret \"clients\": its authority \"shop.example\" expired at",
		"listener secure Programmed=True")
	s.says("gwroute", "clients", "Programmed=False CertificateExpired … spec.http.rules[0].backendRefs[0]: its backend \"svc\" is verified with the Secret \"clients\"")
	write(valid)
	s.says("gwproxy", "clients", "Accepted=True", "listener secure Programmed=True")
	s.says("gwroute", "clients", "Programmed=True")
}

func errorText(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

func (s *site) foreignSecret() {
	l := tlsListener("shop")
	l.TLS.CertificateRefs[0].Namespace = ptr.To[gatewayv1.Namespace]("epic-other")
	_, err := s.client.EpicV1().GWProxies(namespace).Create(s.Context(), gatewayProxy("foreign", l), metav1.CreateOptions{})
	s.refusedWith(err, "spec.gateway.listeners[0].tls.certificateRefs[0].namespace", "epic-other", "leave it out")
}

func (s *site) conflict() {
	gw := s.gateway("conflict", httpListener())
	first := httpRoute("older", "conflict", to("/", "svc"))
	s.must(nil, s.create(first))
	s.answers(url(gw.Spec.PublicAddress, 80)+"/", 200)
	time.Sleep(time.Second) // creation times are whole seconds
	s.must(nil, s.create(httpRoute("newer", "conflict", to("/", "svc"))))
	s.says("gwroute", "newer", "Programmed=False RouteConflict … the older GWRoute older has the same match: change or remove one of the two",
		"parent conflict PartiallyInvalid=True RouteConflict")
	s.says("gwroute", "older", "Programmed=True")
	s.answers(url(gw.Spec.PublicAddress, 80)+"/", 200)
}

func (s *site) sharedHostname() {
	l := httpListener()
	l.Hostname = ptr.To[gatewayv1.Hostname]("shop.example")
	first := s.gateway("host-a", l)
	time.Sleep(time.Second) // creation times are whole seconds
	second := s.gateway("host-b", httpListener())
	r := httpRoute("host-b", "host-b", to("/", "svc"))
	r.Spec.HTTP.Hostnames = []gatewayv1.Hostname{"other.example", "shop.example"}
	s.must(nil, s.create(r))
	s.says("gwproxy", "host-b", "SharedHostname=True HostnameInUse: shop.example is also a hostname of GWProxy host-a on "+first.Spec.PublicAddress+": … use one gateway proxy",
		"Programmed=True")
	if all := s.conditions("gwproxy", "host-a"); strings.Contains(all, "SharedHostname") {
		s.Errorf("the older one has it, too:\n%s", all)
	}
	s.must(nil, s.client.EpicV1().GWRoutes(namespace).Delete(s.Context(), r.Name, metav1.DeleteOptions{}))
	s.until("the condition is gone", func() string {
		if all := s.conditions("gwproxy", "host-b"); strings.Contains(all, "SharedHostname") {
			return all
		}
		return ""
	})
	s.answers(url(second.Spec.PublicAddress, 80)+"/", 404)
}

func (s *site) badRegex() {
	r := httpRoute("regex", "good", to("/", "svc"))
	r.Spec.HTTP.Rules[0].Matches[0].Path = &gatewayv1.HTTPPathMatch{Type: ptr.To(gatewayv1.PathMatchRegularExpression), Value: ptr.To(`/(?=lookahead)`)}
	s.refusedWith(s.create(r), "spec.http.rules[0].matches[0].path.value", "(?=")
}

func (s *site) redirectLoop() {
	gw := s.gateway("loop", httpListener())
	rule := gatewayv1.HTTPRouteRule{Filters: []gatewayv1.HTTPRouteFilter{{
		Type: gatewayv1.HTTPRouteFilterRequestRedirect, RequestRedirect: &gatewayv1.HTTPRequestRedirectFilter{StatusCode: ptr.To(302)},
	}}}
	s.must(nil, s.create(httpRoute("loop", "loop", rule)))
	s.says("gwroute", "loop", "Programmed=False RedirectLoop … spec.http.rules[0].filters")
	s.answers(url(gw.Spec.PublicAddress, 80)+"/", 302)
}

func (s *site) noWeight() {
	gw := s.gateway("weight", httpListener())
	s.must(nil, s.create(httpRoute("weight", "weight", to("/", "svc", 0))))
	s.says("gwroute", "weight", "Programmed=False NoWeight … spec.http.rules[0].backendRefs: all have a weight of 0")
	s.answers(url(gw.Spec.PublicAddress, 80)+"/", 500)
}

func (s *site) noEndpoints() {
	gw := s.gateway("empty", httpListener())
	s.slice("gone", 8080)
	s.must(nil, s.create(httpRoute("empty", "empty", to("/", "gone"))))
	s.must(nil, s.create(httpRoute("unknown", "empty", to("/unknown", "unknown"))))
	s.says("gwroute", "empty", "Ready=False NoEndpoints", "Programmed=True")
	s.says("gwroute", "unknown", "Programmed=False BackendNotFound … spec.http.rules[0].backendRefs[0]: no GWEndpointSlice belongs to its backend \"unknown\"",
		"parent empty ResolvedRefs=False BackendNotFound")
	s.answers(url(gw.Spec.PublicAddress, 80)+"/", 503)
	s.answers(url(gw.Spec.PublicAddress, 80)+"/unknown", 500)
}

// manyRoutes are more than 5,000 of Envoy's, in 40 objects with as many as one may have.
func (s *site) manyRoutes() {
	gw := s.gateway("many", httpListener())
	const objects, rules, matches = 40, 8, 16
	for i := range objects {
		r := httpRoute(fmt.Sprint("many-", i), "many")
		for j := range rules {
			rule := to("/", "svc")
			rule.Matches = nil
			for k := range matches {
				rule.Matches = append(rule.Matches, prefix(fmt.Sprintf("/%d/%d/%d", i, j, k)))
			}
			r.Spec.HTTP.Rules = append(r.Spec.HTTP.Rules, rule)
		}
		s.must(nil, s.create(r))
	}
	s.answers(url(gw.Spec.PublicAddress, 80)+fmt.Sprintf("/%d/%d/%d", objects-1, rules-1, matches-1), 200)
	s.says("gwroute", fmt.Sprint("many-", objects-1), "Programmed=True")
	r := httpRoute("too-many", "many", to("/", "svc"))
	for i := range rules {
		for j := range matches {
			r.Spec.HTTP.Rules[0].Matches = append(r.Spec.HTTP.Rules[0].Matches, prefix(fmt.Sprintf("/more/%d/%d", i, j)))
		}
	}
	s.refusedWith(s.create(r), "spec.http.rules", "more than")
}

func (s *site) portInUse() {
	// The next address is the one that the proxy gets.
	taken := "10.231.31.1"
	at := netip.AddrPortFrom(processes.LoopbackAddress(netip.MustParseAddr(taken)), processes.LoopbackPort(80))
	l, err := new(net.ListenConfig).Listen(s.Context(), "tcp", at.String())
	s.must(nil, err)
	defer l.Close()
	gw := gatewayProxy("taken", httpListener())
	gw.Spec.PublicAddress = taken
	s.must(s.client.EpicV1().GWProxies(namespace).Create(s.Context(), gw, metav1.CreateOptions{}))
	s.says("gwproxy", "taken",
		"Programmed=False RejectedByProxy … Address already in use", "listener web Programmed=False RejectedByProxy … Address already in use")
	_, err = s.client.EpicV1().GWProxies(namespace).Create(s.Context(), &epicv1.GWProxy{ObjectMeta: meta("taken-2"), Spec: gw.Spec}, metav1.CreateOptions{})
	s.refusedWith(err, "spec.public-address", taken)
}

func (s *site) badTemplates() {
	for name, test := range map[string]struct{ listener, text string }{
		"garbage": {"}{", "TemplateRefused … spec.envoy-template"},
		"loops":   {`{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`, "TemplateRefused … spec.envoy-template"},
		"large":   {`name: {{printf "%5000000d" 1}}`, "TemplateRefused … spec.envoy-template"},
		"unknown": {"name: x\nno_such_field: 1", "TemplateRefused … no_such_field"},
		// The API and the template accept it, and Envoy does not.
		"refused": {"name: x\naddress: {socket_address: {address: '::', port_value: {{.Port}}}}\nfilter_chains: [{}, {}]", "TemplateRefused … which Envoy rejects"},
	} {
		lb := &epicv1.LoadBalancer{ObjectMeta: meta("template-" + name), Spec: epicv1.LoadBalancerSpec{
			UpstreamClusters: []string{"c"}, PublicPorts: []epicv1.ServicePort{{Port: 80, Protocol: "TCP"}},
			EnvoyTemplate: &epicv1.EnvoyConfigSpec{Serialization: epicv1.SerializationYAML, EnvoyResources: epicv1.EnvoyResources{
				Listeners: []epicv1.EnvoyResource{{Name: "l", Value: test.listener}},
			}},
		}}
		lb.Labels[epic.OwningLBServiceGroupLabel] = group
		_, err := s.client.EpicV1().LoadBalancers(namespace).Create(s.Context(), lb, metav1.CreateOptions{})
		s.must(nil, err)
		s.says("loadbalancer", lb.Name, "Accepted=False "+test.text, "Programmed=False "+test.text)
	}
}

// foreignToken requests the certificate of one proxy with the token of another.
func (s *site) foreignToken() {
	tokens, err := filepath.Glob(filepath.Join(s.dir, "op", "p", "*", "token"))
	s.must(nil, err)
	if len(tokens) < 2 {
		s.Fatalf("tokens %v", tokens)
	}
	ca, err := os.ReadFile(filepath.Join(s.dir, "op", "ca.crt"))
	s.must(nil, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	conn, err := grpc.NewClient("unix://"+filepath.Join(s.dir, "op", "xds.sock"),
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool, ServerName: "epic-operator", MinVersion: tls.VersionTLS13})))
	s.must(nil, err)
	defer conn.Close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.must(nil, err)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	s.must(nil, err)
	refused := 0
	for _, file := range tokens {
		token, err := os.ReadFile(file)
		s.must(nil, err)
		ctx, cancel := context.WithTimeout(s.Context(), patience)
		_, err = exchange.Sign(ctx, conn, &exchange.Request{Token: string(token), Namespace: namespace, Pod: "gwp-good-0", CSR: csr})
		cancel()
		if err != nil {
			refused++
			s.refusedWith(err, "gwp-good-0")
		}
	}
	// One of the tokens is the proxy's own.
	if refused != len(tokens)-1 {
		s.Errorf("%d of %d tokens are refused for one proxy", refused, len(tokens))
	}
}
