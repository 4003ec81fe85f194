// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/version"
	"github.com/acnodal/epic/test/tools/freeport"
)

// The operator alone reads the configuration over the network, and never a secret.
func TestConfig(t *testing.T) {
	dir := shortDir(t)
	o := newOperator(t, dir)
	port, site1 := freeport.Get(t), freeport.Get(t)
	p := startPod(t, o, dir, func(o *Options) { o.ConfigAddress = fmt.Sprintf("127.0.0.1:%d", port) })
	o.set(site(t, "web", site1, backend(t, "hello"))...)
	waitFor(t, site1, "hello")
	o.settled()
	if err := p.store.put(resource.Secret, discovery(mk(t, resource.Secret, "key", &tlsv3.Secret{Name: "key"}))); err != nil {
		t.Fatal(err)
	}

	url := fmt.Sprintf("https://127.0.0.1:%d/config?bodies", port)
	get := func(config *tls.Config) (*http.Response, error) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
		return client.Get(url)
	}
	response, err := get(o.creds.ClientTLS(web))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var c Config
	if err := json.NewDecoder(response.Body).Decode(&c); err != nil {
		t.Fatal(err)
	}
	if c.Identity != web || !c.OperatorConnected || c.Envoy.PID == 0 || c.Certificate == nil || len(c.Resources) != 5 {
		t.Errorf("the configuration is %+v", c)
	}
	if !version.Parse(c.Envoy.Version).Known() {
		t.Errorf("the version of Envoy is %q", c.Envoy.Version)
	}
	for _, r := range c.Resources {
		if isSecret := r.Type == "secret"; isSecret != (r.Body == nil) || !isSecret && r.Sent != r.Accepted {
			t.Errorf("%s %s: %d bytes, sent %s, accepted %s", r.Type, r.Name, len(r.Body), r.Sent, r.Accepted)
		}
	}

	own := p.identity.current()
	for name, config := range map[string]*tls.Config{
		"nobody":       {InsecureSkipVerify: true, MinVersion: tls.VersionTLS13},
		"a proxy":      {InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*own}},
		"an old TLS":   {InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12},
		"other's pods": o.creds.ClientTLS(other()),
	} {
		if response, err := get(config); err == nil {
			response.Body.Close()
			t.Errorf("%s reads the configuration: %s", name, response.Status)
		}
	}
}

// Metrics are this program's and Envoy's, and name what the operator sent.
func TestMetrics(t *testing.T) {
	dir := shortDir(t)
	o := newOperator(t, dir)
	port, metrics := freeport.Get(t), freeport.Get(t)
	startPod(t, o, dir, func(o *Options) { o.BindAddress = fmt.Sprintf("127.0.0.1:%d", metrics) })
	o.set(site(t, "web", port, backend(t, "hello"))...)
	waitFor(t, port, "hello")
	o.settled()
	text, err := get(metrics, "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"epic_proxy_operator_connected 1\n", "epic_proxy_received_resources_total 4\n", "# TYPE epic_proxy_envoy_restarts_total counter\n", "envoy_server_live"} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %q", want)
		}
	}
	if _, err := get(metrics, "/config"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("everybody reads the configuration: %v", err)
	}
}
