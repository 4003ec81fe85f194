// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"k8s.io/client-go/util/cert"

	"github.com/acnodal/epic/pkg/proxyidentity"
)

const (
	// ProxyCertificateLife is the lifetime of the certificates of proxies and of the
	// operator. They are renewed after two thirds of it.
	ProxyCertificateLife = 24 * time.Hour

	proxyAuthorityLife = 365 * 24 * time.Hour
	// settle is the time for each step of a replacement: longer than the lifetime of a
	// certificate, so by then everybody has got a new certificate and, with it, the
	// trusted authorities.
	settle = 2 * ProxyCertificateLife

	maxRequest = 16 << 10
)

// Keys of the Secret with a ProxyAuthority.
const (
	// BundleKey contains the trusted authorities, for verification.
	BundleKey = "ca.crt"

	currentKey  = "tls"
	nextKey     = "next"
	formerKey   = "former.crt"
	promotedKey = "promoted"
)

// ProxyAuthority signs the certificates of proxies and of the operator. It is immutable;
// Rotate returns another one.
type ProxyAuthority struct {
	// current signs. next is already trusted and will sign; former is still trusted. One
	// of the latter two is nil.
	current, next *issued
	former        *x509.Certificate
	// promoted is when current began to sign.
	promoted time.Time
}

// NewProxyAuthority creates an authority.
func NewProxyAuthority(now time.Time) (*ProxyAuthority, error) {
	current, err := newProxyAuthority(now)
	if err != nil {
		return nil, err
	}
	return &ProxyAuthority{current: current, promoted: now}, nil
}

func newProxyAuthority(now time.Time) (*issued, error) {
	template := authorityTemplate()
	// The date distinguishes two authorities for people.
	template.Subject = pkix.Name{CommonName: "epic-proxies-ca " + now.UTC().Format(time.DateTime)}
	return issue(template, nil, now, proxyAuthorityLife)
}

// ParseProxyAuthority parses the data of a Secret.
func ParseProxyAuthority(data map[string][]byte) (*ProxyAuthority, error) {
	a := &ProxyAuthority{}
	var err error
	if a.current, err = parseAuthority(data, currentKey); err != nil {
		return nil, err
	}
	if a.current == nil {
		return nil, fmt.Errorf("the Secret of the proxies' authority has no key %s.crt: restore it, or delete the Secret to create a new authority", currentKey)
	}
	if a.next, err = parseAuthority(data, nextKey); err != nil {
		return nil, err
	}
	if former := data[formerKey]; len(former) > 0 {
		certs, err := cert.ParseCertsPEM(former)
		if err != nil {
			return nil, fmt.Errorf("key %s of the Secret of the proxies' authority: %w", formerKey, err)
		}
		a.former = certs[0]
	}
	if a.promoted, err = time.Parse(time.RFC3339, string(data[promotedKey])); err != nil {
		a.promoted = a.current.cert.NotBefore
	}
	return a, nil
}

func parseAuthority(data map[string][]byte, name string) (*issued, error) {
	certPEM, keyPEM := data[name+".crt"], data[name+".key"]
	if len(certPEM) == 0 && len(keyPEM) == 0 {
		return nil, nil
	}
	i, err := parsePair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("keys %[1]s.crt and %[1]s.key of the Secret of the proxies' authority: %w", name, err)
	}
	if !i.cert.IsCA {
		return nil, fmt.Errorf("key %s.crt of the Secret of the proxies' authority is not a certificate authority", name)
	}
	return i, nil
}

// Data returns the data of a Secret.
func (a *ProxyAuthority) Data() map[string][]byte {
	data := map[string][]byte{
		BundleKey:           a.Bundle(),
		currentKey + ".crt": a.current.certPEM,
		currentKey + ".key": a.current.keyPEM,
		promotedKey:         []byte(a.promoted.UTC().Format(time.RFC3339)),
	}
	if a.next != nil {
		data[nextKey+".crt"], data[nextKey+".key"] = a.next.certPEM, a.next.keyPEM
	}
	if a.former != nil {
		data[formerKey] = encodeCertificate(a.former)
	}
	return data
}

