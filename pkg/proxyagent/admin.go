// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// admin calls Envoy's administration interface on its unix socket.
type admin struct {
	client *http.Client
}

func newAdmin(socket string) *admin {
	return &admin{client: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
		// The next call may reach another Envoy.
		DisableKeepAlives: true,
	}}}
}

func (a *admin) do(ctx context.Context, method, path string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://envoy"+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	return a.client.Do(r)
}

// call sends a short request and returns the response.
func (a *admin) call(ctx context.Context, method, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	response, err := a.do(ctx, method, path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close() //nolint:errcheck // read only
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("Envoy responded to %s with %s: %.200s", path, response.Status, body)
	}
	return string(body), nil
}

// live reports whether Envoy serves.
func (a *admin) live(ctx context.Context) bool {
	text, err := a.call(ctx, http.MethodGet, "/ready")
	return err == nil && strings.TrimSpace(text) == "LIVE"
}

// connections returns the number of connections and UDP sessions of Envoy's listeners. It
// uses the statistics of listeners, which are current: server.total_connections is only
// updated by a flush.
func (a *admin) connections(ctx context.Context) (int, error) {
	text, err := a.call(ctx, http.MethodGet, "/stats?type=Gauges&format=json&filter="+url.QueryEscape(`^(listener\..*\.downstream_cx_active|udp\..*\.downstream_sess_active)$`))
	if err != nil {
		return 0, err
	}
	var answer struct {
		Stats []struct {
			Name  string `json:"name"`
			Value int    `json:"value"`
		} `json:"stats"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return 0, err
	}
	n := 0
	for _, s := range answer.Stats {
		if !strings.HasPrefix(s.Name, "listener.admin.") && !strings.Contains(s.Name, ".worker_") {
			n += s.Value
		}
	}
	return n, nil
}

// drain makes Envoy ask its clients to close their connections, and continue to serve
// them.
func (a *admin) drain(ctx context.Context) error {
	_, err := a.call(ctx, http.MethodPost, "/drain_listeners?graceful")
	return err
}
