// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/component-base/tracing"
)

const (
	// A dead etcd member is detected after at most the sum of both.
	keepAliveTime    = 30 * time.Second
	keepAliveTimeout = 10 * time.Second

	// maxReconnect bounds the wait between two attempts to connect to an etcd member. By
	// default it grows to two minutes while etcd is down, and the API stays down for as
	// long once etcd is back.
	maxReconnect = 2 * time.Second
	// connectTimeout is how long one attempt may take.
	connectTimeout = 20 * time.Second

	// Maximum size of a response of etcd; etcd's own limit for requests is smaller.
	maxReceive = 1 << 30
)

// clientMetrics returns the collector of the gRPC client's metrics. The storage factory
// of k8s.io/apiserver registers one, and the registry refuses a second one with the same
// name.
var clientMetrics = sync.OnceValues(func() (*grpcprom.ClientMetrics, error) {
	m := grpcprom.NewClientMetrics()
	err := legacyregistry.Registerer().Register(m)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if existing, ok := already.ExistingCollector.(*grpcprom.ClientMetrics); ok {
			return existing, nil
		}
	}
	return m, err
})

// newEtcdClient connects to etcd and waits until it responds or ctx ends.
func newEtcdClient(ctx context.Context, t storagebackend.TransportConfig) (*kubernetes.Client, error) {
	cfg := clientv3.Config{
		Endpoints:            t.ServerList,
		DialKeepAliveTime:    keepAliveTime,
		DialKeepAliveTimeout: keepAliveTimeout,
		MaxCallRecvMsgSize:   maxReceive,
		Logger:               zap.NewNop(),
	}
	if t.CertFile != "" || t.KeyFile != "" || t.TrustedCAFile != "" {
		info := transport.TLSInfo{CertFile: t.CertFile, KeyFile: t.KeyFile, TrustedCAFile: t.TrustedCAFile}
		tlsConfig, err := info.ClientConfig()
		if err != nil {
			return nil, fmt.Errorf("etcd client certificate %s, key %s, CA %s: %w", t.CertFile, t.KeyFile, t.TrustedCAFile, err)
		}
		cfg.TLS = tlsConfig
	}
	m, err := clientMetrics()
	if err != nil {
		return nil, fmt.Errorf("register the etcd client's metrics: %w", err)
	}
	traces := []otelgrpc.Option{otelgrpc.WithPropagators(tracing.Propagators())}
	if t.TracerProvider != nil {
		traces = append(traces, otelgrpc.WithTracerProvider(t.TracerProvider))
	}
	reconnect := grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: connectTimeout}
	reconnect.Backoff.MaxDelay = maxReconnect
	cfg.DialOptions = []grpc.DialOption{
		grpc.WithConnectParams(reconnect),
		grpc.WithChainUnaryInterceptor(m.UnaryClientInterceptor()),
		grpc.WithChainStreamInterceptor(m.StreamClientInterceptor()),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler(traces...)),
	}
	client, err := kubernetes.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to etcd at %s: %w", strings.Join(t.ServerList, ","), err)
	}
	// Any response will do. No program uses the key.
	if _, err := client.Get(ctx, "health", kubernetes.GetOptions{}); err != nil {
		return nil, errors.Join(fmt.Errorf("etcd at %s does not respond: %w", strings.Join(t.ServerList, ","), err), client.Close())
	}
	client.KV = etcd3.NewETCDLatencyTracker(client.KV)
	return client, nil
}