// Rotate returns the authority as it should be now, and whether that differs. Only one
// caller at a time, the leader, must call it, once an hour, and store the result. After
// two thirds of an authority's lifetime, the next one is created and trusted; two days
// later, it signs; after two more days, the former one is no longer trusted.
func (a *ProxyAuthority) Rotate(now time.Time) (*ProxyAuthority, bool, error) {
	if now.After(a.current.cert.NotAfter) {
		fresh, err := NewProxyAuthority(now)
		return fresh, err == nil, err
	}
	b := *a
	switch {
	case b.next != nil && now.After(b.next.cert.NotBefore.Add(backdate+settle)):
		b.former, b.current, b.next, b.promoted = b.current.cert, b.next, nil, now
	case b.next == nil && b.former == nil && !Fresh(b.current.cert, now):
		next, err := newProxyAuthority(now)
		if err != nil {
			return nil, false, err
		}
		b.next = next
	case b.former != nil && now.After(b.promoted.Add(settle)):
		b.former = nil
	default:
		return a, false, nil
	}
	return &b, true, nil
}

// trusted returns the trusted authorities, the signing one first.
func (a *ProxyAuthority) trusted() []*x509.Certificate {
	all := []*x509.Certificate{a.current.cert}
	if a.next != nil {
		all = append(all, a.next.cert)
	}
	if a.former != nil {
		all = append(all, a.former)
	}
	return all
}

// Bundle returns the trusted authorities in PEM.
func (a *ProxyAuthority) Bundle() []byte {
	var b bytes.Buffer
	for _, c := range a.trusted() {
		b.Write(encodeCertificate(c))
	}
	return b.Bytes()
}

// Pool returns the trusted authorities.
func (a *ProxyAuthority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range a.trusted() {
		pool.AddCert(c)
	}
	return pool
}

// Serving returns a key and a certificate for the operator, which serves under the names
// and addresses and is a client of proxies.
func (a *ProxyAuthority) Serving(names []string, addresses []net.IP, now time.Time) (*tls.Certificate, error) {
	template := servingTemplate(names, addresses)
	template.Subject = pkix.Name{CommonName: "epic-operator"}
	template.URIs = []*url.URL{proxyidentity.OperatorURI()}
	template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	i, err := issue(template, a.current, now, ProxyCertificateLife)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{i.cert.Raw}, PrivateKey: i.key, Leaf: i.cert}, nil
}

// SignProxy signs the certificate of a proxy's pod for the key in a certificate request
// (DER). Nothing else of the request is used. The certificate is valid for a client and
// for the pod's own server.
func (a *ProxyAuthority) SignProxy(request []byte, id proxyidentity.Identity, now time.Time) (certPEM []byte, err error) {
	if err := id.Validate(); err != nil {
		return nil, err
	}
	if len(request) > maxRequest {
		return nil, fmt.Errorf("the certificate request has more than %d bytes", maxRequest)
	}
	csr, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil, fmt.Errorf("can't decode the certificate request: %w", err)
	}
	if err := checkKey(csr.PublicKey); err != nil {
		return nil, err
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("the certificate request is not signed with its own key: %w", err)
	}
	i, err := sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "epic-proxy"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		URIs:        []*url.URL{id.URI()},
	}, csr.PublicKey, a.current, now, ProxyCertificateLife)
	if err != nil {
		return nil, err
	}
	return encodeCertificate(i), nil
}

// checkKey rejects keys that are weak, or so large that they slow down the operator.
func checkKey(key any) error {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if bits := k.Curve.Params().BitSize; bits < 256 {
			return fmt.Errorf("the key has %d bits: use at least P-256", bits)
		}
		return nil
	case ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < 2048 || bits > 8192 {
			return fmt.Errorf("the key has %d bits: use 2048 to 8192, or preferably ECDSA P-256", bits)
		}
		return nil
	}
	return errors.New("the key has an unknown type: use ECDSA P-256")
}

// VerifyProxy returns the identity of a proxy in a certificate that one of the
// authorities signed for a usage: as a client or as a server.
func (a *ProxyAuthority) VerifyProxy(c *x509.Certificate, use x509.ExtKeyUsage, now time.Time) (proxyidentity.Identity, error) {
	if _, err := c.Verify(x509.VerifyOptions{Roots: a.Pool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{use}}); err != nil {
		return proxyidentity.Identity{}, err
	}
	if len(c.URIs) != 1 {
		return proxyidentity.Identity{}, fmt.Errorf("the certificate of %s has %d URIs instead of one that identifies a proxy", c.Subject, len(c.URIs))
	}
	id, err := proxyidentity.Parse(c.URIs[0])
	if err != nil {
		return proxyidentity.Identity{}, fmt.Errorf("the certificate's URI %.300q does not identify a proxy: %w", c.URIs[0], err)
	}
	return id, nil
}
