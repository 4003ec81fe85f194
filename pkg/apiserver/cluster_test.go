// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubescheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/klog/v2"

	apiservertesting "github.com/acnodal/epic/pkg/apiserver/testing"
	"github.com/acnodal/epic/pkg/pki"
)

// kube plays the kube-apiserver: it has what an aggregated server asks of it,
// and nothing else. What a real one does is tested with a real one.
type kube struct {
	*httptest.Server
	ca []byte

	mu sync.Mutex
	// denied are the permissions that the server under test does not have, and
	// forbidden the paths that it may not read.
	denied, forbidden map[string]bool
	// allowedUser may do everything, everybody else nothing.
	allowedUser string
}

func startKube(t *testing.T, ca []byte) *kube {
	t.Helper()
	k := &kube{ca: ca, denied: map[string]bool{}, forbidden: map[string]bool{}, allowedUser: "alice"}
	k.Server = httptest.NewServer(http.HandlerFunc(k.serve))
	t.Cleanup(func() {
		k.CloseClientConnections()
		k.Close()
	})
	return k
}

func (k *kube) deny(permission string, denied bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.denied[permission] = denied
}

func (k *kube) serve(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	answer := func(v any) {
		if err := json.NewEncoder(w).Encode(v); err != nil {
			panic(err)
		}
	}
	if k.forbidden[r.URL.Path] {
		w.WriteHeader(http.StatusForbidden)
		answer(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "forbidden: no rule says otherwise"})
		return
	}
	configMap := map[string]any{
		"kind": "ConfigMap", "apiVersion": "v1",
		"metadata": map[string]any{"namespace": "kube-system", "name": "extension-apiserver-authentication", "resourceVersion": "1"},
		"data": map[string]string{
			"client-ca-file":                     string(k.ca),
			"requestheader-client-ca-file":       string(k.ca),
			"requestheader-allowed-names":        `["epic-admin"]`,
			"requestheader-username-headers":     `["X-Remote-User"]`,
			"requestheader-group-headers":        `["X-Remote-Group"]`,
			"requestheader-extra-headers-prefix": `["X-Remote-Extra-"]`,
		},
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/configmaps/extension-apiserver-authentication"):
		answer(configMap)
	case strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews"):
		review := &authorizationv1.SelfSubjectAccessReview{}
		k.review(r, review)
		a := review.Spec.ResourceAttributes
		review.Status.Allowed = !k.denied[a.Verb+" "+a.Resource]
		answer(review)
	case strings.HasSuffix(r.URL.Path, "/subjectaccessreviews"):
		review := &authorizationv1.SubjectAccessReview{}
		k.review(r, review)
		a := review.Spec.ResourceAttributes
		review.Status.Allowed = review.Spec.User == k.allowedUser && (a == nil || !k.denied[a.Verb+" "+a.Resource+"/"+a.Subresource])
		answer(review)
	case r.URL.Query().Get("sendInitialEvents") != "":
		// As a kube-apiserver does that can't: the client lists then.
		w.WriteHeader(http.StatusUnprocessableEntity)
		answer(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid", "code": 422})
	case r.URL.Query().Get("watch") != "":
		k.mu.Unlock()
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		k.mu.Lock()
	case strings.HasSuffix(r.URL.Path, "/configmaps"):
		answer(map[string]any{"kind": "ConfigMapList", "apiVersion": "v1", "metadata": map[string]any{"resourceVersion": "1"}, "items": []any{configMap}})
	case strings.HasPrefix(r.URL.Path, "/api/v1/namespaces/epic") && strings.Count(r.URL.Path, "/") == 4:
		answer(map[string]any{"kind": "Namespace", "apiVersion": "v1", "metadata": map[string]any{"name": path.Base(r.URL.Path)}})
	case r.URL.Path == "/api/v1/nodes":
		node := map[string]any{
			"metadata": map[string]any{"name": "node1", "uid": "1", "resourceVersion": "1"},
			"spec":     map[string]any{"podCIDRs": []any{"10.244.0.0/24", "fd00:244::/64"}},
			"status":   map[string]any{"addresses": []any{map[string]any{"type": "InternalIP", "address": "203.0.113.1"}}},
		}
		answer(map[string]any{"kind": "NodeList", "apiVersion": "v1", "metadata": map[string]any{"resourceVersion": "1"}, "items": []any{node}})
	case strings.HasPrefix(r.URL.Path, "/api/v1/nodes/"):
		w.WriteHeader(http.StatusNotFound)
		answer(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404})
	default:
		// Whatever is listed, there is none of it.
		answer(map[string]any{"metadata": map[string]any{"resourceVersion": "1"}, "items": []any{}})
	}
}

