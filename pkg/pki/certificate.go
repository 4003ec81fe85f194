// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// backdate makes a new certificate valid for a client whose clock is slightly behind.
const backdate = 5 * time.Minute

// issued is a certificate with its key, parsed and in PEM.
type issued struct {
	cert    *x509.Certificate
	key     crypto.Signer
	certPEM []byte
	keyPEM  []byte
}

// load parses a pair. It returns nil if the pair is missing, can't be parsed, or does not
// match: the caller replaces it in all three cases.
func load(p pair) (*issued, error) {
	certPEM, keyPEM, err := p.read()
	if err != nil || certPEM == nil {
		return nil, err
	}
	parsed, err := parsePair(certPEM, keyPEM)
	if err != nil {
		return nil, nil //nolint:nilerr // see above
	}
	return parsed, nil
}

// parsePair parses a certificate and its key.
func parsePair(certPEM, keyPEM []byte) (*issued, error) {
	parsed, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	signer, ok := parsed.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key can't sign")
	}
	return &issued{cert: parsed.Leaf, key: signer, certPEM: certPEM, keyPEM: keyPEM}, nil
}

// Fresh reports whether a certificate is valid and more than a third of its lifetime is
// left.
func Fresh(c *x509.Certificate, now time.Time) bool {
	life := c.NotAfter.Sub(c.NotBefore)
	return now.After(c.NotBefore) && now.Before(c.NotAfter.Add(-life/3))
}

// covers reports whether the certificate has each of the names and addresses.
func (i *issued) covers(names []string, addresses []net.IP) bool {
	for _, name := range names {
		if i.cert.VerifyHostname(name) != nil {
			return false
		}
	}
	for _, address := range addresses {
		if i.cert.VerifyHostname(address.String()) != nil {
			return false
		}
	}
	return true
}

// issue creates a key and a certificate for it from the template, signed by signer, or
// self-signed if signer is nil.
func issue(template *x509.Certificate, signer *issued, now time.Time, life time.Duration) (*issued, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("can't generate a key: %w", err)
	}
	parent := signer
	if parent == nil {
		parent = &issued{cert: template, key: key}
	}
	parsed, err := sign(template, key.Public(), parent, now, life)
	if err != nil {
		return nil, err
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return nil, err
	}
	return &issued{
		cert:    parsed,
		key:     key,
		certPEM: encodeCertificate(parsed),
		keyPEM:  keyPEM,
	}, nil
}

// sign creates a certificate for a key from the template.
func sign(template *x509.Certificate, key crypto.PublicKey, signer *issued, now time.Time, life time.Duration) (*x509.Certificate, error) {
	var err error
	// 127 bits: positive, and at most 20 bytes as required by RFC 5280.
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("can't generate a serial number: %w", err)
	}
	template.NotBefore = now.Add(-backdate)
	template.NotAfter = now.Add(life)
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, template, signer.cert, key, signer.key)
	if err != nil {
		return nil, fmt.Errorf("can't sign the certificate of %s: %w", template.Subject, err)
	}
	return x509.ParseCertificate(der)
}

func encodeCertificate(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: c.Raw})
}

func authorityTemplate() *x509.Certificate {
	return &x509.Certificate{
		Subject:  pkix.Name{CommonName: "epic-standalone-ca"},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IsCA:     true,
		// It only signs end entities.
		MaxPathLenZero: true,
	}
}

func servingTemplate(names []string, addresses []net.IP) *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: "epic-apiserver"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    names,
		IPAddresses: addresses,
	}
}

func clientTemplate(user string, groups ...string) *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}
