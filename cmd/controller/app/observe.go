// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/component-base/metrics/legacyregistry"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"  // metrics of the client and of leader election
	_ "k8s.io/component-base/metrics/prometheus/version"   // metric of the build
	_ "k8s.io/component-base/metrics/prometheus/workqueue" // metrics of the queues
	"k8s.io/klog/v2"
)

const (
	headerTimeout = 10 * time.Second
	closeTimeout  = 2 * time.Second
)

// observe serves metrics and health checks at an address until stop is called.
func observe(ctx context.Context, address string, live, ready []healthz.HealthChecker) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--bind-address: %w", err)
	}
	mux := http.NewServeMux()
	healthz.InstallHandler(mux, live...)
	healthz.InstallLivezHandler(mux, live...)
	healthz.InstallReadyzHandler(mux, ready...)
	mux.Handle("/metrics", legacyregistry.Handler())
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
