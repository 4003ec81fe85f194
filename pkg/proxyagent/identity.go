// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/proxyidentity"
	"github.com/acnodal/epic/pkg/proxyidentity/exchange"
)

// identity is the pod's key and certificate. They are stored in a directory in memory, so
// a restarted program has them while the operator is down.
type identity struct {
	id                proxyidentity.Identity
	dir               string
	caFile, tokenFile string

	mu          sync.Mutex
	certificate *tls.Certificate
	// learned holds the authorities that the operator sent with the last certificate.
	learned []byte
	// has is closed once a certificate exists.
	has     chan struct{}
	hasOnce sync.Once
	// refused has an element if the operator refused the certificate.
	refused chan struct{}
}

const (
	certificateFile = "identity.crt"
	keyFile         = "identity.key"
	authoritiesFile = "authorities.crt"
)

// newIdentity reads the stored certificate, if it is still valid.
func newIdentity(id proxyidentity.Identity, dir, caFile, tokenFile string) *identity {
	i := &identity{id: id, dir: dir, caFile: caFile, tokenFile: tokenFile, has: make(chan struct{}), refused: make(chan struct{}, 1)}
	i.learned, _ = os.ReadFile(filepath.Join(dir, authoritiesFile))
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, certificateFile), filepath.Join(dir, keyFile))
	if err == nil && time.Now().Before(pair.Leaf.NotAfter) && len(pair.Leaf.URIs) == 1 && pair.Leaf.URIs[0].String() == id.URI().String() {
		i.certificate = &pair
		i.hasOnce.Do(func() { close(i.has) })
	}
	return i
}

// current returns the certificate, or nil.
func (i *identity) current() *tls.Certificate {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.certificate
}

// authorities returns the trusted authorities: those in the pod's CA file, and those that
// the operator sent.
func (i *identity) authorities() (*x509.CertPool, error) {
	given, err := os.ReadFile(i.caFile)
	if err != nil {
		return nil, fmt.Errorf("read the trusted authorities: %w", err)
	}
	i.mu.Lock()
	learned := i.learned
	i.mu.Unlock()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(given) {
		return nil, fmt.Errorf("%s has no certificate in PEM format: add the operator's certificate authority", i.caFile)
	}
	pool.AppendCertsFromPEM(learned)
	return pool, nil
}

// clientTLS returns the configuration of a connection to the operator.
func (i *identity) clientTLS(serverName string, withCertificate bool) (*tls.Config, error) {
	pool, err := i.authorities()
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: pool, ServerName: serverName, MinVersion: tls.VersionTLS13}
	if c := i.current(); c != nil && withCertificate {
		config.Certificates = []tls.Certificate{*c}
	}
	return config, nil
}

// serverTLS returns the configuration of the pod's own server, which only the operator
// may call.
func (i *identity) serverTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			own := i.current()
			if own == nil {
				return nil, errors.New("the pod has no certificate yet")
			}
			pool, err := i.authorities()
			if err != nil {
				return nil, err
			}
			return &tls.Config{
				MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*own},
				ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, SessionTicketsDisabled: true,
				VerifyConnection: func(s tls.ConnectionState) error {
					if uris := s.PeerCertificates[0].URIs; len(uris) != 1 || !proxyidentity.IsOperator(uris[0]) {
						return errors.New("the client is not the operator")
					}
					return nil
				},
			}, nil
		},
	}
}

