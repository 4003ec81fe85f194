// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"k8s.io/klog/v2"
)

// agent is the program.
type agent struct {
	options    Options
	counters   *counters
	identity   *identity
	store      *store
	relay      *relay
	admin      *admin
	supervisor *supervisor
	draining   atomic.Bool
}

// Run runs the program until ctx ends, and then drains Envoy until kill ends. It forwards
// signals from forward to Envoy.
func Run(ctx, kill context.Context, o Options, forward <-chan os.Signal) error {
	if err := o.Validate(); err != nil {
		return err
	}
	a, err := newAgent(o)
	if err != nil {
		return err
	}
	return a.run(ctx, kill, forward)
}

func (a *agent) run(ctx, kill context.Context, forward <-chan os.Signal) error {
	// Everything continues to run while Envoy drains.
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var background sync.WaitGroup
	if err := a.serve(working, &background); err != nil {
		return err
	}
	if err := a.writeBootstrap(); err != nil {
		return err
	}
	background.Go(func() { a.store.run(working) })
	background.Go(func() { a.identity.maintain(working, a.relay.dialer, a.relay.renew) })
	if os.Getpid() == 1 {
		background.Go(func() {
			reap(working, func() int { pid, _ := a.supervisor.state(); return pid })
		})
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.supervisor.run(working)
	}()
	for done := false; !done; {
		select {
		case <-ctx.Done():
			done = true
		case s := <-forward:
			a.supervisor.signal(s)
		}
	}
	a.drain(kill)
	a.supervisor.stop(ended)
	stop()
	background.Wait()
	return nil
}

func newAgent(o Options) (*agent, error) {
	a := &agent{options: o, counters: &counters{}}
	own := filepath.Join(o.Dir, identityDir)
	if err := os.MkdirAll(own, 0o700); err != nil {
		return nil, fmt.Errorf("--dir: %w", err)
	}
	var err error
	kept := filepath.Join(cmp.Or(o.KeepDir, o.Dir), resourcesDir)
	secrets := kept
	if !o.KeepKeys {
		secrets = filepath.Join(o.Dir, resourcesDir)
	}
	if a.store, err = openStore(kept, secrets); err != nil {
		return nil, fmt.Errorf("--keep-dir: %w", err)
	}
	a.identity = newIdentity(o.Identity, own, o.CAFile, o.TokenFile)
	d := &dialer{address: o.Operator, serverName: o.ServerName, identity: a.identity, counters: a.counters}
	a.relay = newRelay(d, a.store)
	a.admin = newAdmin(filepath.Join(o.Dir, adminSocket))
	a.supervisor = &supervisor{
		path: o.Envoy, arguments: arguments(filepath.Join(o.Dir, bootstrapFile), o.EnvoyLogLevel, o.Concurrency),
		stdout: o.Stdout, stderr: o.Stderr, counters: a.counters,
	}
	return a, nil
}

func (a *agent) writeBootstrap() error {
	content, err := a.options.Bootstrap(Bootstrap{
		Identity:  a.options.Identity,
		XDSSocket: filepath.Join(a.options.Dir, xdsSocket), AdminSocket: filepath.Join(a.options.Dir, adminSocket),
		MemoryLimit: memoryLimit(controlGroupFile),
	})
	if err != nil {
		return fmt.Errorf("create Envoy's bootstrap configuration: %w", err)
	}
	return writeFile(filepath.Join(a.options.Dir, bootstrapFile), content)
}

// serve starts the servers: for Envoy, for people and the operator, and for probes. They
// have closed, and removed their sockets, when background is done.
func (a *agent) serve(ctx context.Context, background *sync.WaitGroup) error {
	xds, err := listen(ctx, "unix:"+filepath.Join(a.options.Dir, xdsSocket))
	if err != nil {
		return err
	}
	g := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.ReadBufferSize(8<<10), grpc.WriteBufferSize(8<<10),
		// The kernel closes the connection of an Envoy that exits. One that hangs keeps its
		// stream, so the operator sees that it does not answer.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: math.MaxInt64}))
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, a.relay)
	go func() { _ = g.Serve(xds) }()
	background.Go(func() {
		<-ctx.Done()
		g.Stop()
	})

	private := http.NewServeMux()
	private.Handle("/", a.probes())
	private.HandleFunc("GET /config", a.serveConfig)
	if err := a.serveHTTP(ctx, background, "unix:"+filepath.Join(a.options.Dir, agentSocket), private, nil); err != nil {
		return err
	}
	if a.options.BindAddress != "" {
		if err := a.serveHTTP(ctx, background, a.options.BindAddress, a.probes(), nil); err != nil {
			return fmt.Errorf("--bind-address: %w", err)
		}
	}
	if a.options.ConfigAddress != "" {
		if err := a.serveHTTP(ctx, background, a.options.ConfigAddress, private, a.identity.serverTLS()); err != nil {
			return fmt.Errorf("--config-address: %w", err)
		}
	}
	return nil
}

// serveHTTP serves in the background until ctx ends.
func (a *agent) serveHTTP(ctx context.Context, background *sync.WaitGroup, address string, h http.Handler, config *tls.Config) error {
	l, err := listen(ctx, address)
	if err != nil {
		return err
	}
	if config != nil {
		l = tls.NewListener(l, config)
	}
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		// Failed handshakes are caused by clients.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	go func() {
		if err := s.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			klog.FromContext(ctx).Error(err, "A server ended", "address", address)
		}
	}()
	background.Go(func() {
		<-ctx.Done()
		_ = s.Close()
	})
	return nil
}

// listen listens on ADDRESS:PORT or unix:PATH. It replaces the socket of an earlier run;
// only this user may connect to it.
func listen(ctx context.Context, address string) (net.Listener, error) {
	path, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		return (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	}
	if err := removeFile(path); err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	return l, os.Chmod(path, 0o600)
}
