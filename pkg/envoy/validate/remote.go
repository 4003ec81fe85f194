// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

const (
	checkPath = "/check"
	// maxQuestion limits a request, and maxAnswer the response.
	maxQuestion, maxAnswer = 128 << 20, 16 << 20
	headerTimeout          = 10 * time.Second
)

// inquiry and reply are the messages between a Client and Serve.
type inquiry struct {
	Resources []*resource.Resource `json:"resources"`
}

type reply struct {
	Refused []refusedResource `json:"refused,omitempty"`
	Error   string            `json:"error,omitempty"`
}

type refusedResource struct {
	Key  resource.Key `json:"key"`
	Text string       `json:"text"`
}

// Serve serves clients on a listener until ctx ends.
func Serve(ctx context.Context, l net.Listener, c Checker) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+checkPath, func(w http.ResponseWriter, r *http.Request) {
		var in inquiry
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuestion)).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		refused, err := c.Check(r.Context(), in.Resources...)
		var out reply
		for key, text := range refused {
			out.Refused = append(out.Refused, refusedResource{key, text})
		}
		if err != nil {
			out.Error = err.Error()
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(&out) // the client detects a truncated response
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout, BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) }}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Client is a Checker that uses Serve on a unix socket. The process there can run with
// less memory and without credentials: it reads tenants' data.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient returns a client for the socket.
func NewClient(socket string) *Client {
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		MaxIdleConnsPerHost: 16,
	}}}
}

// Connected waits until a server responds on the socket. It returns false if ctx ends
// first.
func (c *Client) Connected(ctx context.Context) bool {
	const interval = 50 * time.Millisecond
	return wait.PollUntilContextCancel(ctx, interval, true, func(ctx context.Context) (bool, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", c.socket)
		if err != nil {
			return false, nil //nolint:nilerr // it does not exist yet
		}
		return true, conn.Close()
	}) == nil
}

// Check implements Checker.
func (c *Client) Check(ctx context.Context, resources ...*resource.Resource) (map[resource.Key]string, error) {
	var in inquiry
	for _, r := range resources {
		if checked(r.Type) {
			in.Resources = append(in.Resources, r)
		}
	}
	if len(in.Resources) == 0 {
		return nil, nil
	}
	body, err := json.Marshal(&in)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://validator"+checkPath, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("query the validator at %s: %w", c.socket, err)
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("query the validator at %s: %w", c.socket, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the validator at %s responded with %s: %.200s", c.socket, response.Status, answer)
	}
	var out reply
	if err := json.Unmarshal(answer, &out); err != nil {
		return nil, fmt.Errorf("cannot decode the response of the validator at %s: %w", c.socket, err)
	}
	refused := make(map[resource.Key]string, len(out.Refused))
	for _, r := range out.Refused {
		refused[r.Key] = r.Text
	}
	if out.Error != "" {
		return refused, errors.New(out.Error)
	}
	return refused, nil
}
