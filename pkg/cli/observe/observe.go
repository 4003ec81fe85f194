// SPDX-License-Identifier: Apache-2.0

// Package observe serves a program's metrics and health checks over HTTP.
package observe

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"k8s.io/apiserver/pkg/server/healthz"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // metrics of the client and of leader election
	_ "k8s.io/component-base/metrics/prometheus/version"  // metric of the build
	"k8s.io/klog/v2"
)

const (
	headerTimeout = 10 * time.Second
	closeTimeout  = 2 * time.Second
)

// servePlain serves checks at --bind-address over HTTP until stop is called, and also
// metrics unless they are nil.
func servePlain(ctx context.Context, address string, metrics http.Handler, live, ready []healthz.HealthChecker) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--bind-address: %w", err)
	}
	mux := http.NewServeMux()
	healthz.InstallHandler(mux, live...)
	healthz.InstallLivezHandler(mux, live...)
	healthz.InstallReadyzHandler(mux, ready...)
	if metrics != nil {
		mux.Handle("/metrics", metrics)
	}
	klog.FromContext(ctx).Info("Serving metrics and health checks", "address", listener.Addr().String())
	return serve(ctx, listener, mux), nil
}

// serve serves requests until stop is called.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) (stop func()) {
	logger := klog.FromContext(ctx)
	server := &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout}
	// Handshake errors are caused by clients, which could fill the log.
	server.ErrorLog = klogDebug(logger)
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error(err, "Metrics and health checks are no longer served", "address", listener.Addr().String())
		}
	}()
	return func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if err := server.Shutdown(closing); err != nil {
			_ = server.Close() // cut off the remaining connections
		}
	}
}

// klogDebug writes the lines of net/http's log as messages of verbosity 4.
func klogDebug(logger klog.Logger) *log.Logger {
	return log.New(debugWriter{logger.V(4)}, "", 0)
}

type debugWriter struct{ logger klog.Logger }

func (w debugWriter) Write(line []byte) (int, error) {
	w.logger.Info("HTTP server", "message", strings.TrimSpace(string(line)))
	return len(line), nil
}