// review reads what is asked, in whichever encoding.
func (k *kube) review(r *http.Request, into runtime.Object) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	if _, _, err := kubescheme.Codecs.UniversalDeserializer().Decode(body, nil, into); err != nil {
		panic(err)
	}
}

// aggregated is a server that extends that kube-apiserver.
type aggregated struct {
	url  string
	pki  *pki.Store
	kube *kube
}

func startAggregated(t *testing.T, change func(*kube)) (*aggregated, error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "epic-") //nolint:usetesting // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	store, err := pki.Open(t.Context(), filepath.Join(dir, "pki"), []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(store.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	a := &aggregated{pki: store, kube: startKube(t, ca)}
	change(a.kube)

	kubeconfig := filepath.Join(dir, "kubeconfig")
	config := api.NewConfig()
	config.Clusters["c"] = &api.Cluster{Server: a.kube.URL}
	config.Contexts["c"] = &api.Context{Cluster: "c"}
	config.CurrentContext = "c"
	if err := clientcmd.WriteToFile(*config, kubeconfig); err != nil {
		t.Fatal(err)
	}
	cert, key := store.ServingFiles()
	o, err := apiservertesting.NewOptions("--data-dir="+filepath.Join(dir, "data"), "--kubeconfig="+kubeconfig,
		"--tls-cert-file="+cert, "--tls-private-key-file="+key, "--secure-port=0", "--bind-address=127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), klog.Background()))
	server, err := o.NewServer(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("The server did not stop well: %v", err)
		}
	})
	a.url = server.URL
	return a, nil
}

// frontProxy is a client with the front proxy's certificate, which says for
// whom it asks.
func (a *aggregated) frontProxy(t *testing.T) *http.Client {
	t.Helper()
	dir := filepath.Dir(a.pki.CAFile())
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "admin.crt"), filepath.Join(dir, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	return a.client(t, cert)
}

func (a *aggregated) client(t *testing.T, certs ...tls.Certificate) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.kube.ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certs, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func as(user, method, url, body string) *http.Request {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header.Set("X-Remote-User", user)
	r.Header.Set("Content-Type", "application/json")
	return r
}

func (a *aggregated) status(t *testing.T, client *http.Client, r *http.Request) int {
	t.Helper()
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// waitReadyz waits until readyz has, or no longer has, a text.
func (a *aggregated) waitReadyz(t *testing.T, text string, has bool) {
	t.Helper()
	client := a.client(t)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_, body := get(t, client, a.url+"/readyz?verbose")
		if strings.Contains(body, text) == has {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("readyz: %q: want %v\n%s", text, has, body)
		}
	}
}

