// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// CAKey is the key of the authority's certificate in a Secret with a certificate.
const CAKey = "ca.crt"

// Leaf describes a certificate of an installation in a cluster.
type Leaf struct {
	// CommonName is the common name of the subject.
	CommonName string
	// Names are the DNS names of a server.
	Names []string
	// Server and Client are the key usages.
	Server, Client bool
}

func (l Leaf) usages() []x509.ExtKeyUsage {
	var usages []x509.ExtKeyUsage
	if l.Server {
		usages = append(usages, x509.ExtKeyUsageServerAuth)
	}
	if l.Client {
		usages = append(usages, x509.ExtKeyUsageClientAuth)
	}
	return usages
}

// EnsureAuthority returns the data of a Secret with an authority, and whether it was
// created because there was none. It never replaces an authority, because every client
// that trusts the old one would have to trust the new one first.
func EnsureAuthority(data map[string][]byte, commonName string, now time.Time) (_ map[string][]byte, created bool, err error) {
	if len(data[corev1.TLSCertKey])+len(data[corev1.TLSPrivateKeyKey]) > 0 {
		authority, err := readAuthority(data)
		if err != nil {
			return nil, false, err
		}
		if !authority.cert.NotAfter.After(now.Add(certificateLife)) {
			return nil, false, fmt.Errorf("the authority expires at %s, before a certificate that it would sign now: replace it as described in docs/install.md under \"A new authority\"", authority.cert.NotAfter.Format(time.RFC3339))
		}
		return data, false, nil
	}
	template := authorityTemplate()
	template.Subject = pkix.Name{CommonName: commonName}
	i, err := issue(template, nil, now, authorityLife)
	if err != nil {
		return nil, false, err
	}
	return secretData(i, i), true, nil
}

// EnsureLeaf returns the data of a Secret with a certificate signed by the authority in
// other data, and whether it was created because the previous one does not exist, is
// damaged, is signed by another authority, lacks a name or a usage, or has less than a
// third of its lifetime left.
func EnsureLeaf(data, authority map[string][]byte, leaf Leaf, now time.Time) (_ map[string][]byte, created bool, err error) {
	signer, err := readAuthority(authority)
	if err != nil {
		return nil, false, err
	}
	if is, err := parsePair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey]); err == nil && bytes.Equal(data[CAKey], signer.certPEM) &&
		is.cert.CheckSignatureFrom(signer.cert) == nil && Fresh(is.cert, now) && is.covers(leaf.Names, nil) && is.cert.Subject.CommonName == leaf.CommonName &&
		!slices.ContainsFunc(leaf.usages(), func(u x509.ExtKeyUsage) bool { return !slices.Contains(is.cert.ExtKeyUsage, u) }) {
		return data, false, nil
	}
	i, err := issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: leaf.CommonName}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: leaf.usages(), DNSNames: leaf.Names,
	}, signer, now, certificateLife)
	if err != nil {
		return nil, false, err
	}
	return secretData(i, signer), true, nil
}

func readAuthority(data map[string][]byte) (*issued, error) {
	i, err := parsePair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, fmt.Errorf("can't read the authority: %w: restore the Secret, or replace the authority as described in docs/install.md under \"A new authority\"", err)
	}
	if !i.cert.IsCA {
		return nil, errors.New("the certificate is not a certificate authority: restore the Secret, or replace the authority as described in docs/install.md under \"A new authority\"")
	}
	return i, nil
}

func secretData(i, signer *issued) map[string][]byte {
	return map[string][]byte{corev1.TLSCertKey: i.certPEM, corev1.TLSPrivateKeyKey: i.keyPEM, CAKey: signer.certPEM}
}
