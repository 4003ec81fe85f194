// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/proxyidentity"
)

var pod = proxyidentity.Identity{
	Proxy: proxyidentity.Proxy{Namespace: "epic-acnodal", Kind: proxyidentity.GWProxy, Name: "web"}, Pod: "web-1",
}

func newAuthority(t *testing.T, now time.Time) *ProxyAuthority {
	t.Helper()
	a, err := NewProxyAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func request(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	// What a request asks for next to its key must not matter.
	other, _ := url.Parse("spiffe://epic/epic-other/GWProxy/web/web-1")
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "epic-admin", Organization: []string{"system:masters"}},
		URIs:    []*url.URL{other}, DNSNames: []string{"epic-operator"},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func ecKey(t *testing.T, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func parse(t *testing.T, certPEM []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(certPEM)
	if block == nil {
		t.Fatal("no PEM")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSignProxy(t *testing.T) {
	now := time.Now()
	a := newAuthority(t, now)
	certPEM, err := a.SignProxy(request(t, ecKey(t, elliptic.P256())), pod, now)
	if err != nil {
		t.Fatal(err)
	}
	c := parse(t, certPEM)
	if len(c.URIs) != 1 || c.URIs[0].String() != "spiffe://epic/epic-acnodal/GWProxy/web/web-1" || len(c.DNSNames) > 0 || len(c.Subject.Organization) > 0 {
		t.Errorf("the certificate has %v, %v, %v", c.URIs, c.DNSNames, c.Subject)
	}
	if life := c.NotAfter.Sub(now).Round(time.Minute); life != 24*time.Hour {
		t.Errorf("it lasts %s", life)
	}
	if id, err := a.VerifyProxy(c, x509.ExtKeyUsageClientAuth, now); err != nil || id != pod {
		t.Errorf("it verifies as %v, %v", id, err)
	}
	if _, err := a.VerifyProxy(c, x509.ExtKeyUsageClientAuth, now.Add(25*time.Hour)); err == nil {
		t.Error("it verifies after its end")
	}
	if _, err := newAuthority(t, now).VerifyProxy(c, x509.ExtKeyUsageClientAuth, now); err == nil {
		t.Error("another authority verifies it")
	}
	serving, err := a.Serving([]string{"epic-operator.epic-system.svc"}, []net.IP{net.IPv4(127, 0, 0, 1)}, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.VerifyProxy(serving.Leaf, x509.ExtKeyUsageClientAuth, now); err == nil {
		t.Error("the operator passes for a proxy")
	}
	for _, name := range []string{"epic-operator.epic-system.svc", "127.0.0.1"} {
		if _, err := serving.Leaf.Verify(x509.VerifyOptions{Roots: a.Pool(), DNSName: name, CurrentTime: now}); err != nil {
			t.Errorf("the operator's certificate does not do for %s: %v", name, err)
		}
	}
	// A proxy's certificate must not do for the operator's server.
	if _, err := c.Verify(x509.VerifyOptions{Roots: a.Pool(), DNSName: "epic-operator.epic-system.svc", CurrentTime: now}); err == nil {
		t.Error("a proxy passes for the operator")
	}
}

func TestSignProxyRefuses(t *testing.T) {
	now := time.Now()
	a := newAuthority(t, now)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	good := request(t, ecKey(t, elliptic.P256()))
	forged := bytes.Clone(good)
	forged[len(forged)-1] ^= 1
	for name, test := range map[string]struct {
		request []byte
		id      proxyidentity.Identity
		want    string
	}{
		"garbage":     {[]byte("x"), pod, "can't decode"},
		"empty":       {nil, pod, "can't decode"},
		"huge":        {make([]byte, 1<<20), pod, "more than"},
		"weak RSA":    {request(t, small), pod, "1024 bits"},
		"weak curve":  {request(t, ecKey(t, elliptic.P224())), pod, "224 bits"},
		"forged":      {forged, pod, "own key"},
		"no identity": {good, proxyidentity.Identity{}, "kind of a proxy"},
	} {
		if _, err := a.SignProxy(test.request, test.id, now); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Through a whole replacement every certificate that is in use verifies with what
// everybody trusts, even if somebody renews as late as possible.
func TestRotate(t *testing.T) {
	start := time.Now()
	a := newAuthority(t, start)
	type holder struct {
		cert  *x509.Certificate
		trust *ProxyAuthority
		at    time.Time
	}
	var holders []holder
	authorities := map[string]bool{}
	step := ProxyCertificateLife / 3
	for now := start; now.Before(start.Add(2 * proxyAuthorityLife)); now = now.Add(step) {
		// Nothing happens for most of an authority's life.
		for a.next == nil && a.former == nil && Fresh(a.current.cert, now.Add(5*24*time.Hour)) {
			now = now.Add(24 * time.Hour)
		}
		next, _, err := a.Rotate(now)
		if err != nil {
			t.Fatal(err)
		}
		if a, err = ParseProxyAuthority(next.Data()); err != nil {
			t.Fatal(err)
		}
		if n := len(a.trusted()); n > 2 {
			t.Fatalf("%d authorities are trusted", n)
		}
		authorities[string(a.current.certPEM)] = true
		certPEM, err := a.SignProxy(request(t, ecKey(t, elliptic.P256())), pod, now)
		if err != nil {
			t.Fatal(err)
		}
		holders = append(holders, holder{parse(t, certPEM), a, now})
		// All that are not older than a certificate's life trust each other.
		for len(holders) > 3 {
			holders = holders[1:]
		}
		for _, h := range holders {
			for _, other := range holders {
				if h.cert.NotAfter.Before(now) {
					continue
				}
				if _, err := other.trust.VerifyProxy(h.cert, x509.ExtKeyUsageClientAuth, now); err != nil {
					t.Fatalf("after %s: %v", now.Sub(start), err)
				}
			}
		}
	}
	if len(authorities) < 3 {
		t.Errorf("%d authorities signed in two of their lives", len(authorities))
	}
}

func TestParseProxyAuthority(t *testing.T) {
	data := newAuthority(t, time.Now()).Data()
	other := newAuthority(t, time.Now()).Data()
	for name, change := range map[string]func(map[string][]byte){
		"empty":       func(d map[string][]byte) { clear(d) },
		"no key":      func(d map[string][]byte) { delete(d, "tls.key") },
		"other's key": func(d map[string][]byte) { d["tls.key"] = other["tls.key"] },
		"garbage":     func(d map[string][]byte) { d["next.crt"] = []byte("x") },
		"former":      func(d map[string][]byte) { d["former.crt"] = []byte("x") },
	} {
		d := map[string][]byte{}
		for k, v := range data {
			d[k] = v
		}
		change(d)
		if _, err := ParseProxyAuthority(d); err == nil || !strings.Contains(err.Error(), "Secret of the proxies' authority") {
			t.Errorf("%s: %v", name, err)
		}
	}
	a, err := ParseProxyAuthority(data)
	if err != nil || !bytes.Equal(a.Bundle(), data[BundleKey]) {
		t.Errorf("a good Secret: %v", err)
	}
}
