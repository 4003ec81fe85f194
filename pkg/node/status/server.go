// SPDX-License-Identifier: Apache-2.0

package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/acnodal/epic/pkg/dataplane"
)

// DefaultSocket is the status socket of a node program.
const DefaultSocket = "/run/epic/status.sock"

// ServeSocket serves "epic-node status" and "epic-node trace" until the context ends.
// Only root can access the socket.
func ServeSocket(ctx context.Context, path string, source Source) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	// A killed program leaves its socket. The caller holds the node's lock, so no other
	// program uses it.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("status socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(err, listener.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// A reader that closes the connection is not an error.
		_ = json.NewEncoder(w).Encode(source.Report())
	})
	mux.HandleFunc("GET /trace/{tunnel}", func(w http.ResponseWriter, r *http.Request) { trace(w, r, source) })
	return serve(ctx, listener, mux)
}

func trace(w http.ResponseWriter, r *http.Request, source Source) {
	id, err := strconv.ParseUint(r.PathValue("tunnel"), 10, 31)
	if err != nil || id == 0 {
		http.Error(w, fmt.Sprintf("%q is not a tunnel ID: specify a number from 1 to 2147483647", r.PathValue("tunnel")), http.StatusBadRequest)
		return
	}
	if !ends(source, uint32(id)) {
		http.Error(w, fmt.Sprintf("no tunnel %d ends on this node: \"epic-node status\" lists those that do", id), http.StatusNotFound)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	gone := make(chan struct{})
	go func() {
		defer cancel()
		for next := time.NewTicker(lookAtTraced); ; {
			select {
			case <-ctx.Done():
				return
			case <-next.C:
			}
			if !ends(source, uint32(id)) {
				close(gone)
				return
			}
		}
	}()
	flusher := http.NewResponseController(w)
	w.Header().Set("Trailer", traceError)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	_ = flusher.Flush()
	err = source.Trace(ctx, uint32(id), func(e dataplane.TraceEvent) {
		fmt.Fprintln(w, e.Text)
		_ = flusher.Flush()
	})
	select {
	case <-gone:
		err = fmt.Errorf("tunnel %d was removed", id)
	default:
	}
	if err != nil && r.Context().Err() == nil {
		w.Header().Set(traceError, err.Error())
	}
}

// traceError is the trailer that explains why a trace ended.
const traceError = "Trace-Error"

// lookAtTraced is the interval at which the server checks whether a traced tunnel still
// exists. Tests change it.
var lookAtTraced = 5 * time.Second

// ends reports whether a tunnel ends on this node.
func ends(source Source, id uint32) bool {
	r := source.Report()
	return slices.ContainsFunc(r.Tunnels, func(t Tunnel) bool { return t.ID == id })
}

// ServeHTTP serves /healthz and /readyz, and /metrics if metrics are set, until the
// context ends.
func ServeHTTP(ctx context.Context, address string, source Source, metrics http.Handler) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("serve metrics: %w", err)
	}
	mux := http.NewServeMux()
	if metrics != nil {
		mux.Handle("GET /metrics", metrics)
	}
	mux.HandleFunc("GET /healthz", probe(source.Healthy))
	mux.HandleFunc("GET /readyz", probe(source.Ready))
	return serve(ctx, listener, mux)
}

func probe(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := check(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	}
}

func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Client is a client of a node program.
type Client struct {
	http   *http.Client
	socket string
}

// NewClient returns a client for the program at a socket.
func NewClient(socket string) *Client {
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}
}

func (c *Client) get(ctx context.Context, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://epic-node"+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("only root may query the node program at %s", c.socket)
	}
	if err != nil {
		return nil, fmt.Errorf("no node program responds at %s: check that it is running, and with which %s: %w", c.socket, socketFlag, err)
	}
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
		return nil, errors.Join(errors.New(strings.TrimSpace(string(text))), response.Body.Close())
	}
	return response, nil
}

// Report returns the report of the program.
func (c *Client) Report(ctx context.Context) (Report, error) {
	var r Report
	response, err := c.get(ctx, "/status")
	if err != nil {
		return r, err
	}
	err = json.NewDecoder(response.Body).Decode(&r)
	return r, errors.Join(err, response.Body.Close())
}

// Trace writes the packets of a tunnel until the context ends. It fails if the tunnel
// does not end on the node, or no longer does.
func (c *Client) Trace(ctx context.Context, tunnel string, to io.Writer) error {
	response, err := c.get(ctx, "/trace/"+url.PathEscape(tunnel))
	if err != nil {
		return err
	}
	_, err = io.Copy(to, response.Body)
	if reason := response.Trailer.Get(traceError); reason != "" {
		err = fmt.Errorf("the trace ended: %s", reason)
	}
	if ctx.Err() != nil {
		err = nil
	}
	return errors.Join(err, response.Body.Close())
}
