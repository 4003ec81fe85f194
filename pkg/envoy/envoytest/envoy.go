// SPDX-License-Identifier: Apache-2.0

package envoytest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"

	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/test/tools/process"
)

var path = sync.OnceValues(func() (string, error) {
	_, file, _, _ := runtime.Caller(0)
	script := filepath.Join(filepath.Dir(file), "..", "..", "..", "hack", "envoy.sh")
	var stderr bytes.Buffer
	cmd := exec.CommandContext(context.Background(), script)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
})

// Path returns the path of an Envoy.
func Path(t testing.TB) string {
	t.Helper()
	p, err := path()
	if err != nil {
		t.Fatalf("there is no Envoy to test with: %v", err)
	}
	return p
}

// Envoy is a running Envoy that gets its configuration from the test.
type Envoy struct {
	server *server
	cmd    *exec.Cmd
	log    *process.Output
	exited chan struct{}
	// AdminSocket is the unix socket of Envoy's admin interface.
	AdminSocket string
}

// Bootstrap returns the content of Envoy's bootstrap configuration, given the unix
// sockets of the ADS server and of the admin interface.
type Bootstrap func(ads, admin string) ([]byte, error)

// Start starts an Envoy without listeners and stops it at the end of the test.
func Start(t testing.TB) *Envoy {
	t.Helper()
	return StartWith(t, func(ads, admin string) ([]byte, error) {
		return fmt.Appendf(nil, bootstrap, admin, ads), nil
	})
}

// StartWith is like Start with another bootstrap.
func StartWith(t testing.TB, boot Bootstrap) *Envoy {
	t.Helper()
	dir, err := os.MkdirTemp("", "envoy") //nolint:usetesting // paths of unix sockets must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	e := &Envoy{server: newServer(), log: &process.Output{}, exited: make(chan struct{}), AdminSocket: filepath.Join(dir, "admin")}

	ads := filepath.Join(dir, "ads")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", ads)
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, e.server)
	go func() { _ = g.Serve(listener) }()
	t.Cleanup(g.Stop)

	content, err := boot(ads, e.AdminSocket)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "bootstrap.json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	e.cmd = exec.CommandContext(t.Context(), Path(t), "--config-path", file, "--concurrency", "1", "--log-level", "warn",
		"--disable-hot-restart")
	e.cmd.Stdout, e.cmd.Stderr = e.log, e.log
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// Pdeathsig refers to the thread that starts the process, which must not end.
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := e.cmd.Start()
		started <- err
		if err == nil {
			_ = e.cmd.Wait()
		}
		close(e.exited)
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = e.cmd.Process.Kill()
		<-e.exited
		if t.Failed() {
			t.Logf("Envoy's log:\n%s", e.log.Last(8<<10))
		}
	})
	return e
}

// Apply sets Envoy's configuration, starting from an empty one. It returns an error if
// Envoy refuses resources, never requests some, or exits.
func (e *Envoy) Apply(set resource.Set) error {
	if err := e.apply(nil); err != nil {
		return fmt.Errorf("while removing the former resources: %w", err)
	}
	return e.apply(set)
}

// Update changes Envoy's configuration to the given set.
func (e *Envoy) Update(set resource.Set) error { return e.apply(set) }

func (e *Envoy) apply(set resource.Set) error {
	done := make(chan error, 1)
	timeout := time.After(30 * time.Second)
	commands := e.server.commands
	for {
		select {
		case commands <- command{set, done}:
			commands = nil
		case err := <-done:
			return err
		case <-e.exited:
			return fmt.Errorf("the Envoy exited: %s", e.log.Last(4<<10))
		case <-timeout:
			return fmt.Errorf("the Envoy does not answer: %s", e.log.Last(4<<10))
		}
	}
}

// PID returns the Envoy's process ID.
func (e *Envoy) PID() int { return e.cmd.Process.Pid }

// Log returns Envoy's standard output and error.
func (e *Envoy) Log() string { return e.log.Last(1 << 20) }

const bootstrap = `{
  "node": {"id": "test", "cluster": "test"},
  "admin": {"address": {"pipe": {"path": %q}}},
  "dynamic_resources": {
    "ads_config": {"api_type": "DELTA_GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": true,
      "grpc_services": [{"envoy_grpc": {"cluster_name": "ads"}}]},
    "cds_config": {"ads": {}, "resource_api_version": "V3"},
    "lds_config": {"ads": {}, "resource_api_version": "V3"}
  },
  "layered_runtime": {"layers": [{"name": "static", "static_layer": {"re2.max_program_size.error_level": 2000}}]},
  "static_resources": {"clusters": [{"name": "ads", "type": "STATIC",
    "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      "explicit_http_config": {"http2_protocol_options": {}}}},
    "load_assignment": {"cluster_name": "ads", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": %q}}}}]}]}}]}
}`
