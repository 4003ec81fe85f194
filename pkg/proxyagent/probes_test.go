// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"testing"
)

// probe returns the status of a call on the program's own socket.
func probe(t *testing.T, dir, path string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, agentSocket))
	}}}
	response, err := client.Get("http://epic" + path)
	if err != nil {
		return err.Error()
	}
	response.Body.Close()
	return response.Status
}