func TestAggregatedServer(t *testing.T) {
	t.Parallel()
	a, err := startAggregated(t, func(*kube) {})
	if err != nil {
		t.Fatal(err)
	}
	a.waitReadyz(t, "[+]front-proxy ok", true)
	a.waitReadyz(t, "readyz check passed", true)
	proxy := a.frontProxy(t)
	url := a.url + "/apis/epic.acnodal.io/v1/namespaces/epic/serviceprefixes"
	body := `{"apiVersion":"epic.acnodal.io/v1","kind":"ServicePrefix","metadata":{"name":"a"},"spec":{"public-pool":{"pool":"10.0.1.1-10.0.1.9","subnet":"10.0.1.0/24","aggregation":"default"}}}`
	for name, test := range map[string]struct {
		client *http.Client
		user   string
		want   int
	}{
		"the user may":                      {proxy, "alice", http.StatusCreated},
		"the user may not":                  {proxy, "mallory", http.StatusForbidden},
		"headers without the front proxy's": {a.client(t), "alice", http.StatusForbidden},
	} {
		if got := a.status(t, test.client, as(test.user, http.MethodPost, url, body)); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

func TestReadyzNamesThePermission(t *testing.T) {
	t.Parallel()
	a, err := startAggregated(t, func(k *kube) { k.denied["watch validatingadmissionpolicies"] = true })
	if err != nil {
		t.Fatal(err)
	}
	name := "permission-watch-validatingadmissionpolicies.admissionregistration.k8s.io"
	a.waitReadyz(t, "[-]"+name+" failed", true)
	a.waitReadyz(t, "[+]permission-list-namespaces ok", true)
	// Whose front proxy to trust is read after the start.
	client := a.frontProxyAs(t, "alice")
	status, body := get(t, client, a.url+"/readyz/"+name)
	for deadline := time.Now().Add(30 * time.Second); (status == http.StatusForbidden || strings.Contains(body, "not been queried")) && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
		client.CloseIdleConnections()
		status, body = get(t, client, a.url+"/readyz/"+name)
	}
	if status != http.StatusInternalServerError || !strings.Contains(body, "watch validatingadmissionpolicies.admissionregistration.k8s.io") {
		t.Errorf("The check says %d %s", status, body)
	}
	a.kube.deny("watch validatingadmissionpolicies", false)
	a.waitReadyz(t, "readyz check passed", true)
}

// frontProxyAs asks for one user.
func (a *aggregated) frontProxyAs(t *testing.T, user string) *http.Client {
	t.Helper()
	client := a.frontProxy(t)
	client.Transport = asUser{client.Transport.(*http.Transport), user}
	return client
}

type asUser struct {
	*http.Transport
	user string
}

func (a asUser) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Remote-User", a.user)
	return a.Transport.RoundTrip(r)
}

func TestAuthReaderMissing(t *testing.T) {
	t.Parallel()
	_, err := startAggregated(t, func(k *kube) {
		k.forbidden["/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"] = true
	})
	if err == nil {
		t.Fatal("It starts although it can't know whose front proxy to trust")
	}
	for _, want := range []string{"kube-system/extension-apiserver-authentication", "extension-apiserver-authentication-reader", "--requestheader-client-ca-file"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("The error does not have %q: %v", want, err)
		}
	}
	if strings.Count(fmt.Sprint(err), "\n") > 0 {
		t.Errorf("The error has several lines: %v", err)
	}
}

const epicObject = `{"apiVersion":"epic.acnodal.io/v1","kind":"EPIC","metadata":{"name":"epic"}}`

