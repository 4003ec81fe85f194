// SPDX-License-Identifier: Apache-2.0

package nodeexchange

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acnodal/epic/pkg/credential"
)

// connector gives credentials that are valid for an hour, unless it fails.
type connector struct {
	asked  atomic.Int64
	fails  atomic.Bool
	token  atomic.Value
	moved  atomic.Bool
	server *httptest.Server
}

func (c *connector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := c.asked.Add(1)
	c.token.Store(r.Header.Get("Authorization"))
	if c.fails.Load() || r.URL.Path != Path || r.Method != http.MethodPost {
		http.Error(w, "EPIC does not answer", http.StatusServiceUnavailable)
		return
	}
	_ = json.NewEncoder(w).Encode(c.answer(n))
}

func (c *connector) answer(n int64) *Answer {
	now := time.Now()
	payload, _ := json.Marshal(map[string]any{"sub": fmt.Sprint(n), "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()})
	address := "192.0.2.16"
	if c.moved.Load() {
		address = "192.0.2.17"
	}
	return &Answer{Address: address, Kubeconfig: fmt.Appendf(nil, `{"apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {"token": "e30.%s.x"}}],
"contexts": [{"name": "c", "context": {"cluster": "s", "user": "u"}}], "clusters": [{"name": "s", "cluster": {"server": "https://192.0.2.1", "insecure-skip-tls-verify": true}}]}`, base64.RawURLEncoding.EncodeToString(payload))}
}

func newConnector(t *testing.T) (*connector, *Client) {
	t.Helper()
	c := &connector{}
	c.server = httptest.NewTLSServer(c)
	t.Cleanup(c.server.Close)
	dir := t.TempDir()
	client := &Client{URL: c.server.URL, TokenFile: filepath.Join(dir, "token"), CAFile: filepath.Join(dir, "ca.crt"), Transport: credential.NewTransport()}
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.server.Certificate().Raw})
	for file, data := range map[string][]byte{client.TokenFile: []byte("the-pods-token\n"), client.CAFile: authority} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c, client
}

func TestExchange(t *testing.T) {
	c, client := newConnector(t)
	if text := client.Problem(time.Now()); !strings.Contains(text, "not issued a credential") {
		t.Errorf("Before the first exchange: %q", text)
	}
	address, err := client.Exchange(t.Context())
	if err != nil || address != netip.MustParseAddr("192.0.2.16") || client.Transport.Credential() == nil || client.Problem(time.Now()) != "" {
		t.Fatalf("%s, %v, %q", address, err, client.Problem(time.Now()))
	}
	if got := c.token.Load(); got != "Bearer the-pods-token" {
		t.Errorf("It sent %s", got)
	}
	c.fails.Store(true)
	if _, err := client.Exchange(t.Context()); err == nil || !strings.Contains(err.Error(), "EPIC does not answer") {
		t.Errorf("A connector that fails: %v", err)
	}
	// The node continues with the credential that it has, and reports when that ends.
	if text := client.Problem(time.Now()); client.Transport.Credential() == nil || !strings.Contains(text, "can't be renewed yet") {
		t.Errorf("%q", text)
	}
	if text := client.Problem(time.Now().Add(2 * time.Hour)); !strings.Contains(text, "expired") || !strings.Contains(text, "tunnels keep working") {
		t.Errorf("%q", text)
	}
}

