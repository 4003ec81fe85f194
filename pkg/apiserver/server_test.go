// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/apiserver/embedetcd"
	apiservertesting "github.com/acnodal/epic/pkg/apiserver/testing"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/pki"
)

func clientFor(t *testing.T, config *rest.Config) versioned.Interface {
	t.Helper()
	client, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func prefix(name string, third int) *epicv1.ServicePrefix {
	p := &epicv1.ServicePrefix{ObjectMeta: metav1.ObjectMeta{Namespace: "epic", Name: name}}
	raw := fmt.Sprintf(`{"spec":{"public-pool":{"pool":"10.0.%d.1-10.0.%d.100","subnet":"10.0.%d.0/24","aggregation":"default"}}}`, third, third, third)
	if err := json.Unmarshal([]byte(raw), p); err != nil {
		panic(err)
	}
	return p
}

// get reads a path with whatever the client has to show, and returns status and body.
func get(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// httpClient trusts the server and shows the certificate, if there is one.
func httpClient(t *testing.T, server *apiservertesting.TestServer, certs ...tls.Certificate) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(server.Config.CAData)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certs, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestAdministratorMayDoEverything(t *testing.T) {
	t.Parallel()
	server := apiservertesting.StartTestServer(t)
	client := clientFor(t, server.Config)
	if _, err := client.EpicV1().ServicePrefixes("epic").Create(t.Context(), prefix("a", 1), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	list, err := client.EpicV1().ServicePrefixes("").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Errorf("The list is %v, %v", list, err)
	}
	// No namespace object is needed, and a namespace is as good as another.
	disco, err := discovery.NewDiscoveryClientForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	resources, err := disco.ServerResourcesForGroupVersion("epic.acnodal.io/v1")
	if err != nil {
		t.Fatal(err)
	}
	kinds := 0
	for _, resource := range resources.APIResources {
		if !strings.Contains(resource.Name, "/") {
			kinds++
		}
	}
	if kinds != 10 {
		t.Errorf("%d kinds are served, want 10: %v", kinds, resources.APIResources)
	}
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	server := apiservertesting.StartTestServer(t)
	admin, err := rest.HTTPClientFor(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/openapi/v2", "/openapi/v3/apis/epic.acnodal.io/v1"} {
		var doc struct {
			Info struct{ Title string }
		}
		status, body := get(t, admin, server.Config.Host+path)
		if err := json.Unmarshal([]byte(body), &doc); status != http.StatusOK || err != nil {
			t.Fatalf("%s: %d, %v", path, status, err)
		}
		if doc.Info.Title != "EPIC" {
			t.Errorf("%s has the title %q", path, doc.Info.Title)
		}
		for _, want := range []string{"LoadBalancer", "ServicePrefix", "HTTPRoute", "Endpoint"} {
			if !strings.Contains(body, want) {
				t.Errorf("%s does not know %s", path, want)
			}
		}
	}
}

func TestAnonymousReadsHealthAlone(t *testing.T) {
	t.Parallel()
	server := apiservertesting.StartTestServer(t)
	client := httpClient(t, server)
	for path, want := range map[string]int{
		"/readyz":                              http.StatusOK,
		"/livez":                               http.StatusOK,
		"/healthz":                             http.StatusOK,
		"/apis/epic.acnodal.io/v1/accounts":    http.StatusUnauthorized,
		"/apis":                                http.StatusUnauthorized,
		"/metrics":                             http.StatusUnauthorized,
		"/debug/pprof/":                        http.StatusUnauthorized,
		"/apis/epic.acnodal.io/v1/namespaces/": http.StatusUnauthorized,
	} {
		if got, body := get(t, client, server.Config.Host+path); got != want {
			t.Errorf("%s: %d, want %d: %s", path, got, want, body)
		}
	}
}

func TestAnotherAuthoritysClientIsRefused(t *testing.T) {
	t.Parallel()
	server := apiservertesting.StartTestServer(t)
	// The same names, signed by somebody else.
	other, err := pki.Open(t.Context(), t.TempDir(), []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := other.WriteKubeconfig(kubeconfig, server.Config.Host); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(other.CAFile())
	stranger, err := tls.LoadX509KeyPair(filepath.Join(dir, "admin.crt"), filepath.Join(dir, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	client := httpClient(t, server, stranger)
	if got, body := get(t, client, server.Config.Host+"/apis/epic.acnodal.io/v1/accounts"); got != http.StatusUnauthorized {
		t.Errorf("A stranger's administrator gets %d: %s", got, body)
	}
}

func TestDataAndIdentitySurviveRestart(t *testing.T) {
	t.Parallel()
	first := apiservertesting.StartTestServer(t)
	if _, err := clientFor(t, first.Config).EpicV1().ServicePrefixes("epic").Create(t.Context(), prefix("a", 1), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	second := apiservertesting.StartTestServer(t, "--data-dir="+first.DataDir)
	if _, err := clientFor(t, second.Config).EpicV1().ServicePrefixes("epic").Get(t.Context(), "a", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	if string(first.Config.CAData) != string(second.Config.CAData) {
		t.Error("A restart changed the authority: every kubeconfig that was copied is worthless")
	}
}

// Keys decide forever where data lies, so they must not change by accident.
func TestKeysHaveTheGroup(t *testing.T) {
	t.Parallel()
	server := apiservertesting.StartTestServer(t)
	if _, err := clientFor(t, server.Config).EpicV1().ServicePrefixes("epic").Create(t.Context(), prefix("a", 1), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{embedetcd.Endpoint(server.DataDir)}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	got, err := client.Get(t.Context(), "/epic/epic.acnodal.io/serviceprefixes/epic/a")
	if err != nil || len(got.Kvs) != 1 {
		t.Fatalf("The object is not at its key: %v, %v", got, err)
	}
	if value := got.Kvs[0].Value; string(value[:4]) != "k8s\x00" {
		t.Errorf("The object is not stored as protobuf: %.20q", value)
	}
}

func TestStorageMediaType(t *testing.T) {
	t.Parallel()
	server := apiservertesting.StartTestServer(t, "--storage-media-type=application/json")
	if _, err := clientFor(t, server.Config).EpicV1().ServicePrefixes("epic").Create(t.Context(), prefix("a", 1), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{embedetcd.Endpoint(server.DataDir)}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	got, err := client.Get(t.Context(), "/epic/epic.acnodal.io/serviceprefixes/epic/a")
	if err != nil || len(got.Kvs) != 1 || got.Kvs[0].Value[0] != '{' {
		t.Errorf("The object is not stored as JSON: %v, %v", got, err)
	}
}

func TestEncryptionAtRest(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "encryption.yaml")
	config := `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: ["serviceprefixes.epic.acnodal.io"]
  providers:
  - aescbc: {keys: [{name: one, secret: MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=}]}
`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	server := apiservertesting.StartTestServer(t, "--encryption-provider-config="+file)
	epic := clientFor(t, server.Config).EpicV1()
	if _, err := epic.ServicePrefixes("epic").Create(t.Context(), prefix("secret-name", 1), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := epic.ServicePrefixes("epic").Get(t.Context(), "secret-name", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{embedetcd.Endpoint(server.DataDir)}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	got, err := client.Get(t.Context(), "/epic/epic.acnodal.io/serviceprefixes/epic/secret-name")
	if err != nil || len(got.Kvs) != 1 {
		t.Fatal(got, err)
	}
	value := string(got.Kvs[0].Value)
	if !strings.HasPrefix(value, "k8s:enc:aescbc:v1:one:") || strings.Contains(value, "10.0.1.") {
		t.Errorf("The object is stored in clear: %.60q", value)
	}
}

// A certificate that is replaced under a running server is served without a
// restart, and connections that are open continue.
func TestCertificateReload(t *testing.T) {
	t.Parallel()
	server := apiservertesting.StartTestServer(t)
	dir := filepath.Join(server.DataDir, "pki")
	serial := func() string {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(server.Config.Host, "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	before := serial()
	watch, err := clientFor(t, server.Config).EpicV1().ServicePrefixes("epic").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()

	for _, name := range []string{"serving.crt", "serving.key"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pki.Open(t.Context(), dir, []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); serial() == before; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("The old certificate is still served")
		}
	}
	if _, err := clientFor(t, server.Config).EpicV1().ServicePrefixes("epic").Create(t.Context(), prefix("a", 1), metav1.CreateOptions{}); err != nil {
		t.Errorf("A client can't write after the change: %v", err)
	}
	select {
	case event := <-watch.ResultChan():
		if event.Type != "ADDED" {
			t.Errorf("The watch says %v", event)
		}
	case <-time.After(10 * time.Second):
		t.Error("The watch from before the change is dead")
	}
}

// While the server stops, each write is either done or refused, none is lost,
// watches end, and it does not take long.
func TestGracefulShutdownUnderLoad(t *testing.T) {
	t.Parallel()
	server := apiservertesting.StartTestServer(t)
	client := clientFor(t, server.Config)
	watch, err := client.EpicV1().ServicePrefixes("epic").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for range watch.ResultChan() {
		}
	}()

	var acknowledged sync.Map
	var count, next atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for ctx.Err() == nil {
				n := int(next.Add(1))
				if n > 250 {
					return
				}
				name := fmt.Sprintf("p%d", n)
				_, err := client.EpicV1().ServicePrefixes("epic").Create(ctx, prefix(name, n), metav1.CreateOptions{})
				if err == nil {
					acknowledged.Store(name, true)
					count.Add(1)
					continue
				}
				// Refused connections and answers that the server is going are
				// what a client of a server that stops must expect; a
				// verdict on the object is not.
				if status := apierrors.APIStatus(nil); errors.As(err, &status) && (apierrors.IsInvalid(err) || apierrors.IsInternalError(err)) {
					t.Errorf("A write during the shutdown: %v", err)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	for count.Load() < 20 {
		time.Sleep(time.Millisecond)
	}
	begin := time.Now()
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("The shutdown took %v", took)
	}
	cancel()
	writers.Wait()
	select {
	case <-watched:
	case <-time.After(10 * time.Second):
		t.Error("The watch did not end")
	}

	again := clientFor(t, apiservertesting.StartTestServer(t, "--data-dir="+server.DataDir).Config)
	acknowledged.Range(func(name, _ any) bool {
		if _, err := again.EpicV1().ServicePrefixes("epic").Get(t.Context(), name.(string), metav1.GetOptions{}); err != nil {
			t.Errorf("An acknowledged write is lost: %v", err)
		}
		return true
	})
}

// The embedded etcd ends after the server: until the last request is answered,
// etcd is there. And where it dies by itself, the server does not pretend.
func TestReadyzNamesEtcd(t *testing.T) {
	t.Parallel()
	server := apiservertesting.StartTestServer(t)
	_, body := get(t, httpClient(t, server), server.Config.Host+"/readyz?verbose")
	for _, want := range []string{"[+]etcd ok", "[+]embedded-etcd ok", "[+]claim-schema ok", "[+]etcd-readiness ok"} {
		if !strings.Contains(body, want) {
			t.Errorf("readyz does not say %q:\n%s", want, body)
		}
	}
}

// Somebody writes another schema's mark under a running server.
func TestReadyzNamesForeignSchema(t *testing.T) {
	t.Parallel()
	server := apiservertesting.StartTestServer(t)
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{embedetcd.Endpoint(server.DataDir)}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	key := schemaKey(t, client)
	if _, err := client.Put(t.Context(), key, "99"); err != nil {
		t.Fatal(err)
	}
	status, body := get(t, httpClient(t, server), server.Config.Host+"/readyz")
	if status != http.StatusInternalServerError || !strings.Contains(body, "[-]claim-schema failed") {
		t.Errorf("readyz with a foreign schema: %d\n%s", status, body)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	_, err = apiservertesting.Start(t, "--data-dir="+server.DataDir)
	if err == nil {
		t.Fatal("A server starts on another schema's data")
	}
	for _, want := range []string{"--etcd-prefix", "schema", "99"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("The error does not have %q: %v", want, err)
		}
	}
}

// schemaKey finds the key that holds the claim schema.
func schemaKey(t *testing.T, client *clientv3.Client) string {
	t.Helper()
	got, err := client.Get(t.Context(), "/epic/.claims/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range got.Kvs {
		if strings.HasSuffix(string(kv.Key), "schema") {
			return string(kv.Key)
		}
	}
	t.Fatalf("There is no schema key in %v", got.Kvs)
	return ""
}
