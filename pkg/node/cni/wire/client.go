// SPDX-License-Identifier: Apache-2.0

package wire

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
)

// Client is a client of the node program.
type Client struct {
	// Socket is the path of its socket.
	Socket string
	// Timeout limits one request.
	Timeout time.Duration
}

// Call sends one request and reads its response. Failures to reach the node program are
// marked as temporary.
func (c Client) Call(ctx context.Context, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	// The host name is ignored.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://epic-node"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", c.Socket)
		},
		DisableKeepAlives: true,
	}
	answer, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return Again("the node program does not respond at %s (%v): EPIC's proxies start when it is running again", c.Socket, errors.Unwrap(err))
	}
	defer func() { _ = answer.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(answer.Body, MaxBody))
	if err != nil {
		return Again("the node program's response is truncated (%v)", err)
	}
	switch answer.StatusCode {
	case http.StatusOK:
		if err := json.Unmarshal(data, out); err != nil {
			return fmt.Errorf("cannot decode the node program's response: %w", err)
		}
		return nil
	case http.StatusNotFound:
		return Again("the node program does not support %s: it has another version than the plugin, and one of them is about to be replaced", path)
	}
	var f RefusalError
	if err := json.Unmarshal(data, &f); err != nil || f.Message == "" {
		return Again("the node program responded with %s", answer.Status)
	}
	return &f
}
