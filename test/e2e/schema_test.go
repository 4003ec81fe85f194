// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// schemaKey names the layout of EPIC's data in etcd: see docs/architecture.md.
const schemaKey = "/epic/.claims/schema"

// etcd is a client of EPIC's etcd, with the rights of EPIC's server.
type etcd struct {
	url    string
	client http.Client
}

func (c *cluster) etcd(t *testing.T) *etcd {
	t.Helper()
	part := func(name string) []byte {
		out := c.run(t, "get", "secret", "--namespace", system, "epic-apiserver-etcd-tls", "--output", `go-template={{index .data "`+name+`"}}`)
		data, err := base64.StdEncoding.DecodeString(out)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	certificate, err := tls.X509KeyPair(part("tls.crt"), part("tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(part("ca.crt"))
	return &etcd{
		url: "https://127.0.0.1:" + c.forward(t, "pod/epic-etcd-0", 2379),
		client: http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: roots, Certificates: []tls.Certificate{certificate}, ServerName: "localhost", MinVersion: tls.VersionTLS12,
		}}},
	}
}

// call is a request of etcd's JSON gateway.
func (e *etcd) call(t *testing.T, path string, in, out any) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPost, e.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := e.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("etcd answers %d, %v: %s", response.StatusCode, err, text)
	}
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatal(err)
	}
}

func (e *etcd) get(t *testing.T, key string) string {
	t.Helper()
	var out struct {
		Kvs []struct{ Value []byte }
	}
	e.call(t, "/v3/kv/range", map[string]any{"key": []byte(key)}, &out)
	if len(out.Kvs) != 1 {
		t.Fatalf("%s has %d values", key, len(out.Kvs))
	}
	return string(out.Kvs[0].Value)
}

func (e *etcd) put(t *testing.T, key, value string) {
	t.Helper()
	e.call(t, "/v3/kv/put", map[string]any{"key": []byte(key), "value": []byte(value)}, &struct{}{})
}

// Servers of one layout of the data do not write next to data of another: those
// that run stop to, and one that starts does not come up. Each explains why.
func TestTroubleOtherSchema(t *testing.T) {
	c := epic(t)
	ns := c.account(t, "schema")
	c.with(t, loadBalancer(ns, "before"), "apply", "-f", "-")
	e := c.etcd(t)
	ours := e.get(t, schemaKey)
	theirs := ours + "-next"
	message := fmt.Sprintf("etcd contains claim schema %q, but this server only writes schema %q: run the release that wrote the data", theirs, ours)
	inEnglish := func(text string) string { return strings.ReplaceAll(text, `\"`, `"`) }

	old := c.pods(t, "epic-apiserver")
	e.put(t, schemaKey, theirs)
	defer func() {
		e.put(t, schemaKey, ours)
		c.asShipped(t)
		c.served(t)
		wants(t, "what is there", c.run(t, "get", "-n", ns, "loadbalancers.epic.acnodal.io", "-o", "name"), "before")
		if out := c.run(t, "get", "-n", ns, "loadbalancers.epic.acnodal.io", "-o", "name"); strings.Contains(out, "beside") {
			t.Errorf("The refused object is there: %s", out)
		}
		c.with(t, loadBalancer(ns, "after"), "apply", "-f", "-")
		c.audited(t)
	}()

	// It still has endpoints, for a moment.
	wants(t, "a write", inEnglish(c.refused(t, loadBalancer(ns, "beside"), "apply", "-f", "-")), message)
	for _, pod := range old {
		eventually(t, time.Minute, func() string {
			if out := c.readyz(pod.Name); !strings.Contains(out, "[-]claim-schema") {
				return pod.Name + " does not say at readyz that the schema is another:\n" + out
			}
			return ""
		})
	}
	started := c.thirdReplica(t)
	eventually(t, time.Minute, func() string {
		if logs := inEnglish(c.logs(started)); !strings.Contains(logs, message) {
			return "the log of the new replica lacks " + message + ":\n" + logs
		}
		return ""
	})
	for _, pod := range c.pods(t, "epic-apiserver") {
		for _, s := range pod.Status.ContainerStatuses {
			if pod.Name == started && s.Ready {
				t.Errorf("%s is ready", pod.Name)
			}
			if pod.Name != started && s.RestartCount > 0 {
				t.Errorf("%s restarted: what it holds in memory is still good to read", pod.Name)
			}
		}
	}
}
