// SPDX-License-Identifier: Apache-2.0

package registrytest

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc/grpclog"
)

// etcdReady is generous, for a busy machine.
const etcdReady = time.Minute

// endpoint is the address of the etcd that the tests of this process share.
var endpoint string

// Main starts etcd, runs the tests of a package and returns their exit code:
//
//	func TestMain(m *testing.M) { os.Exit(registrytest.Main(m)) }
func Main(m *testing.M) int {
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, os.Stderr))
	// A socket's path has to be short.
	dir, err := os.MkdirTemp("", "etcd")
	if err != nil {
		return fail(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	etcd, err := start(dir)
	if err != nil {
		return fail(err)
	}
	defer etcd.Close()
	return m.Run()
}

func fail(err error) int {
	_, _ = fmt.Fprintln(os.Stderr, err)
	return 1
}

// start runs an etcd with default limits on a unix socket. It does not sync to disk,
// because no data has to survive.
func start(dir string) (*embed.Etcd, error) {
	cfg := embed.NewConfig()
	cfg.Dir = filepath.Join(dir, "data")
	cfg.UnsafeNoFsync = true
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	client := url.URL{Scheme: "unix", Path: filepath.Join(dir, "client.sock")}
	peer := url.URL{Scheme: "unix", Path: filepath.Join(dir, "peer.sock")}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	select {
	case <-e.Server.ReadyNotify():
		endpoint = client.String()
		return e, nil
	case <-time.After(etcdReady):
		e.Close()
		return nil, errors.New("etcd does not get ready")
	}
}
