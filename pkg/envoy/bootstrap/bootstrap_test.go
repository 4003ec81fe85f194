// SPDX-License-Identifier: Apache-2.0

package bootstrap_test

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/acnodal/epic/pkg/envoy/bootstrap"
	"github.com/acnodal/epic/pkg/envoy/envoytest"
	"github.com/acnodal/epic/pkg/envoy/resource"
)

// An Envoy with all of a bootstrap starts, and serves its metrics, but no other part of
// its admin interface, on the given address.
func TestStart(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().(*net.TCPAddr).AddrPort()
	_ = free.Close()
	envoy := envoytest.StartWith(t, func(ads, admin string) ([]byte, error) {
		c := bootstrap.Config{
			NodeID: "epic-a.web.web-0", NodeCluster: "epic-a.web", Metadata: map[string]string{"account": "a"},
			XDSSocket: ads, AdminSocket: admin, Metrics: address, MemoryLimitBytes: 256 << 20,
		}
		return c.JSON()
	})
	if err := envoy.Apply(resource.Set{}); err != nil {
		t.Fatal(err)
	}
	get := func(method, path string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address.String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		// Workers start a moment after the first configuration.
		for end := time.Now().Add(time.Minute); err != nil && time.Now().Before(end); response, err = http.DefaultClient.Do(request) {
			time.Sleep(10 * time.Millisecond)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		body, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(body)
	}
	status, body := get(http.MethodGet, "/metrics")
	if status != http.StatusOK || !strings.Contains(body, "envoy_server_live") || !strings.Contains(body, "envoy_control_plane_connected_state") {
		t.Errorf("metrics: status %d, %d bytes: %.200s", status, len(body), body)
	}
	for _, name := range []string{"envoy_cluster_lb_healthy_panic", "envoy_listener_downstream_cx_length_ms"} {
		if strings.Contains(body, name) {
			t.Errorf("the metrics have %s, which nobody reads", name)
		}
	}
	for _, path := range []string{"/", "/quitquitquit", "/config_dump", "/metrics/../config_dump", "/stats"} {
		if status, _ := get(http.MethodGet, path); status != http.StatusNotFound {
			t.Errorf("GET %s = %d, want 404", path, status)
		}
	}
	if status, _ := get(http.MethodPost, "/metrics"); status != http.StatusNotFound {
		t.Errorf("POST /metrics = %d, want 404", status)
	}
	info, err := os.Stat(envoy.AdminSocket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the admin socket: %v, %v, want 0600", info.Mode(), err)
	}
}

// Envoy accepts the bootstrap of one that connects to the server by itself.
func TestRemote(t *testing.T) {
	for _, host := range []string{"192.0.2.1", "epic-operator.epic-system.svc"} {
		t.Run(host, func(t *testing.T) {
			// Envoy waits a while for secrets that are not there.
			t.Parallel()
			dir := t.TempDir()
			c := bootstrap.Config{NodeID: "a", NodeCluster: "b", AdminSocket: filepath.Join(dir, "admin"), Remote: &bootstrap.Remote{
				Host: host, Port: 7446, ServerName: "epic-operator", CertificateFile: filepath.Join(dir, "certificate.yaml"), AuthoritiesFile: filepath.Join(dir, "authorities.yaml"),
			}}
			for _, name := range []string{c.Remote.CertificateFile, c.Remote.AuthoritiesFile} {
				if err := os.WriteFile(name, []byte("resources: []"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			text, err := c.JSON()
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "bootstrap.json")
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.CommandContext(t.Context(), envoytest.Path(t), "--mode", "validate", "--config-path", file).CombinedOutput(); err != nil {
				t.Errorf("Envoy refuses the bootstrap: %v\n%s", err, out)
			}
		})
	}
}

// A missing value is an error, not a bootstrap that does nothing.
func TestErrors(t *testing.T) {
	valid := bootstrap.Config{NodeID: "a", NodeCluster: "b", AdminSocket: "/admin", XDSSocket: "/xds", Metrics: netip.MustParseAddrPort("[2001:db8::1]:19001")}
	if _, err := valid.JSON(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*bootstrap.Config){
		"node ID":      func(c *bootstrap.Config) { c.NodeID = "" },
		"node cluster": func(c *bootstrap.Config) { c.NodeCluster = "" },
		"admin":        func(c *bootstrap.Config) { c.AdminSocket = "" },
		"server":       func(c *bootstrap.Config) { c.XDSSocket = "" },
		"two servers":  func(c *bootstrap.Config) { c.Remote = &bootstrap.Remote{} },
		"server name":  func(c *bootstrap.Config) { c.XDSSocket, c.Remote = "", &bootstrap.Remote{Host: "a", Port: 1} },
	} {
		c := valid
		change(&c)
		if text, err := c.JSON(); err == nil {
			t.Errorf("without %s: no error, but %s", name, text)
		}
	}
}

// Workers make the clusters that they use, so memory does not grow with clusters times
// workers.
func TestClustersOnDemand(t *testing.T) {
	c := bootstrap.Config{NodeID: "n", NodeCluster: "c", XDSSocket: "ads", AdminSocket: "admin"}
	text, err := c.JSON()
	if err != nil {
		t.Fatal(err)
	}
	message := &bootstrapv3.Bootstrap{}
	if err := protojson.Unmarshal(text, message); err != nil {
		t.Fatal(err)
	}
	if !message.GetClusterManager().GetEnableDeferredClusterCreation() {
		t.Error("every worker makes every cluster")
	}
}