// A gateway node's program is known by its pod's token: by the Node on which the
// pod runs, and the addresses that the Node has.
func TestGatewayPods(t *testing.T) {
	t.Parallel()
	const account = "system:serviceaccount:epic-node:epic-node"
	a, err := startAggregated(t, func(k *kube) { k.allowedUser = account })
	if err != nil {
		t.Fatal(err)
	}
	a.waitReadyz(t, "readyz check passed", true)
	proxy := a.frontProxy(t)
	url := a.url + "/apis/epic.acnodal.io/v1/namespaces/epic/epics"
	a.kube.mu.Lock()
	a.kube.allowedUser = "alice"
	a.kube.mu.Unlock()
	if got := a.status(t, proxy, as("alice", http.MethodPost, url, epicObject)); got != http.StatusCreated {
		t.Fatalf("The object: %d", got)
	}
	a.kube.mu.Lock()
	a.kube.allowedUser = account
	a.kube.mu.Unlock()
	for name, test := range map[string]struct {
		nodes []string
		body  string
		path  string
		want  string // part of the answer
	}{
		"its own entry":        {[]string{"node1"}, `{"status":{"nodes":{"203.0.113.1":{"name":"node1"}}}}`, "/epic/status", `"node1"`},
		"another's entry":      {[]string{"node1"}, `{"status":{"nodes":{"203.0.113.2":{"name":"node1"}}}}`, "/epic/status", "node node1 (203.0.113.1) may only write"},
		"the spec":             {[]string{"node1"}, `{"spec":{"envoy-image":"mine"}}`, "/epic", "this is UPDATE of epics"},
		"a token without node": {nil, `{"status":{"nodes":{"203.0.113.1":{"name":"node1"}}}}`, "/epic/status", "does not contain the node"},
		"a token with two":     {[]string{"node1", "node2"}, `{"status":{"nodes":{"203.0.113.1":{"name":"node1"}}}}`, "/epic/status", "does not contain the node"},
		"a Node that is not":   {[]string{"node9"}, `{"status":{"nodes":{"203.0.113.1":{"name":"node1"}}}}`, "/epic/status", "Node node9, which does not exist"},
		"no program on a node": {nil, `{"spec":{"envoy-image":"mine"}}`, "/epic", "can't write anything"},
	} {
		r := as(account, http.MethodPatch, url+test.path, test.body)
		r.Header.Set("Content-Type", "application/merge-patch+json")
		for _, node := range test.nodes {
			// As the kube-apiserver writes the key authentication.kubernetes.io/node-name.
			r.Header.Add("X-Remote-Extra-Authentication.kubernetes.io%2fnode-Name", node)
		}
		response, err := proxy.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || !strings.Contains(string(body), test.want) {
			t.Errorf("%s: %d %s, %v", name, response.StatusCode, body, err)
		}
		if refused := response.StatusCode == http.StatusForbidden; refused != (name != "its own entry") {
			t.Errorf("%s: %d", name, response.StatusCode)
		}
	}
	// Nor does it get keys.
	keys := as(account, http.MethodGet, a.url+"/apis/epic.acnodal.io/v1/namespaces/epic-a/loadbalancers/x/tunnelkeys", "")
	if got := a.status(t, proxy, keys); got != http.StatusForbidden {
		t.Errorf("keys for a token without a node: %d", got)
	}
}

// A finalizer of the system's takes a permission that nothing else gives.
func TestSystemFinalizers(t *testing.T) {
	t.Parallel()
	a, err := startAggregated(t, func(k *kube) { k.denied["update epics/finalizers"] = true })
	if err != nil {
		t.Fatal(err)
	}
	a.waitReadyz(t, "readyz check passed", true)
	proxy := a.frontProxy(t)
	url := a.url + "/apis/epic.acnodal.io/v1/namespaces/epic/epics"
	write := func(method, path, body string) (int, string) {
		r := as("alice", method, url+path, body)
		if method == http.MethodPatch {
			r.Header.Set("Content-Type", "application/merge-patch+json")
		}
		response, err := proxy.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(answer)
	}
	with := strings.Replace(epicObject, `"name":"epic"`, `"name":"epic","finalizers":["epic.acnodal.io/controller"]`, 1)
	if code, answer := write(http.MethodPost, "?dryRun=All", with); code != http.StatusCreated || strings.Contains(answer, `"finalizers"`) {
		t.Errorf("created with one: %d %s", code, answer)
	}
	if code, answer := write(http.MethodPost, "", strings.Replace(with, "epic.acnodal.io/controller", "acme.example/mine", 1)); code != http.StatusCreated {
		t.Errorf("created with a tenant's: %d %s", code, answer)
	}
	for _, dryRun := range []string{"?dryRun=All", ""} {
		if code, answer := write(http.MethodPatch, "/epic"+dryRun, `{"metadata":{"finalizers":["epic.acnodal.io/controller"]}}`); code != http.StatusForbidden ||
			!strings.Contains(answer, "metadata.finalizers") || !strings.Contains(answer, "update on epics/finalizers") {
			t.Errorf("added%s: %d %s", dryRun, code, answer)
		}
	}
	a.kube.deny("update epics/finalizers", false)
	// A no is remembered for a while.
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		code, answer := write(http.MethodPatch, "/epic", `{"metadata":{"finalizers":["epic.acnodal.io/controller"]}}`)
		if code == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("with the permission: %d %s", code, answer)
		}
	}
	// A yes, too; another name is another question.
	a.kube.deny("update epics/finalizers", true)
	if code, _ := write(http.MethodPatch, "/epic", `{"metadata":{"labels":{"a":"b"}}}`); code != http.StatusOK {
		t.Errorf("a write that keeps it: %d", code)
	}
}
