// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// secureName is a hostname that only the certificates of these tests know.
const secureName = "shop.e2e.test"

// testCertificates has a tenant's Gateway serve HTTPS by HTTP/2 and HTTP/3, and renews its
// certificate while visitors come. Each of them is served, by the old certificate or the new
// one, and connections that are open stay open.
func (s *site) testCertificates(t *testing.T, address string) {
	t.Helper()
	started := time.Now()
	// quic-go would like larger buffers than a test needs.
	t.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	v := &secureVisitors{address: net.JoinHostPort(address, "443"), pool: x509.NewCertPool()}
	const renewals = 2
	var secrets []string
	for serial := range int64(1 + renewals) {
		secrets = append(secrets, v.issue(t, serial))
	}
	s.with(t, secrets[0], "apply", "-f", "-")
	s.run(t, "patch", "-n", s.namespace, "lbservicegroups.epic.acnodal.io/web", "--type=merge", "-p", `{"spec":{"edge":{"http3":{}}}}`)
	s.run(t, "patch", "-n", "e2e-shop", "gateways.gateway.networking.k8s.io/shop", "--type=json", "-p",
		`[{"op":"add","path":"/spec/listeners/-","value":{"name":"https","port":443,"protocol":"HTTPS","tls":{"certificateRefs":[{"name":"shop"}]}}}]`)
	seen := func(serial int64) {
		t.Helper()
		for version := range v.protocols() {
			eventually(t, 2*time.Minute, func() string {
				got, err := v.visit(version)
				if err != nil {
					return fmt.Sprintf("HTTP/%d: %v", version, err)
				}
				if got != serial {
					return fmt.Sprintf("HTTP/%d: the certificate is number %d, want %d", version, got, serial)
				}
				return ""
			})
		}
	}
	seen(0)
	stop := v.load(t)
	for serial := range int64(renewals) {
		s.with(t, secrets[serial+1], "apply", "-f", "-")
		begin := time.Now()
		seen(serial + 1)
		t.Logf("Both protocols had the new certificate %s after it was written", time.Since(begin).Round(time.Millisecond))
		time.Sleep(time.Second)
	}
	stop()
	s.run(t, "patch", "-n", s.namespace, "lbservicegroups.epic.acnodal.io/web", "--type=merge", "-p", `{"spec":{"edge":null}}`)
	progress("a tenant's certificate was renewed %d times in %s", renewals, time.Since(started).Round(time.Second))
}

// secureVisitors send requests by HTTPS and verify certificates as browsers do. The serial
// number of a certificate is the number of certificates issued before it.
type secureVisitors struct {
	address string
	pool    *x509.CertPool
}

