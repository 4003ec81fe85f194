// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
)

// A certificate that clients refuse is served and reported, with the time at which that
// changes.
func TestCertificateValidity(t *testing.T) {
	now := time.Date(2030, 6, 1, 12, 0, 0, 0, time.UTC)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret := func(name string, change func(*x509.Certificate)) *corev1.Secret {
		return secretFrom(name, key, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter, c.DNSNames = now.Add(-time.Hour), now.Add(time.Hour), []string{"www.example.com", "*.example.com"}
			change(c)
		})
	}
	valid := secret("valid", func(*x509.Certificate) {})
	expired := secret("expired", func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) })
	early := secret("early", func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) })
	other := secret("other", func(c *x509.Certificate) { c.DNSNames = []string{"www.example.org", "a", "b", "c", "d", "e"} })
	nameless := secret("nameless", func(c *x509.Certificate) { c.DNSNames = nil })
	signed := secret("signed", func(*x509.Certificate) {})
	signed.Data["tls.crt"] = append(signed.Data["tls.crt"], expired.Data["tls.crt"]...)
	for _, c := range []struct {
		hostname, certificates string
		want                   []string // of each problem: the reason and a part of the message
		until                  time.Time
	}{
		{"www.example.com", "valid", nil, now.Add(time.Hour + time.Second)},
		{"", "valid", nil, now.Add(time.Hour + time.Second)},
		{"'*.example.com'", "valid", nil, now.Add(time.Hour + time.Second)},
		{"a.example.com", "valid", nil, now.Add(time.Hour + time.Second)},
		{"www.example.com", "expired", []string{`CertificateExpired spec.gateway.listeners[0].tls.certificateRefs[0] names the Secret "expired": the certificate expired at 2030-06-01T11:59:59Z, and clients refuse it: renew it`}, time.Time{}},
		{"www.example.com", "early", []string{"CertificateNotYetValid spec.gateway.listeners[0].tls.certificateRefs[0] not valid before 2030-06-01T12:01:00Z"}, now.Add(time.Minute)},
		{"www.example.com", "signed", []string{`CertificateExpired spec.gateway.listeners[0].tls.certificateRefs[0] of the authority "expired"`}, now.Add(time.Hour + time.Second)},
		{"www.example.com", "valid}, {name: expired", []string{`CertificateExpired spec.gateway.listeners[0].tls.certificateRefs[1] "expired"`}, now.Add(time.Hour + time.Second)},
		{"www.example.org", "valid", []string{"CertificateHostnameMismatch spec.gateway.listeners[0].tls.certificateRefs for its hostname www.example.org, so clients refuse them: they are for www.example.com, *.example.com"}, now.Add(time.Hour + time.Second)},
		{"www.example.org", "valid}, {name: other", nil, now.Add(time.Hour + time.Second)},
		{"a.b.example.com", "valid", []string{"CertificateHostnameMismatch spec.gateway.listeners[0].tls.certificateRefs a.b.example.com"}, now.Add(time.Hour + time.Second)},
		{"'*.example.org'", "other", []string{"CertificateHostnameMismatch spec.gateway.listeners[0].tls.certificateRefs www.example.org, a, b, c, …:"}, now.Add(time.Hour + time.Second)},
		{"www.example.com", "nameless", []string{"CertificateHostnameMismatch spec.gateway.listeners[0].tls.certificateRefs for no name"}, now.Add(time.Hour + time.Second)},
	} {
		t.Run(c.hostname+" "+c.certificates, func(t *testing.T) {
			w := parseWorld(t, fmt.Appendf(nil, `
apiVersion: epic.acnodal.io/v1
kind: GWProxy
metadata: {name: gw}
spec:
  public-address: 192.0.2.10
  gateway:
    gatewayClassName: epic
    listeners: [{name: https, port: 443, protocol: HTTPS, hostname: %s, tls: {certificateRefs: [{name: %s}]}}]
`, c.hostname, c.certificates))
			for _, s := range []*corev1.Secret{valid, expired, early, other, nameless, signed} {
				w.secrets[s.Name] = s
			}
			w.now = now
			got := w.translate(t)
			if len(got.Problems) != len(c.want) {
				t.Fatalf("problems: %v, want %q", got.Problems, c.want)
			}
			for i, want := range c.want {
				reason, rest, _ := strings.Cut(want, " ")
				field, message, _ := strings.Cut(rest, " ")
				if p := got.Problems[i]; p.Reason != reason || p.Field != field || !strings.Contains(p.Message, message) || p.Object.Kind != "GWProxy" {
					t.Errorf("the problem is %s of %s, %s, want %s", p.Reason, p.Field, p.Message, want)
				}
			}
			if !got.Until.Equal(c.until) {
				t.Errorf("it holds until %v, want %v", got.Until, c.until)
			}
			if got.set[resource.Key{Type: resource.Listener, Name: "tcp/443"}] == nil || !got.Listeners[0].Conditions[3].Status {
				t.Errorf("the listener is not served: %+v", got.Listeners[0])
			}
			// Nothing but the problems depends on the time.
			w.now = time.Time{}
			if again := translate.Gateway(translate.GatewayInput{Proxy: w.proxy, Secrets: w.secrets}); !again.Until.IsZero() || len(again.Resources) != len(got.Resources) {
				t.Errorf("without a time: until %v, %d resources, want %d", again.Until, len(again.Resources), len(got.Resources))
			}
		})
	}
}

