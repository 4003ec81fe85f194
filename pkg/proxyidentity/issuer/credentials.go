// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/acnodal/epic/pkg/pki"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// Credentials holds the operator's own credentials: the authority of proxies and a
// certificate that it signed for the operator, renewed as needed.
type Credentials struct {
	names     []string
	addresses []net.IP
	now       func() time.Time

	mu        sync.Mutex
	authority *pki.ProxyAuthority
	pool      *x509.CertPool
	own       *tls.Certificate
}

// NewCredentials returns the credentials of an operator with the given names and
// addresses.
func NewCredentials(a *pki.ProxyAuthority, names []string, addresses []net.IP) (*Credentials, error) {
	c := &Credentials{names: names, addresses: addresses, now: time.Now}
	c.SetAuthority(a)
	_, _, err := c.current()
	return c, err
}

// Authority returns the authority.
func (c *Credentials) Authority() *pki.ProxyAuthority {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.authority
}

// SetAuthority replaces the authority, after a rotation.
func (c *Credentials) SetAuthority(a *pki.ProxyAuthority) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.authority, c.pool, c.own = a, a.Pool(), nil
}

// current returns the operator's certificate and the authorities that it trusts.
func (c *Credentials) current() (*tls.Certificate, *x509.CertPool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if c.own != nil && pki.Fresh(c.own.Leaf, now) {
		return c.own, c.pool, nil
	}
	own, err := c.authority.Serving(c.names, c.addresses, now)
	if err != nil {
		return nil, nil, err
	}
	c.own = own
	return own, c.pool, nil
}

// ServerTLS returns the configuration of the operator's server. A client may connect
// without a certificate, to request one; a certificate that it presents is verified.
func (c *Credentials) ServerTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			own, pool, err := c.current()
			if err != nil {
				return nil, err
			}
			return &tls.Config{
				MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"},
				Certificates: []tls.Certificate{*own}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven,
				// A resumed session would not check whether an authority is still
				// trusted.
				SessionTicketsDisabled: true,
			}, nil
		},
	}
}

// ClientTLS returns the configuration for calls to the server of a proxy's pod.
func (c *Credentials) ClientTLS(id proxyidentity.Identity) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			own, _, err := c.current()
			return own, err
		},
		// The expected name is an identity, which VerifyConnection checks.
		InsecureSkipVerify: true, //nolint:gosec // see above
		VerifyConnection: func(s tls.ConnectionState) error {
			got, err := c.Authority().VerifyProxy(s.PeerCertificates[0], x509.ExtKeyUsageServerAuth, c.now())
			if err == nil && got != id {
				err = errors.New("the certificate belongs to " + got.String() + ", not of " + id.String())
			}
			return err
		},
	}
}

// Identify returns the identity of the client of a stream, from its certificate, and the
// expiration. It is the Identify of xds.Options.
func (c *Credentials) Identify(ctx context.Context) (proxyidentity.Identity, time.Time, error) {
	id, until, err := c.identity(ctx)
	if err != nil {
		return id, until, status.Error(codes.Unauthenticated, err.Error())
	}
	return id, until, nil
}

func (c *Credentials) identity(ctx context.Context) (proxyidentity.Identity, time.Time, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return proxyidentity.Identity{}, time.Time{}, errors.New("the connection has no peer")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return proxyidentity.Identity{}, time.Time{}, errors.New("the client presents no certificate: it must first exchange its token for one")
	}
	leaf := info.State.PeerCertificates[0]
	// The handshake verified it; the connection may have outlived that.
	id, err := c.Authority().VerifyProxy(leaf, x509.ExtKeyUsageClientAuth, c.now())
	return id, leaf.NotAfter, err
}

// remote returns the source address of a call.
func remote(ctx context.Context) netip.Addr {
	if p, ok := peer.FromContext(ctx); ok {
		if tcp, ok := p.Addr.(*net.TCPAddr); ok {
			return tcp.AddrPort().Addr().Unmap()
		}
	}
	return netip.Addr{}
}
