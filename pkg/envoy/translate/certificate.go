// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	corev1 "k8s.io/api/core/v1"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// authoritiesKey is the key of the certificates of authorities in a Secret.
const authoritiesKey = "ca.crt"

// minRSABits is the minimum size of an RSA key that Envoy accepts.
const minRSABits = 2048

// certificate adds an SDS secret for a certificate and its key. It returns the name of
// the resource, or an error that describes the problem of the Secret.
func (t *translation) certificate(secret *corev1.Secret) (string, error) {
	name := "certificate/" + secret.Name
	if _, made := t.resources[resource.Key{Type: resource.Secret, Name: name}]; made {
		return name, nil
	}
	certificate, chain, err := readCertificate(secret)
	if err != nil {
		return "", err
	}
	t.chains[name] = chain
	if !t.put(resource.Secret, name, &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: certificate}}, t.proxy) {
		return "", errors.New("it can't be encoded")
	}
	return name, nil
}

// SecretResource returns an SDS secret with the given name: with the certificate and its
// key in a Secret or, if it has neither, with the certificates of authorities in it. The
// error describes the problem of the Secret.
func SecretResource(name string, secret *corev1.Secret, sources ...resource.Source) (*resource.Resource, error) {
	message := &tlsv3.Secret{Name: name}
	if hasAuthorities(secret) {
		trusted, _, err := authorities(secret)
		if err != nil {
			return nil, err
		}
		message.Type = &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inline(trusted)}}
	} else {
		certificate, _, err := readCertificate(secret)
		if err != nil {
			return nil, err
		}
		message.Type = &tlsv3.Secret_TlsCertificate{TlsCertificate: certificate}
	}
	return resource.New(resource.Secret, name, message, sources...)
}

// readCertificate returns the certificate in a Secret with its key and chain. The error
// describes the problem of the Secret.
func readCertificate(secret *corev1.Secret) (*tlsv3.TlsCertificate, certificateChain, error) {
	chain, key := secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]
	if len(chain) == 0 || len(key) == 0 {
		return nil, nil, fmt.Errorf("it has no %s and %s: add a certificate and its key", corev1.TLSCertKey, corev1.TLSPrivateKeyKey)
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, nil, fmt.Errorf("%s and %s can't be used: %w: replace them with a certificate and its key", corev1.TLSCertKey, corev1.TLSPrivateKeyKey, err)
	}
	if err := usableKey(pair.Leaf); err != nil {
		return nil, nil, err
	}
	// Only pass parsed certificates to Envoy.
	var plain bytes.Buffer
	var parsed certificateChain
	for _, der := range pair.Certificate {
		one, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, nil, fmt.Errorf("%s has a certificate that can't be read: %w", corev1.TLSCertKey, err)
		}
		parsed = append(parsed, one)
		if err := pem.Encode(&plain, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			return nil, nil, err
		}
	}
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return nil, nil, err
	}
	return &tlsv3.TlsCertificate{
		CertificateChain: inline(plain.Bytes()),
		PrivateKey:       inline(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	}, parsed, nil
}

// usableKey returns an error if Envoy does not accept the key of a certificate.
func usableKey(leaf *x509.Certificate) error {
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSABits {
			return fmt.Errorf("its RSA key has %d bits: use one of %d bits or more, or an ECDSA key", key.N.BitLen(), minRSABits)
		}
		return nil
	case *ecdsa.PublicKey:
		switch key.Curve.Params().BitSize {
		case 256, 384, 521:
			return nil
		}
		return fmt.Errorf("its ECDSA key is on the curve %s: use P-256", key.Curve.Params().Name)
	case ed25519.PublicKey:
		return errors.New("its key is an Ed25519 key, which Envoy does not support: use an ECDSA key on P-256, or an RSA key")
	}
	return errors.New("its key has an unknown type: use an ECDSA key on P-256, or an RSA key")
}

// hasAuthorities reports whether a Secret has certificates of authorities and no certificate
// with its key.
func hasAuthorities(secret *corev1.Secret) bool {
	return len(secret.Data[corev1.TLSCertKey])+len(secret.Data[corev1.TLSPrivateKeyKey]) == 0 && len(secret.Data[authoritiesKey]) > 0
}

// bundle holds the certificates of authorities in a Secret, or the problem of the Secret.
type bundle struct {
	text  string
	chain certificateChain
	err   error
}

// trusted returns the certificates of authorities in a Secret, and reads them only once.
func (t *translation) trusted(secret *corev1.Secret) *bundle {
	b := t.bundles[secret.Name]
	if b == nil {
		text, chain, err := authorities(secret)
		b = &bundle{string(text), chain, err}
		t.bundles[secret.Name] = b
	}
	return b
}

// authorities returns the certificates of authorities in a Secret, in PEM and decoded.
func authorities(secret *corev1.Secret) ([]byte, certificateChain, error) {
	text := secret.Data[authoritiesKey]
	if len(text) == 0 {
		return nil, nil, fmt.Errorf("it has no %s: add the CA certificates", authoritiesKey)
	}
	var plain bytes.Buffer
	var all certificateChain
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, nil, fmt.Errorf("%s contains a %q in addition to certificates: remove it", authoritiesKey, block.Type)
		}
		one, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, fmt.Errorf("%s has a certificate that can't be read: %w", authoritiesKey, err)
		}
		all = append(all, one)
		if err := pem.Encode(&plain, &pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes}); err != nil {
			return nil, nil, err
		}
	}
	if plain.Len() == 0 {
		return nil, nil, fmt.Errorf("%s has no certificate in PEM format: add the CA certificates", authoritiesKey)
	}
	return plain.Bytes(), all, nil
}

func inline(b []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b}}
}

// sds returns a reference to an SDS secret.
func (t *translation) sds(name string) *tlsv3.SdsSecretConfig {
	t.secrets[name] = true
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: resource.ADS()}
}
