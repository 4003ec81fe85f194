// SPDX-License-Identifier: Apache-2.0

package nodeexchange

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/credential"
)

const (
	// timeout limits one exchange.
	timeout = 20 * time.Second
	// After a failure, the delay is retry, and then twice as long each time.
	retry, retryAtMost = time.Second, 30 * time.Second
	// refused is the minimum time between exchanges triggered by EPIC's rejection of the
	// credential.
	refused = 5 * time.Second
)

// Client requests credentials from a connector and sets them in a transport.
type Client struct {
	// URL is the address of the connector, such as
	// https://epic-connector.epic-connector.svc:7450.
	URL string
	// TokenFile contains the pod's token, CAFile the authorities of the connector's
	// certificate. Both are read for each exchange.
	TokenFile, CAFile string
	Transport         *credential.Transport

	// ask replaces the connector in tests.
	ask func(context.Context) (*Answer, error)

	mu  sync.Mutex
	err error
}

// Exchange requests one credential, sets it, and returns the node's address.
func (c *Client) Exchange(ctx context.Context) (netip.Addr, error) {
	address, err := c.exchange(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	return address, err
}

func (c *Client) exchange(ctx context.Context) (netip.Addr, error) {
	ask := c.ask
	if ask == nil {
		ask = c.post
	}
	answer, err := ask(ctx)
	if err != nil {
		return netip.Addr{}, err
	}
	address, err := netip.ParseAddr(answer.Address)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("the connector's response has no address: %w", err)
	}
	got, err := credential.Parse(answer.Kubeconfig, "/")
	if err != nil {
		return netip.Addr{}, fmt.Errorf("the connector's response has no kubeconfig: %w", err)
	}
	return address, c.Transport.Set(got)
}

func (c *Client) post(ctx context.Context) (*Answer, error) {
	token, err := os.ReadFile(c.TokenFile)
	if err != nil {
		return nil, err
	}
	authorities, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("%s contains no certificate", c.CAFile)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.URL, "/")+Path, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+string(bytes.TrimSpace(token)))
	// Use a separate connection: the next exchange is half an hour away, and may be with
	// another replica whose certificate is signed by another authority.
	client := &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13},
			DisableKeepAlives: true, ForceAttemptHTTP2: true,
		},
		// The token must only be sent to the connector.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, maxText))
		return nil, fmt.Errorf("the connector refuses: %s: %s", response.Status, strings.TrimSpace(string(text)))
	}
	answer := &Answer{}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(answer); err != nil {
		return nil, fmt.Errorf("can't decode the connector's response: %w", err)
	}
	return answer, nil
}

// Err returns the error of the last exchange, or nil if it succeeded.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Problem describes a credential that could not be renewed in time. It is empty if there
// is no problem.
func (c *Client) Problem(now time.Time) string {
	err := c.Err()
	has := c.Transport.Credential()
	switch {
	case has == nil && err == nil:
		return "the connector has not issued a credential for EPIC's API to this node yet"
	case has == nil:
		return fmt.Sprintf("this node has no credential for EPIC's API: %v", err)
	case err == nil:
		return ""
	case !has.Expires.IsZero() && now.After(has.Expires):
		return fmt.Sprintf("this node's credential for EPIC's API expired at %s and can't be renewed; tunnels keep working: %v", has.Expires.UTC().Format(time.RFC3339), err)
	}
	return fmt.Sprintf("this node's credential for EPIC's API expires at %s and can't be renewed yet: %v", has.Expires.UTC().Format(time.RFC3339), err)
}

// ErrMoved is returned if EPIC identifies the node by another address than before.
var ErrMoved = errors.New("the node's address in EPIC has changed")

// Run renews the credential until ctx ends, at half of its lifetime and when EPIC no
// longer accepts it. It returns ErrMoved if the node's address is not one of those given,
// because a program has to restart to use another.
func (c *Client) Run(ctx context.Context, addresses ...netip.Addr) error {
	pause := c.untilRenewal()
	failures := 0
	var last time.Time
	for {
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-c.Transport.Unauthorized():
			timer.Stop()
			if wait := time.Until(last.Add(refused)); wait > 0 {
				// Do not query a connector continuously if EPIC rejects the credentials
				// it returns.
				pause = min(pause, wait)
				continue
			}
		}
		last = time.Now()
		address, err := c.Exchange(ctx)
		if err != nil {
			if failures == 0 && ctx.Err() == nil {
				klog.FromContext(ctx).Error(err, "Can't renew the node's credential, trying again")
			}
			pause = min(retry<<min(failures, 5), retryAtMost)
			pause += time.Duration(rand.Int64N(int64(pause/4) + 1)) //nolint:gosec // spreads the load
			failures++
			continue
		}
		if len(addresses) > 0 && !slices.Contains(addresses, address) {
			return fmt.Errorf("%w: %s; the program must restart", ErrMoved, address)
		}
		klog.FromContext(ctx).V(1).Info("Renewed the node's credential", "expires", c.Transport.Credential().Expires)
		failures, pause = 0, c.untilRenewal()
	}
}

// untilRenewal returns half of the lifetime of the new credential, spread so that the
// nodes of a cluster do not synchronize. It does not depend on this node's clock.
func (c *Client) untilRenewal() time.Duration {
	has := c.Transport.Credential()
	if has == nil {
		return 0
	}
	life := has.Expires.Sub(has.Issued)
	if has.Expires.IsZero() || life <= 0 {
		return time.Hour
	}
	half := life / 2
	return half - time.Duration(rand.Int64N(int64(half/10)+1)) //nolint:gosec // spreads the load
}
