// SPDX-License-Identifier: Apache-2.0

package world

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/acnodal/epic/test/netlab"
)

// ServeHTTP serves requests in a namespace until the context ends.
func ServeHTTP(ctx context.Context, n *netlab.Namespace, address string, handler http.Handler) error {
	listener, err := n.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }()
	return nil
}

// Forwarder passes requests on to a server, from a namespace: it stands for the
// proxy.
func Forwarder(n *netlab.Namespace, to string) http.Handler {
	target := &url.URL{Scheme: "http", Host: to}
	proxy := httputil.NewSingleHostReverseProxy(target)
	// The visitor is told, with status 502.
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	proxy.Transport = &http.Transport{DialContext: n.Dial, ResponseHeaderTimeout: 10 * time.Second}
	return proxy
}

// Client is an HTTP client in a namespace. It opens a connection for each request.
func Client(n *netlab.Namespace) *http.Client {
	return &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{DialContext: n.Dial, DisableKeepAlives: true},
	}
}

// Relay lets the programs in a namespace reach a server of the machine at the same
// address, until the context ends: namespaces have a loopback of their own.
func Relay(ctx context.Context, n *netlab.Namespace, address string) error {
	listener, err := n.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go relay(ctx, conn, address)
		}
	}()
	return nil
}

func relay(ctx context.Context, inside net.Conn, address string) {
	defer func() { _ = inside.Close() }()
	outside, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer func() { _ = outside.Close() }()
	stop := context.AfterFunc(ctx, func() {
		_ = errors.Join(inside.Close(), outside.Close())
	})
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(outside, inside)
		closeWrite(outside)
	}()
	_, _ = io.Copy(inside, outside)
	closeWrite(inside)
	<-done
}

// closeWrite tells the other side that no more comes. If it is gone, it need not
// be told.
func closeWrite(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