// Authorities with which certificates of clients and of backends are verified are reported when
// what they signed is refused, on the object that names them, and everything stays configured.
func TestAuthorityValidity(t *testing.T) {
	now := time.Date(2030, 6, 1, 12, 0, 0, 0, time.UTC)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := func(name string, from, to time.Duration) *corev1.Secret {
		s := secretFrom(name, key, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(from), now.Add(to) })
		s.Data = map[string][]byte{"ca.crt": s.Data["tls.crt"]}
		return s
	}
	server := secretFrom("server", key, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = now.Add(-time.Hour), now.Add(240*time.Hour)
	})
	valid, expired := authority("valid", -time.Hour, time.Hour), authority("expired", -time.Hour, -time.Second)
	early := authority("early", time.Minute, time.Hour)
	both := authority("both", -time.Hour, time.Hour)
	both.Data["ca.crt"] = append(both.Data["ca.crt"], expired.Data["ca.crt"]...)
	far := now.Add(240*time.Hour + time.Second)
	const isExpired, isEarly = `"expired" expired at 2030-06-01T11:59:59Z, and certificates that it signed are refused`, `"early" is not valid before 2030-06-01T12:01:00Z`
	for _, c := range []struct {
		name, frontend, policy string
		want                   []string // of each problem: kind, reason, field and a part of the message
		until                  time.Time
	}{
		{"valid ones", frontend("default: {validation: {%s}}", "valid"), authorityOf("valid"), nil, now.Add(time.Hour + time.Second)},
		{"of clients, expired", frontend("default: {validation: {%s}}", "expired"), authorityOf("valid"),
			[]string{"GWProxy CertificateExpired spec.gateway.tls.frontend.default.validation.caCertificateRefs[0] " + isExpired}, now.Add(time.Hour + time.Second)},
		{"of clients of a port, not valid yet", frontend("default: {}, perPort: [{port: 443, tls: {validation: {%s}}}]", "early"), "",
			[]string{"GWProxy CertificateNotYetValid spec.gateway.tls.frontend.perPort[0].tls.validation.caCertificateRefs[0] " + isEarly}, now.Add(time.Minute)},
		{"of clients, who need none", frontend("default: {validation: {mode: AllowInsecureFallback, %s}}", "expired"), "", nil, far},
		{"one of two has expired", frontend("default: {validation: {%s}}", "both"), "",
			[]string{"GWProxy CertificateExpired spec.gateway.tls.frontend.default.validation.caCertificateRefs[0] " + isExpired}, now.Add(time.Hour + time.Second)},
		{"of a backend, expired", "", authorityOf("expired"),
			[]string{
				"GWRoute CertificateExpired spec.http.rules[0].backendRefs[0] " + isExpired,
				"GWRoute CertificateExpired spec.http.rules[0].backendRefs[0] " + isExpired,
			}, far},
		{"of a backend, not valid yet", "", authorityOf("early"),
			[]string{
				"GWRoute CertificateNotYetValid spec.http.rules[0].backendRefs[0] " + isEarly,
				"GWRoute CertificateNotYetValid spec.http.rules[0].backendRefs[0] " + isEarly,
			}, now.Add(time.Minute)},
		{"public ones", "", "wellKnownCACertificates: System", nil, far},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := fmt.Sprintf(`
apiVersion: epic.acnodal.io/v1
kind: GWProxy
metadata: {name: gw}
spec:
  public-address: 192.0.2.10
  gateway:
    gatewayClassName: epic
    %s
    listeners: [{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: server}]}}]
`, c.frontend)
			for _, name := range []string{"one", "two"} {
				if c.policy != "" {
					text += fmt.Sprintf(routeWithPolicy, name, c.policy)
				}
			}
			w := parseWorld(t, []byte(text+sliceOfShop))
			for _, s := range []*corev1.Secret{server, valid, expired, early, both} {
				w.secrets[s.Name] = s
			}
			w.now = now
			got := w.translate(t)
			if len(got.Problems) != len(c.want) {
				t.Fatalf("problems: %v, want %q", got.Problems, c.want)
			}
			for i, want := range c.want {
				parts := strings.SplitN(want, " ", 4)
				if p := got.Problems[i]; p.Object.Kind != parts[0] || p.Reason != parts[1] || p.Field != parts[2] || !strings.Contains(p.Message, parts[3]) {
					t.Errorf("the problem is %s %s of %s, %s, want %s", p.Object.Kind, p.Reason, p.Field, p.Message, want)
				}
			}
			if !got.Until.Equal(c.until) {
				t.Errorf("it holds until %v, want %v", got.Until, c.until)
			}
			if !got.Listeners[0].Conditions[3].Status {
				t.Errorf("the listener is not served: %+v", got.Listeners[0])
			}
			// Nothing but the problems depends on the time.
			resources := len(got.set)
			w.now = time.Time{}
			if again := w.translate(t); !again.Until.IsZero() || len(again.set) != resources {
				t.Errorf("without a time: until %v, %d resources, want %d", again.Until, len(again.set), resources)
			}
		})
	}
}

const (
	routeWithPolicy = `---
apiVersion: epic.acnodal.io/v1
kind: GWRoute
metadata: {name: %s}
spec:
  http:
    parentRefs: [{name: gw}]
    rules: [{matches: [{path: {type: PathPrefix, value: /%[1]s}}], backendRefs: [{name: shop, port: 443}]}]
  backends: [{name: shop, port: 443, tls: {hostname: shop.example, %[2]s}}]
`
	sliceOfShop = `---
apiVersion: epic.acnodal.io/v1
kind: GWEndpointSlice
metadata: {name: shop}
spec:
  parentRef: {uid: shop}
  nodeAddresses: {n1: 192.168.1.16}
  addressType: IPv4
  ports: [{port: 8443, protocol: TCP}]
  endpoints: [{addresses: [198.51.100.7], nodeName: n1}]
`
)

// frontend is the field of a Gateway with the authority of clients.
func frontend(format, secret string) string {
	return "tls: {frontend: {" + fmt.Sprintf(format, authorityOf(secret)) + "}}"
}

func authorityOf(secret string) string {
	return "caCertificateRefs: [{group: '', kind: Secret, name: " + secret + "}]"
}