// renew gets a new certificate from the operator.
func (i *identity) renew(ctx context.Context, d *dialer) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return err
	}
	token, err := os.ReadFile(i.tokenFile)
	if err != nil {
		return fmt.Errorf("read the pod's token: %w", err)
	}
	request := &exchange.Request{Token: string(bytes.TrimSpace(token)), Namespace: i.id.Namespace, Pod: i.id.Pod, CSR: csr}
	// A certificate that is still valid renews itself if the token was used up.
	withCertificate := i.current() != nil
	response, err := i.sign(ctx, d, request, withCertificate)
	if err != nil && withCertificate {
		var again error
		if response, again = i.sign(ctx, d, request, false); again == nil {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	return i.take(response, key)
}

func (i *identity) sign(ctx context.Context, d *dialer, r *exchange.Request, withCertificate bool) (*exchange.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := d.conn(withCertificate)
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // nothing was written
	return exchange.Sign(ctx, conn, r)
}

// take checks and stores a new certificate.
func (i *identity) take(r *exchange.Response, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	pair, err := tls.X509KeyPair(r.Certificate, keyPEM)
	if err != nil {
		return fmt.Errorf("the operator's certificate is not for the pod's key: %w", err)
	}
	if uris := pair.Leaf.URIs; len(uris) != 1 || uris[0].String() != i.id.URI().String() {
		return fmt.Errorf("the operator identifies this pod as %v, but it was started as %s: check the flags --namespace, --kind, --name and --pod", uris, i.id)
	}
	i.mu.Lock()
	i.certificate, i.learned = &pair, r.CA
	i.mu.Unlock()
	i.hasOnce.Do(func() { close(i.has) })
	return errors.Join(
		writeFile(filepath.Join(i.dir, authoritiesFile), r.CA),
		writeFile(filepath.Join(i.dir, keyFile), keyPEM),
		writeFile(filepath.Join(i.dir, certificateFile), r.Certificate))
}

const (
	minRenewBackoff = 500 * time.Millisecond
	maxRenewBackoff = time.Minute
	// Minimum time before a rejected certificate is renewed; it doubles each time.
	minRefused = 3 * time.Second
	maxRefused = 10 * time.Minute
)

// suspect triggers a renewal of the certificate if err is the operator's rejection of it:
// its authority was replaced immediately, or the certificate expired while this host was
// suspended.
func (i *identity) suspect(err error) {
	// gRPC returns an alert of the peer only as text.
	if status.Code(err) != codes.Unauthenticated && !strings.Contains(err.Error(), "remote error: tls: ") {
		return
	}
	select {
	case i.refused <- struct{}{}:
	default:
	}
}

// renewal decides when a certificate must be renewed.
type renewal struct {
	// got is when the pod got it, and refusals the number of consecutive rejected ones
	// before it.
	got      time.Time
	refusals int
}

// wait waits until the certificate must be renewed: regularly, or because it was
// rejected. It returns false if ctx ends first.
func (r *renewal) wait(ctx context.Context, c *x509.Certificate, refused <-chan struct{}) bool {
	t := time.NewTimer(untilRenewal(c, time.Now()))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-t.C:
			r.refusals = 0
			return true
		case <-refused:
		}
		switch kept := time.Since(r.got); {
		case kept >= maxRefused:
			r.refusals = 1
			return true
		case kept >= minRefused<<min(r.refusals, 16):
			r.refusals++
			return true
		}
	}
}

// maintain requests a certificate and renews it after two thirds of its lifetime, or when
// the operator rejects it, until ctx ends. It calls got after each.
func (i *identity) maintain(ctx context.Context, d *dialer, got func()) {
	logger := klog.FromContext(ctx)
	if i.current() != nil {
		got()
	}
	var r renewal
	for failures := 0; ; {
		if c := i.current(); c != nil && failures == 0 && !r.wait(ctx, c.Leaf, i.refused) {
			return
		}
		err := i.renew(ctx, d)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			failures, r.got = 0, time.Now()
			got()
			continue
		}
		if failures++; failures == 1 || failures%10 == 0 {
			logger.Info("Could not get a certificate from the operator, trying again", "operator", d.address, "err", err.Error())
		}
		if !sleep(ctx, backoff(failures-1, minRenewBackoff, maxRenewBackoff)) {
			return
		}
	}
}

// untilRenewal returns the delay before a certificate is renewed: two thirds of its
// lifetime, minus up to a tenth so that pods do not synchronize.
func untilRenewal(c *x509.Certificate, now time.Time) time.Duration {
	life := c.NotAfter.Sub(c.NotBefore)
	early := time.Duration(mathrand.Float64() * float64(life) / 10) //nolint:gosec // jitter needs no secrecy
	return c.NotBefore.Add(life*2/3 - early).Sub(now)
}