// certificate creates a key and a self-signed certificate that is valid for a day.
func certificate(t *testing.T, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// issue creates a certificate that visitors trust and returns its Secret.
func (v *secureVisitors) issue(t *testing.T, serial int64) string {
	t.Helper()
	made := certificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(serial + 1),
		DNSNames:     []string{secureName},
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	v.pool.AddCert(made.Leaf)
	private, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
		"metadata": map[string]any{"namespace": "e2e-shop", "name": "shop"},
		"data": map[string][]byte{
			"tls.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made.Certificate[0]}),
			"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(secret)
}

// protocols are the versions of HTTP that are asked for, with what makes a client whose
// connections are counted.
func (v *secureVisitors) protocols() map[int]func(dials *atomic.Int64) (*http.Client, func()) {
	const limit = 30 * time.Second
	config := &tls.Config{ServerName: secureName, RootCAs: v.pool}
	return map[int]func(*atomic.Int64) (*http.Client, func()){
		2: func(dials *atomic.Int64) (*http.Client, func()) {
			transport := &http.Transport{
				TLSClientConfig: config, TLSHandshakeTimeout: limit, ForceAttemptHTTP2: true,
				DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
					dials.Add(1)
					return new(net.Dialer).DialContext(ctx, network, v.address)
				},
			}
			return &http.Client{Transport: transport, Timeout: limit}, transport.CloseIdleConnections
		},
		3: func(dials *atomic.Int64) (*http.Client, func()) {
			transport := &http3.Transport{
				TLSClientConfig: config,
				QUICConfig:      &quic.Config{HandshakeIdleTimeout: limit},
				Dial: func(ctx context.Context, _ string, config *tls.Config, settings *quic.Config) (*quic.Conn, error) {
					dials.Add(1)
					return quic.DialAddr(ctx, v.address, config, settings)
				},
			}
			return &http.Client{Transport: transport, Timeout: limit}, func() { _ = transport.Close() }
		},
	}
}

// ask sends one request and returns the serial number of the connection's certificate.
func (v *secureVisitors) ask(client *http.Client, version int) (int64, error) {
	answer, err := client.Get("https://" + secureName + "/")
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return 0, err
	case answer.StatusCode != http.StatusOK || !strings.Contains(string(body), "till-"):
		return 0, fmt.Errorf("%s: %s", answer.Status, body)
	case answer.ProtoMajor != version:
		return 0, fmt.Errorf("the answer is by %s", answer.Proto)
	case answer.TLS == nil || len(answer.TLS.PeerCertificates) == 0:
		return 0, errors.New("the answer has no certificate")
	}
	return answer.TLS.PeerCertificates[0].SerialNumber.Int64() - 1, nil
}

// visit sends one request on a separate connection.
func (v *secureVisitors) visit(version int) (int64, error) {
	client, end := v.protocols()[version](new(atomic.Int64))
	defer end()
	return v.ask(client, version)
}

// load has visitors come, and others stay, until stop is called. It wants all of them to be
// served: those that come by a certificate that is not older than the one before, and those
// that stay by one connection.
func (v *secureVisitors) load(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	var mu sync.Mutex
	var failed []string
	came, stayed := map[int]int{}, map[int]int{}
	note := func(count map[int]int, version int, begin time.Time, problem string) {
		mu.Lock()
		defer mu.Unlock()
		count[version]++
		if problem != "" {
			failed = append(failed, fmt.Sprintf("HTTP/%d at %s after %s: %s", version, begin.Format("15:04:05.000"), time.Since(begin), problem))
		}
	}
	var group sync.WaitGroup
	for version, start := range v.protocols() {
		for range 2 {
			group.Go(func() {
				for newest := int64(0); ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
					begin := time.Now()
					got, err := v.visit(version)
					problem := ""
					if err != nil {
						problem = err.Error()
					} else if got < newest {
						problem = fmt.Sprintf("the certificate is number %d, after number %d", got, newest)
					}
					newest = max(newest, got)
					note(came, version, begin, problem)
				}
			})
		}
		group.Go(func() {
			var dials atomic.Int64
			client, end := start(&dials)
			defer end()
			for ctx.Err() == nil {
				begin := time.Now()
				problem := ""
				if got, err := v.ask(client, version); err != nil {
					problem = err.Error()
				} else if n := dials.Load(); got != 0 || n != 1 {
					problem = fmt.Sprintf("connection number %d with certificate number %d serves who stays", n, got)
				}
				note(stayed, version, begin, problem)
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
	return func() {
		t.Helper()
		// A few of each make a load, however slow the machine is.
		eventually(t, 2*time.Minute, func() string {
			mu.Lock()
			defer mu.Unlock()
			for version := range v.protocols() {
				if came[version] < 20 || stayed[version] < 5 {
					return fmt.Sprintf("HTTP/%d: only %d connections, and %d requests on one", version, came[version], stayed[version])
				}
			}
			return ""
		})
		cancel()
		group.Wait()
		for version := range v.protocols() {
			progress("HTTP/%d: %d connections, and %d requests on one", version, came[version], stayed[version])
		}
		if len(failed) > 0 {
			t.Errorf("%d failed:\n%s", len(failed), strings.Join(failed[:min(len(failed), 10)], "\n"))
		}
	}
}
