// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// token is a token that is not signed.
func token(name string, issued, expires time.Time) string {
	payload, _ := json.Marshal(map[string]any{"sub": name, "iat": issued.Unix(), "exp": expires.Unix()})
	return "e30." + base64.RawURLEncoding.EncodeToString(payload) + ".x"
}

func kubeconfig(server, token string) []byte {
	return fmt.Appendf(nil, `{"apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {"token": %q}}],
"contexts": [{"name": "c", "context": {"cluster": "s", "user": "u", "namespace": "epic-acme"}}], "clusters": [{"name": "s", "cluster": {"server": %q, "insecure-skip-tls-verify": true}}]}`, token, server)
}

func TestParse(t *testing.T) {
	issued := time.Unix(1_800_000_000, 0)
	c, err := Parse(kubeconfig("https://192.0.2.1/k8s", token("system:serviceaccount:epic-acme:connector.paris", issued, issued.Add(time.Hour))), "/")
	if err != nil || c.Namespace != "epic-acme" || !c.Issued.Equal(issued) || !c.Expires.Equal(issued.Add(time.Hour)) || c.User != "system:serviceaccount:epic-acme:connector.paris" {
		t.Fatalf("%+v, %v", c, err)
	}
	for _, text := range []string{"opaque", "a.b.c", "a.e30.c", "a." + base64.RawURLEncoding.EncodeToString([]byte(`{"iat": -1, "exp": 1e300}`)) + ".c"} {
		if c, err := Parse(kubeconfig("https://192.0.2.1", text), "/"); err != nil || !c.Issued.IsZero() || !c.Expires.IsZero() || c.Config.BearerToken != text {
			t.Errorf("%s: %+v, %v", text, c, err)
		}
	}
	for _, text := range []string{"", "{", `{"apiVersion": "v1", "kind": "Config"}`} {
		if _, err := Parse([]byte(text), "/"); err == nil {
			t.Errorf("%q is a kubeconfig", text)
		}
	}
	// For another user, nothing of this one is left.
	out, err := c.ForUser("node.paris.192.0.2.16", "t")
	if err != nil || strings.Contains(string(out), c.Config.BearerToken) {
		t.Fatalf("%s, %v", out, err)
	}
	if other, err := Parse(out, "/"); err != nil || other.Config.Host != c.Config.Host || other.Config.BearerToken != "t" || other.Namespace != c.Namespace {
		t.Errorf("%+v, %v", other, err)
	}
}

// server returns a server that accepts only the credential *accepted, and responds with the
// path of the request.
func server(t *testing.T, accepted *string) *httptest.Server {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.Header.Get("Authorization"), *accepted) {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": %q}}`, strings.ReplaceAll(r.URL.EscapedPath(), "/", "."))
	}))
	t.Cleanup(s.Close)
	return s
}

// A client that was made once continues with each credential that it is given, at another
// server and below another path, too.
func TestTransport(t *testing.T) {
	accepted := "first"
	one, two := server(t, &accepted), server(t, &accepted)
	transport := NewTransport()
	client, err := kubernetes.NewForConfig(transport.Config())
	if err != nil {
		t.Fatal(err)
	}
	ask := func() (string, error) {
		ns, err := client.CoreV1().Namespaces().Get(t.Context(), "x", metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		return ns.Name, nil
	}
	if _, err := ask(); err == nil || !strings.Contains(err.Error(), ErrNone.Error()) {
		t.Errorf("Without a credential: %v", err)
	}
	set := func(server, token string) {
		t.Helper()
		c, err := Parse(kubeconfig(server, token), "/")
		if err == nil {
			err = transport.Set(c)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	set(one.URL, "first")
	if got, err := ask(); err != nil || got != ".api.v1.namespaces.x" {
		t.Errorf("%s, %v", got, err)
	}
	select {
	case <-transport.Unauthorized():
		t.Error("It says that the credential was refused")
	default:
	}
	accepted = "second"
	if _, err := ask(); err == nil {
		t.Error("The first credential is accepted")
	}
	select {
	case <-transport.Unauthorized():
	default:
		t.Error("It does not say that the credential was refused")
	}
	set(two.URL+"/k8s/clusters/c-1/", "second")
	if got, err := ask(); err != nil || got != ".k8s.clusters.c-1.api.v1.namespaces.x" {
		t.Errorf("%s, %v", got, err)
	}
	if transport.Credential().Config.Host != two.URL+"/k8s/clusters/c-1/" {
		t.Errorf("It has %s", transport.Credential().Config.Host)
	}
	if err := transport.Set(&Credential{Config: &rest.Config{Host: "://"}}); err == nil {
		t.Error("It takes what is no address")
	}
}

// Of several files the one that was issued last counts, as long as it is valid; a broken
// one changes nothing.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	write := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	of := func(host string, issued, expires time.Duration) []byte {
		return kubeconfig("https://"+host, token("u", now.Add(issued), now.Add(expires)))
	}
	f := &Files{Paths: []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}, Transport: NewTransport()}
	want := func(what, host string) {
		t.Helper()
		if c := f.Transport.Credential(); c == nil || c.Config.Host != "https://"+host {
			t.Errorf("%s: it has %+v", what, c)
		}
	}
	if err := f.Load(); err == nil || !strings.Contains(err.Error(), "none of the files") {
		t.Errorf("Without files: %v", err)
	}
	steps := []struct {
		what, name string
		data       []byte
		want       string
	}{
		{"the first", "a", of("manifest", -time.Hour, time.Hour), "manifest"},
		{"renewed", "b", of("renewed", -time.Minute, time.Hour), "renewed"},
		{"an old manifest applied again", "a", of("old", -2*time.Hour, time.Hour), "renewed"},
		{"connected again", "a", of("again", -time.Second, time.Hour), "again"},
		{"that one expired", "a", of("again", -time.Second, -time.Millisecond), "renewed"},
	}
	for _, step := range steps {
		write(step.name, step.data)
		if err := f.Load(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		want(step.what, step.want)
	}
	write("a", []byte("broken"))
	write("b", []byte("broken, too"))
	if err := f.Load(); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "b")) {
		t.Errorf("Broken files: %v", err)
	}
	want("broken files", "renewed")
	// A credential that the program renewed itself is not lost to files that are behind.
	own, err := Parse(of("own", time.Minute, time.Hour), "/")
	if err != nil || f.Transport.Set(own) != nil {
		t.Fatal(err)
	}
	write("b", of("behind", 0, time.Hour))
	if err := f.Load(); err != nil {
		t.Error(err)
	}
	want("files behind the program", "own")
	// One file alone is what an administrator wants now, newer or older.
	single := &Files{Paths: f.Paths[1:], Transport: NewTransport()}
	for _, host := range []string{"behind", "older"} {
		write("b", of(host, map[string]time.Duration{"behind": 0, "older": -time.Hour}[host], time.Hour))
		if err := single.Load(); err != nil || single.Transport.Credential().Config.Host != "https://"+host {
			t.Errorf("%s: %+v, %v", host, single.Transport.Credential(), err)
		}
	}
	single.Check = func(*Credential) error { return fmt.Errorf("not this one") }
	write("b", of("refused", 0, time.Hour))
	if err := single.Load(); err == nil || !strings.Contains(err.Error(), "not this one") {
		t.Errorf("A refused credential: %v", err)
	}
}