// The node shows its token to nobody but the connector.
func TestExchangeVerifies(t *testing.T) {
	_, client := newConnector(t)
	other := &connector{}
	// httptest's servers have one certificate: this one has none that is for its name.
	other.server = httptest.NewTLSServer(other)
	defer other.server.Close()
	client.URL = strings.Replace(other.server.URL, "127.0.0.1", "localhost", 1)
	if _, err := client.Exchange(t.Context()); err == nil || other.asked.Load() > 0 {
		t.Errorf("A certificate for another name: %v", err)
	}
	client.URL = other.server.URL
	if err := os.WriteFile(client.CAFile, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Exchange(t.Context()); err == nil || !strings.Contains(err.Error(), client.CAFile) || other.asked.Load() > 0 {
		t.Errorf("Without an authority: %v", err)
	}
	elsewhere := httptest.NewTLSServer(http.RedirectHandler("https://192.0.2.1", http.StatusTemporaryRedirect))
	defer elsewhere.Close()
	client.URL = elsewhere.URL
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: elsewhere.Certificate().Raw})
	if err := os.WriteFile(client.CAFile, authority, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Exchange(t.Context()); err == nil || !strings.Contains(err.Error(), "307") {
		t.Errorf("A redirect: %v", err)
	}
	client.TokenFile += ".none"
	if _, err := client.Exchange(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Without a token: %v", err)
	}
}

// fake answers exchanges without a network, for a test with a clock of its own.
func fake(c *connector) func(context.Context) (*Answer, error) {
	return func(context.Context) (*Answer, error) {
		n := c.asked.Add(1)
		if c.fails.Load() {
			return nil, errors.New("EPIC does not answer")
		}
		return c.answer(n), nil
	}
}

// A credential is renewed before it ends. If EPIC or the connector is away for longer than
// it is valid, it recovers by itself when they are back.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &connector{}
		client := &Client{Transport: credential.NewTransport(), ask: fake(c)}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- client.Run(ctx, netip.MustParseAddr("192.0.2.16")) }()
		for range 24 * 60 {
			time.Sleep(time.Minute)
			synctest.Wait()
			if has := client.Transport.Credential(); has == nil || time.Until(has.Expires) < 29*time.Minute {
				t.Fatalf("The credential is %+v", has)
			}
		}
		if n := c.asked.Load(); n < 40 || n > 60 {
			t.Errorf("It asked %d times in a day", n)
		}
		c.fails.Store(true)
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		if text := client.Problem(time.Now()); !strings.Contains(text, "expired") {
			t.Errorf("EPIC is away for two days: %q", text)
		}
		c.fails.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if has := client.Transport.Credential(); time.Until(has.Expires) < 50*time.Minute || client.Problem(time.Now()) != "" {
			t.Errorf("EPIC is back: %+v, %q", has, client.Problem(time.Now()))
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A node whose address changed restarts, because everything depends on it.
func TestRunMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &connector{}
		client := &Client{Transport: credential.NewTransport(), ask: fake(c)}
		done := make(chan error, 1)
		go func() { done <- client.Run(t.Context(), netip.MustParseAddr("192.0.2.16")) }()
		time.Sleep(time.Minute)
		c.moved.Store(true)
		if err := <-done; !errors.Is(err, ErrMoved) || !strings.Contains(err.Error(), "192.0.2.17") {
			t.Errorf("%v", err)
		}
	})
}

// A credential that EPIC does not accept any more is replaced at once, but a connector that
// can give no other is not asked all the time.
func TestRunUnauthorized(t *testing.T) {
	refusing := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusUnauthorized) }))
	defer refusing.Close()
	c := &connector{}
	client := &Client{Transport: credential.NewTransport(), ask: func(ctx context.Context) (*Answer, error) {
		answer, err := fake(c)(ctx)
		if err == nil {
			answer.Kubeconfig = []byte(strings.Replace(string(answer.Kubeconfig), "https://192.0.2.1", refusing.URL, 1))
		}
		return answer, err
	}}
	if _, err := client.Exchange(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- client.Run(ctx) }()
	for c.asked.Load() < 2 {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://epic.invalid/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	for range 100 {
		request, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://epic.invalid/", http.NoBody)
		if response, err := client.Transport.RoundTrip(request); err == nil {
			_ = response.Body.Close()
		}
	}
	cancel()
	if err := <-done; err != nil || c.asked.Load() > 3 {
		t.Errorf("It asked %d times, %v", c.asked.Load(), err)
	}
}
