// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"fmt"
	"io"
	"net/http"
	"time"
)

// envoyGrace is how long Envoy may be down before the pod counts as dead. This program
// restarts Envoy, not the kubelet.
const envoyGrace = 30 * time.Second

// probes serves what everybody in the cluster may read.
func (a *agent) probes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", a.serveLive)
	mux.HandleFunc("GET /readyz", a.serveReady)
	mux.HandleFunc("GET /metrics", a.serveMetrics)
	return mux
}

func (a *agent) serveLive(w http.ResponseWriter, _ *http.Request) {
	pid, started := a.supervisor.state()
	if pid == 0 && !started.IsZero() && time.Since(started) > envoyGrace && a.counters.restarts.Load() > 0 {
		http.Error(w, "Envoy keeps exiting", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (a *agent) serveReady(w http.ResponseWriter, r *http.Request) {
	switch {
	case a.draining.Load():
		http.Error(w, "draining", http.StatusServiceUnavailable)
	case !a.relay.isConfigured():
		http.Error(w, "Envoy has not accepted a configuration yet", http.StatusServiceUnavailable)
	case !a.admin.live(r.Context()):
		http.Error(w, "Envoy is not live", http.StatusServiceUnavailable)
	default:
		fmt.Fprintln(w, "ok")
	}
}

// serveMetrics serves this program's metrics and Envoy's.
func (a *agent) serveMetrics(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	connected := 0
	if a.counters.connected.Load() {
		connected = 1
	}
	expires := int64(0)
	if own := a.identity.current(); own != nil {
		expires = own.Leaf.NotAfter.Unix()
	}
	for _, m := range []struct {
		name, kind, help string
		value            int64
	}{
		{"operator_connected", "gauge", "1 if this pod has a stream to the operator, 0 otherwise.", int64(connected)},
		{"operator_connections_total", "counter", "Streams that this pod opened to the operator.", a.counters.connections.Load()},
		{"received_bytes_total", "counter", "Bytes of responses received from the operator.", a.counters.bytes.Load()},
		{"received_resources_total", "counter", "Resources received from the operator.", a.counters.resources.Load()},
		{"envoy_streams_total", "counter", "Streams that Envoy opened to this program.", a.counters.envoyStreams.Load()},
		{"envoy_restarts_total", "counter", "Number of times that Envoy exited and was restarted.", a.counters.restarts.Load()},
		{"certificate_expires_seconds", "gauge", "Time when this pod's certificate expires, in seconds since 1970.", expires},
	} {
		fmt.Fprintf(w, "# HELP epic_proxy_%[1]s %[2]s\n# TYPE epic_proxy_%[1]s %[3]s\nepic_proxy_%[1]s %[4]d\n", m.name, m.help, m.kind, m.value)
	}
	response, err := a.admin.do(r.Context(), http.MethodGet, "/stats/prometheus")
	if err != nil {
		return
	}
	defer response.Body.Close() //nolint:errcheck // read only
	if response.StatusCode == http.StatusOK {
		_, _ = io.Copy(w, response.Body)
	}
}
