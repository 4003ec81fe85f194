// SPDX-License-Identifier: Apache-2.0

// Package observe serves a program's metrics and health checks over HTTP.
package observe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
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

// Serve serves metrics, and the checks whether the program is alive and ready, at the
// address of --bind-address until stop is called. An empty address is nowhere.
func Serve(ctx context.Context, address string, metrics http.Handler, live, ready []healthz.HealthChecker) (stop func(), err error) {
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
	mux.Handle("/metrics", metrics)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout}
	logger := klog.FromContext(ctx)
	logger.Info("Serving metrics and health checks", "address", listener.Addr().String())
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error(err, "Metrics and health checks are not served any more")
		}
	}()
	return func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if err := server.Shutdown(closing); err != nil {
			_ = server.Close() // whoever is left is cut off
		}
	}, nil
}
