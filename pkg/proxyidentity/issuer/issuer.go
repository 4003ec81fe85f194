// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/proxyidentity/exchange"
)

const (
	// maxConcurrent limits the calls that are checked concurrently. Others wait.
	maxConcurrent = 64
	// timeout limits each call.
	timeout = 15 * time.Second
)

// Issuer signs certificates. It implements exchange.Signer.
type Issuer struct {
	authenticator Authenticator
	credentials   *Credentials
	slots         chan struct{}
}

// New returns an issuer that signs with the credentials' authority.
func New(a Authenticator, c *Credentials) *Issuer {
	return &Issuer{authenticator: a, credentials: c, slots: make(chan struct{}, maxConcurrent)}
}

// Sign implements exchange.Signer.
func (i *Issuer) Sign(ctx context.Context, r *exchange.Request) (*exchange.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case i.slots <- struct{}{}:
		defer func() { <-i.slots }()
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	logger := klog.FromContext(ctx)
	e := Evidence{Token: r.Token, Namespace: r.Namespace, Pod: r.Pod, Remote: remote(ctx)}
	if id, _, err := i.credentials.identity(ctx); err == nil {
		e.Certificate = &id
	}
	id, err := i.authenticator.Authenticate(ctx, e)
	if err == nil {
		var certificate []byte
		now := time.Now()
		authority := i.credentials.Authority()
		if certificate, err = authority.SignProxy(r.CSR, id, now); err == nil {
			issued.Inc()
			logger.V(2).Info("Issued a certificate", "proxy", id.Proxy, "pod", id.Pod)
			return &exchange.Response{Certificate: certificate, CA: authority.Bundle()}, nil
		}
		err = refuse(BadRequest, "%s", err)
	}
	reason, refused := ReasonOf(err)
	if !refused {
		failed.Inc()
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	refusals.WithLabelValues(string(reason)).Inc()
	logger.Info("Refused a certificate", "reason", reason, "text", err.Error(), "remote", e.Remote)
	return nil, status.Error(codes.PermissionDenied, err.Error())
}
