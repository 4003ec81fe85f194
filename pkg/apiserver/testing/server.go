// SPDX-License-Identifier: Apache-2.0

// Package testing starts real EPIC API servers in the process of a test, with their own
// etcd and certificates, on a free port.
//
// It contains no fakes. Tests that do not need a server should test a smaller package.
package testing

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/util/compatibility"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	basecompatibility "k8s.io/component-base/compatibility"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/apiserver/options"
)

const (
	// readyTimeout is generous, for a busy machine.
	readyTimeout = time.Minute
	stopTimeout  = time.Minute
	// watchGracePeriod is short, because a test does not have to wait for watches.
	watchGracePeriod = 2 * time.Second
)

// TestServer is a server in this process.
type TestServer struct {
	// Config is the administrator's client configuration, with all permissions and
	// without a rate limit.
	Config *rest.Config
	// Kubeconfig is the path of a kubeconfig file with the same content, for kubectl.
	Kubeconfig string
	// DataDir holds the server's data and certificates.
	DataDir string

	cancel context.CancelFunc
	done   chan error
	err    error
}

// StartTestServer starts a standalone server and stops it at the end of the test. flags
// add to those that make it standalone and may override them; with --data-dir, the server
// uses the data of an earlier one.
func StartTestServer(t testing.TB, flags ...string) *TestServer {
	t.Helper()
	s, err := Start(t, flags...)
	if err != nil {
		t.Fatalf("The server did not start: %v", err)
	}
	return s
}

// Start is like StartTestServer, but returns an error if the start fails.
func Start(t testing.TB, flags ...string) (*TestServer, error) {
	t.Helper()
	flags = append([]string{"--standalone", "--secure-port=0"}, flags...)
	if !slices.ContainsFunc(flags, func(flag string) bool { return strings.HasPrefix(flag, "--data-dir") }) {
		flags = append(flags, "--data-dir="+shortTempDir(t))
	}
	o, err := NewOptions(flags...)
	if err != nil {
		return nil, err
	}
	s := &TestServer{DataDir: o.Embedded.DataDir, Kubeconfig: o.Standalone.KubeconfigOut, done: make(chan error, 1)}

	var ctx context.Context
	ctx, s.cancel = context.WithCancel(klog.NewContext(context.Background(), klog.Background()))
	server, err := o.NewServer(ctx)
	if err != nil {
		s.cancel()
		return nil, err
	}
	go func() { s.done <- server.Run(ctx) }()
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("The server did not stop well: %v", err)
		}
	})

	if s.Config, err = clientcmd.BuildConfigFromFlags("", s.Kubeconfig); err != nil {
		return nil, err
	}
	s.Config.QPS = -1
	return s, s.waitReady(server.URL)
}

// NewOptions returns complete and valid options for the flags. They share no feature gate
// and no version with another server of this process. Use it for tests that need a
// different server than StartTestServer's.
func NewOptions(flags ...string) (*options.Options, error) {
	registry := basecompatibility.NewComponentGlobalsRegistry()
	if err := registry.Register(basecompatibility.DefaultKubeComponent, compatibility.DefaultBuildEffectiveVersion(), utilfeature.DefaultMutableFeatureGate.DeepCopy()); err != nil {
		return nil, err
	}
	o, err := options.NewOptions(registry)
	if err != nil {
		return nil, err
	}
	fs := pflag.NewFlagSet("epic-apiserver", pflag.ContinueOnError)
	for _, group := range o.Flags().FlagSets {
		fs.AddFlagSet(group)
	}
	// Clients that are part of the test hold watches that nobody else ends.
	o.Run.ShutdownWatchTerminationGracePeriod = watchGracePeriod
	// A test's data need not survive a power cut.
	o.Embedded.UnsafeNoFsync = true
	if err := fs.Parse(flags); err != nil {
		return nil, err
	}
	if o.Standalone.Enabled && o.Standalone.KubeconfigOut == "" {
		o.Standalone.KubeconfigOut = filepath.Join(o.Embedded.DataDir, "kubeconfig")
	}
	if err := o.Complete(fs); err != nil {
		return nil, err
	}
	return o, o.Validate()
}

// shortTempDir returns a directory for one test. The name that testing assigns may be too
// long for a socket in it.
func shortTempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "epic-test-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	// It is removed after the server has stopped, because cleanups run in reverse order.
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("The data directory can't be removed: %v", err)
		}
	})
	return dir
}

func (s *TestServer) waitReady(url string) error {
	client, err := rest.HTTPClientFor(s.Config)
	if err != nil {
		return err
	}
	defer utilnet.CloseIdleConnectionsFor(client.Transport)
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url+"/readyz", http.NoBody)
	if err != nil {
		return err
	}
	deadline := time.After(readyTimeout)
	for {
		response, err := client.Do(request)
		if err == nil {
			response.Body.Close() //nolint:errcheck,gosec // the status is all that counts
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-deadline:
			return context.DeadlineExceeded
		case s.err = <-s.done:
			close(s.done)
			return s.err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop stops the server, as SIGTERM does, and waits until its data directory is released.
// It may be called repeatedly.
func (s *TestServer) Stop() error {
	// A server waits a second for each idle connection to close.
	if transport, err := rest.TransportFor(s.Config); err == nil {
		utilnet.CloseIdleConnectionsFor(transport)
	}
	s.cancel()
	select {
	case err, ok := <-s.done:
		if ok {
			s.err = err
			close(s.done)
		}
		return s.err
	case <-time.After(stopTimeout):
		return context.DeadlineExceeded
	}
}
