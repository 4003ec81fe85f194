// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/util/cert"

	"github.com/acnodal/epic/test/tools/freeport"
)

// cluster answers reviews as a kube-apiserver does that knows two users, of whom one may
// get /metrics.
func cluster(t *testing.T) (kubeconfig string) {
	t.Helper()
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux.HandleFunc("POST /apis/authentication.k8s.io/v1/tokenreviews", func(w http.ResponseWriter, r *http.Request) {
		var review authenticationv1.TokenReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
		}
		if name, ok := strings.CutPrefix(review.Spec.Token, "token-of-"); ok {
			review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: name}}
		}
		answer(w, review)
	})
	mux.HandleFunc("POST /apis/authorization.k8s.io/v1/subjectaccessreviews", func(w http.ResponseWriter, r *http.Request) {
		var review authorizationv1.SubjectAccessReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
		}
		path := review.Spec.NonResourceAttributes
		review.Status.Allowed = review.Spec.User == "prometheus" && path != nil && path.Path == "/metrics" && path.Verb == "get"
		answer(w, review)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c","clusters":[{"name":"c","cluster":{"server":%q}}],"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"users":[{"name":"u","user":{}}]}`, server.URL)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

func request(t *testing.T, client *http.Client, method, url, token string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestSecure(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "epic_metric 1") })
	dir := t.TempDir()
	certPEM, keyPEM, err := cert.GenerateSelfSignedCertKey("localhost", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for name, data := range map[string][]byte{certFile: certPEM, keyFile: keyPEM} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	plain := freeport.Address(t)
	s := &Secure{Address: freeport.Address(t), Kubeconfig: cluster(t), CertFile: certFile, KeyFile: keyFile}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	stop, err := (&Options{Address: plain, Metrics: *s}).Serve(t.Context(), metrics, []healthz.HealthChecker{healthz.PingHealthz}, []healthz.HealthChecker{healthz.PingHealthz})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	pool, err := cert.NewPool(certFile)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	for name, tc := range map[string]struct {
		method, path, token string
		code                int
	}{
		"authorized":       {"GET", "/metrics", "token-of-prometheus", 200},
		"no token":         {"GET", "/metrics", "", 401},
		"unknown token":    {"GET", "/metrics", "made-up", 401},
		"not authorized":   {"GET", "/metrics", "token-of-tenant", 403},
		"another method":   {"POST", "/metrics", "token-of-prometheus", 405},
		"another path":     {"GET", "/debug/pprof", "token-of-prometheus", 404},
		"health is apart":  {"GET", "/healthz", "token-of-prometheus", 404},
		"below the metric": {"GET", "/metrics/x", "token-of-prometheus", 404},
	} {
		code, body := request(t, client, tc.method, "https://"+s.Address+tc.path, tc.token)
		if code != tc.code || (strings.Contains(body, "epic_metric") != (tc.code == 200)) {
			t.Errorf("%s: %d %q, want %d", name, code, body, tc.code)
		}
	}
	for path, want := range map[string]int{"/metrics": 404, "/healthz": 200, "/livez": 200, "/readyz": 200} {
		if code, body := request(t, http.DefaultClient, "GET", "http://"+plain+path, ""); code != want {
			t.Errorf("without TLS, %s: %d %q, want %d", path, code, body, want)
		}
	}
	stop()
	if conn, err := net.Dial("tcp", s.Address); err == nil {
		conn.Close()
		t.Error("stop leaves the metrics served")
	}
}

// A program without files for a certificate makes one.
func TestSecureOwnCertificate(t *testing.T) {
	s := &Secure{Address: freeport.Address(t), Kubeconfig: cluster(t)}
	stop, err := s.Serve(t.Context(), http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	if code, _ := request(t, client, "GET", "https://"+s.Address+"/metrics", ""); code != 401 {
		t.Errorf("without a token: %d, want 401", code)
	}
}

func TestSecureRefusals(t *testing.T) {
	for want, s := range map[string]*Secure{
		"--secure-metrics-address is not set":     {CertFile: "tls.crt", KeyFile: "tls.key"},
		"remove the other --secure-metrics flags": {Kubeconfig: "kubeconfig"},
		"set an address and a port":               {Address: "9607"},
		"must be set together: set both, or none": {Address: ":9607", CertFile: "tls.crt"},
		"--secure-metrics-cert-file and":          {Address: ":9607", KeyFile: "tls.key"},
	} {
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", s, err, want)
		}
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	for want, s := range map[string]*Secure{
		"set --secure-metrics-kubeconfig": {Address: "127.0.0.1:0"},
		"no such file":                    {Address: "127.0.0.1:0", Kubeconfig: "/nonexistent/kubeconfig"},
		"--secure-metrics-cert-file: ":    {Address: "127.0.0.1:0", Kubeconfig: cluster(t), CertFile: "/nonexistent", KeyFile: "/nonexistent"},
	} {
		if stop, err := s.Serve(t.Context(), http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), want) {
			if err == nil {
				stop()
			}
			t.Errorf("%+v: %v, want %q", s, err, want)
		}
	}
}

// A manifest composes the address of a node's address and a port, without brackets.
func TestListenAddress(t *testing.T) {
	for text, want := range map[string]string{
		":9607": ":9607", "192.0.2.1:9607": "192.0.2.1:9607", "[2001:db8::1]:9607": "[2001:db8::1]:9607",
		"2001:db8::1:9607": "[2001:db8::1]:9607", "::1:0": "[::1]:0", "localhost:1": "localhost:1",
	} {
		if got, err := listenAddress(text); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "9607", "a:b:9607", "[2001:db8::1]"} {
		if got, err := listenAddress(text); err == nil {
			t.Errorf("%q is accepted as %s", text, got)
		}
	}
}
