// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Reasons of certificates that are served although clients refuse them.
const (
	// ReasonCertificateExpired is a certificate, or one in its chain, that has expired.
	ReasonCertificateExpired = "CertificateExpired"
	// ReasonCertificateNotYetValid is one that is not valid yet.
	ReasonCertificateNotYetValid = "CertificateNotYetValid"
	// ReasonCertificateHostname is a listener whose hostname is in none of its
	// certificates.
	ReasonCertificateHostname = "CertificateHostnameMismatch"
)

// maxNames is the maximum number of names of a certificate in a message.
const maxNames = 4

// certificateChain is a certificate, followed by its issuers.
type certificateChain []*x509.Certificate

// checkValidity returns the reason why clients refuse a certificate at a time, if any,
// and until when this holds; zero means forever.
func (c certificateChain) checkValidity(now time.Time) (v verdict, until time.Time) {
	for i, one := range c {
		what := "the certificate"
		if i > 0 {
			what = fmt.Sprintf("the certificate of the authority %q, which signed it,", one.Subject.CommonName)
		}
		reason, end := validityOf(one, now)
		switch reason {
		case ReasonCertificateNotYetValid:
			v.first(reason, "%s is not valid before %s, and clients refuse it until then: use a valid certificate, or correct the clock", what, stamp(one.NotBefore))
		case ReasonCertificateExpired:
			v.first(reason, "%s expired at %s, and clients refuse it: renew it", what, stamp(one.NotAfter))
		}
		until = Earliest(until, end)
	}
	return v, until
}

// checkAuthorities returns the reason why certificates signed by one of these authorities
// are refused at a time, if any, and until when this holds; zero means forever.
func (c certificateChain) checkAuthorities(now time.Time) (v verdict, until time.Time) {
	for _, one := range c {
		reason, end := validityOf(one, now)
		switch reason {
		case ReasonCertificateNotYetValid:
			v.first(reason, "its authority %q is not valid before %s, and certificates that it signed are refused until then: use a valid authority, or correct the clock", one.Subject.CommonName, stamp(one.NotBefore))
		case ReasonCertificateExpired:
			v.first(reason, "its authority %q expired at %s, and certificates that it signed are refused: replace it, or remove it if there are others", one.Subject.CommonName, stamp(one.NotAfter))
		}
		until = Earliest(until, end)
	}
	return v, until
}

// validityOf returns the reason why a certificate is not valid at a time, if any, and
// until when this holds; zero means forever.
func validityOf(c *x509.Certificate, now time.Time) (reason string, until time.Time) {
	switch {
	case now.Before(c.NotBefore):
		return ReasonCertificateNotYetValid, c.NotBefore
	case now.After(c.NotAfter):
		return ReasonCertificateExpired, time.Time{}
	}
	// It is still valid in that second.
	return "", c.NotAfter.Add(time.Second)
}

// CheckSecret returns the reason why the certificate in a Secret, or one signed by an
// authority in it, is refused at a time, with a message, if any, and until when this
// holds; zero means forever. It returns no reason for a Secret without a readable
// certificate.
func CheckSecret(secret *corev1.Secret, now time.Time) (reason, message string, until time.Time) {
	var v verdict
	if hasAuthorities(secret) {
		if _, chain, err := authorities(secret); err == nil {
			v, until = chain.checkAuthorities(now)
		}
	} else if _, chain, err := readCertificate(secret); err == nil {
		v, until = chain.checkValidity(now)
	}
	return v.reason, v.message, until
}

// names returns the names in a certificate, as text.
func (c certificateChain) names() string {
	all := slices.Clone(c[0].DNSNames)
	for _, ip := range c[0].IPAddresses {
		all = append(all, ip.String())
	}
	switch {
	case len(all) == 0:
		return "no name"
	case len(all) > maxNames:
		all = append(all[:maxNames:maxNames], "…")
	}
	return strings.Join(all, ", ")
}

// covers reports whether a certificate covers a hostname. A wildcard hostname must be in
// the certificate itself.
func (c certificateChain) covers(host string) bool {
	if strings.HasPrefix(host, "*") {
		return slices.ContainsFunc(c[0].DNSNames, func(name string) bool { return strings.EqualFold(name, host) })
	}
	return c[0].VerifyHostname(host) == nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Earliest returns the earlier of two times. Zero means none.
func Earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// checkCertificate reports a certificate that clients refuse, or will refuse soon.
func (t *translation) checkCertificate(field, secret, name string) {
	if t.now.IsZero() {
		return
	}
	v, until := t.chains[name].checkValidity(t.now)
	if v.given() {
		t.problems.add(t.proxy, field, v.reason, "names the Secret %q: %s", secret, v.message)
	}
	t.until = Earliest(t.until, until)
}

// checkAuthorities returns the problem with the validity of the authorities in a Secret.
func (t *translation) checkAuthorities(secret *corev1.Secret) (v verdict) {
	if t.now.IsZero() {
		return v
	}
	v, until := t.trusted(secret).chain.checkAuthorities(t.now)
	t.until = Earliest(t.until, until)
	return v
}

// checkHostname reports a listener whose hostname is in none of its certificates.
func (g *gateway) checkHostname(l *listener, certificates []string) {
	if l.hostname == anyHost || slices.ContainsFunc(certificates, func(name string) bool { return g.chains[name].covers(l.hostname) }) {
		return
	}
	var have []string
	for _, name := range certificates {
		have = append(have, g.chains[name].names())
	}
	g.problems.add(g.proxy, l.field+".tls.certificateRefs", ReasonCertificateHostname,
		"no certificate of the listener is for its hostname %s, so clients refuse them: they are for %s: use a Secret whose certificate has the hostname, or change the hostname", l.hostname, strings.Join(have, "; "))
}
