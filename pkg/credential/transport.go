// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
)

// ErrNone is the error of requests before a credential is set.
var ErrNone = errors.New("no credential for EPIC's API yet")

// Transport sends requests to the server of its credential, with that credential. Another
// credential takes effect with the next request; open connections and watches continue.
type Transport struct {
	current      atomic.Pointer[target]
	unauthorized chan struct{}
}

type target struct {
	credential *Credential
	base       *url.URL
	send       http.RoundTripper
}

// NewTransport returns a Transport without a credential: its requests fail with ErrNone.
func NewTransport() *Transport { return &Transport{unauthorized: make(chan struct{}, 1)} }

// Set replaces the credential.
func (t *Transport) Set(c *Credential) error {
	base, _, err := rest.DefaultServerUrlFor(c.Config)
	if err != nil {
		return err
	}
	// Transports with the same TLS settings share their connections.
	send, err := rest.TransportFor(c.Config)
	if err != nil {
		return err
	}
	t.current.Store(&target{c, base, send})
	return nil
}

// Credential returns the current credential, or nil if there is none yet.
func (t *Transport) Credential() *Credential {
	if now := t.current.Load(); now != nil {
		return now.credential
	}
	return nil
}

// Expires returns when the current credential expires, or zero if there is none or that
// is unknown.
func (t *Transport) Expires() time.Time {
	if c := t.Credential(); c != nil {
		return c.Expires
	}
	return time.Time{}
}

// Unauthorized returns a channel that receives after the server rejected the credential.
func (t *Transport) Unauthorized() <-chan struct{} { return t.unauthorized }

// Config returns a configuration for clients that use this transport.
func (t *Transport) Config() *rest.Config {
	// The name is never resolved.
	return &rest.Config{Host: "https://epic.invalid", Transport: t}
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	now := t.current.Load()
	if now == nil {
		return nil, ErrNone
	}
	request = request.Clone(request.Context())
	request.URL.Scheme, request.URL.Host = now.base.Scheme, now.base.Host
	if prefix := strings.TrimSuffix(now.base.Path, "/"); prefix != "" {
		request.URL.Path = prefix + request.URL.Path
		if request.URL.RawPath != "" {
			request.URL.RawPath = strings.TrimSuffix(now.base.EscapedPath(), "/") + request.URL.RawPath
		}
	}
	request.Host = ""
	response, err := now.send.RoundTrip(request)
	if err == nil && response.StatusCode == http.StatusUnauthorized {
		select {
		case t.unauthorized <- struct{}{}:
		default:
		}
	}
	return response, err
}
