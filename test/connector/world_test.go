// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/acnodal/epic/pkg/connector"
	"github.com/acnodal/epic/pkg/pki"
	"github.com/acnodal/epic/test/tools/kubebin"
	"github.com/acnodal/epic/test/tools/manifest"
	"github.com/acnodal/epic/test/tools/process"
)

const (
	// root is the project's.
	root = "../.."
	// readyTimeout is generous, for a machine that does much else.
	readyTimeout = 3 * time.Minute
	// system is the connector's namespace in the client cluster.
	system = "epic-connector"
)

// cluster is a kube-apiserver with its clients.
type cluster struct {
	name   string
	server *process.Process
	url    string
	ca     []byte
	config *rest.Config
	// admin may do everything.
	admin client.Client
	core  kubernetes.Interface
	// audit is the file with one line for each request.
	audit string
	// cert and key sign the tokens of service accounts.
	cert, key string
}

// world is a client cluster and a gateway cluster.
type world struct {
	dir  string
	etcd *process.Process
	// etcdURL is the URL of the etcd that all servers use.
	etcdURL string
	// tenants is the client cluster, gateway the one that serves EPIC's API.
	tenants, gateway *cluster
	epic             *process.Process
	connector        string
	all              []*process.Process
}

// shared is the pair of clusters that all tests of the package use.
var shared struct {
	once  sync.Once
	world *world
	err   error
}

func TestMain(m *testing.M) {
	ctrl.SetLogger(klog.Background())
	code := m.Run()
	if w := shared.world; w != nil {
		w.stop()
		if code == 0 {
			_ = os.RemoveAll(w.dir)
		} else {
			fmt.Fprintln(os.Stderr, "The logs are in", w.dir)
		}
	}
	os.Exit(code)
}

// clusters returns the two clusters, which the first test starts.
func clusters(t *testing.T) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("starts two control planes; not with -short")
	}
	shared.once.Do(func() { shared.world, shared.err = start(t.Logf) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.world
}

func start(report func(string, ...any)) (_ *world, err error) {
	ctx := context.Background()
	kube, err := kubebin.Find(ctx, root, "", report)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "epic-connector-test-")
	if err != nil {
		return nil, err
	}
	w := &world{dir: dir, connector: filepath.Join(dir, "epic-connector")}
	defer func() {
		if err != nil {
			w.stop()
			err = fmt.Errorf("%w; the logs are in %s", err, dir)
		}
	}()
	for path, pkg := range map[string]string{w.connector: "./cmd/connector", filepath.Join(dir, "epic-apiserver"): "./cmd/apiserver"} {
		build := exec.Command("go", "build", "-buildvcs=false", "-o", path, pkg)
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w: %s", pkg, err, out)
		}
	}
	if err := w.startEtcd(kube.Etcd); err != nil {
		return nil, err
	}
	if w.tenants, err = w.newCluster("tenants", kube.KubeAPIServer); err != nil {
		return nil, err
	}
	if w.gateway, err = w.newCluster("gateway", kube.KubeAPIServer); err != nil {
		return nil, err
	}
	for _, c := range []*cluster{w.tenants, w.gateway} {
		if err := w.await(c.server, c.ready); err != nil {
			return nil, err
		}
	}
	if err := w.installGateway(ctx); err != nil {
		return nil, fmt.Errorf("set up the gateway cluster: %w", err)
	}
	if err := w.installTenants(ctx); err != nil {
		return nil, fmt.Errorf("set up the client cluster: %w", err)
	}
	return w, nil
}

func (w *world) stop() {
	// Those started last go first.
	for i := len(w.all) - 1; i >= 0; i-- {
		w.all[i].Kill()
	}
}

// run starts a program that ends with the tests.
func (w *world) run(name, path string, args ...string) (*process.Process, error) {
	p := &process.Process{Name: name, Path: path, Args: args, Log: filepath.Join(w.dir, name+".log")}
	w.all = append(w.all, p)
	return p, p.Start()
}

// await waits until something is so.
func (w *world) await(p *process.Process, ready func() error) error {
	for deadline := time.Now().Add(readyTimeout); ; time.Sleep(100 * time.Millisecond) {
		err := ready()
		switch {
		case err == nil:
			return nil
		case !p.Running():
			return fmt.Errorf("%s ended: %s", p.Name, p.Tail(2000))
		case time.Now().After(deadline):
			return fmt.Errorf("%s is not ready: %w: %s", p.Name, err, p.Tail(2000))
		}
	}
}

func (w *world) startEtcd(path string) error {
	port, err := process.FreePort()
	if err != nil {
		return err
	}
	peer, err := process.FreePort()
	if err != nil {
		return err
	}
	w.etcdURL = fmt.Sprintf("http://127.0.0.1:%d", port)
	peerURL := fmt.Sprintf("http://127.0.0.1:%d", peer)
	w.etcd, err = w.run("etcd", path, kubebin.EtcdArgs(filepath.Join(w.dir, "etcd"), w.etcdURL, peerURL)...)
	return err
}

// auditPolicy records who requested what, and the response's code.
const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
`

func (w *world) newCluster(name, binary string) (*cluster, error) {
	dir := filepath.Join(w.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	local := []net.IP{net.IPv4(127, 0, 0, 1)}
	own, err := pki.Open(context.Background(), filepath.Join(dir, "pki"), []string{"localhost"}, local)
	if err != nil {
		return nil, err
	}
	front, err := pki.Open(context.Background(), filepath.Join(dir, "front-proxy"), []string{"localhost"}, local)
	if err != nil {
		return nil, err
	}
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	policy := filepath.Join(dir, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, err
	}
	c := &cluster{name: name, url: fmt.Sprintf("https://127.0.0.1:%d", port), audit: filepath.Join(dir, "audit.log")}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := own.WriteKubeconfig(kubeconfig, c.url); err != nil {
		return nil, err
	}
	if c.config, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
		return nil, err
	}
	// One that is paused is not waited for.
	c.config.QPS, c.config.Timeout = -1, 5*time.Second
	if c.ca, err = os.ReadFile(own.CAFile()); err != nil {
		return nil, err
	}
	if c.core, err = kubernetes.NewForConfig(c.config); err != nil {
		return nil, err
	}
	c.cert, c.key = own.ServingFiles()
	c.server, err = w.run(name+"-apiserver", binary, append(kubebin.ServerArgs(own, front, dir, fmt.Sprint(port)),
		// The history is judged: it is kept, and in a form that reads easily.
		"--etcd-servers", w.etcdURL, "--etcd-prefix=/"+name, "--etcd-compaction-interval=0", "--storage-media-type=application/json",
		"--shutdown-delay-duration=0",
		"--audit-policy-file", policy, "--audit-log-path", c.audit)...)
	return c, err
}

func (c *cluster) ready() error {
	return c.core.Discovery().RESTClient().Get().AbsPath("/readyz").Do(context.Background()).Error()
}

// connect makes the client that knows all kinds that are served now.
func (c *cluster) connect() error {
	scheme, err := connector.Scheme()
	if err == nil {
		c.admin, err = client.New(c.config, client.Options{Scheme: scheme})
	}
	return err
}

// apply creates the objects in files and updates existing ones.
func (w *world) apply(ctx context.Context, c *cluster, files ...string) error {
	return manifest.Apply(ctx, c.admin, func(_ string, request func() error) error {
		// On a busy machine a request may take longer than the client waits.
		return w.await(c.server, request)
	}, files...)
}

func (c *cluster) namespace(ctx context.Context, names ...string) error {
	for _, name := range names {
		_, err := c.core.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}

// installGateway starts EPIC's API server and installs the roles that ship.
func (w *world) installGateway(ctx context.Context) error {
	c := w.gateway
	if err := c.connect(); err != nil {
		return err
	}
	store, err := pki.Open(ctx, filepath.Join(w.dir, "epic-pki"), []string{"localhost", "epic-apiserver.epic-system.svc"}, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(store.CAFile())
	if err != nil {
		return err
	}
	port, err := process.FreePort()
	if err != nil {
		return err
	}
	cert, key := store.ServingFiles()
	w.epic, err = w.run("epic-apiserver", filepath.Join(w.dir, "epic-apiserver"),
		"--etcd-servers", w.etcdURL, "--etcd-compaction-interval=0", "--kubeconfig", filepath.Join(w.dir, c.name, "kubeconfig"),
		"--bind-address=127.0.0.1", "--secure-port", fmt.Sprint(port), "--tls-cert-file", cert, "--tls-private-key-file", key)
	if err != nil {
		return err
	}
	if err := c.namespace(ctx, "epic", "epic-system"); err != nil {
		return err
	}
	// There is no proxy for Services here; an external name leads to this machine.
	if err := c.admin.Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "epic-system", Name: "epic-apiserver"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}); err != nil {
		return err
	}
	if err := c.admin.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
		"metadata": map[string]any{"name": "v1.epic.acnodal.io"},
		"spec": map[string]any{
			"group": "epic.acnodal.io", "version": "v1", "groupPriorityMinimum": int64(1000), "versionPriority": int64(15), "caBundle": encode(ca),
			"service": map[string]any{"namespace": "epic-system", "name": "epic-apiserver", "port": int64(port)},
		},
	}}); err != nil {
		return err
	}
	for _, file := range []string{"connector.yaml", "connector-secrets.yaml", "offered-viewer.yaml"} {
		if err := w.apply(ctx, c, filepath.Join(root, "artifacts/rbac", file)); err != nil {
			return err
		}
	}
	if err := w.await(w.epic, w.epicReady); err != nil {
		return err
	}
	return w.installEPIC(ctx)
}

// epicReady returns whether EPIC's API responds through the kube-apiserver.
func (w *world) epicReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return w.gateway.core.Discovery().RESTClient().Get().AbsPath("/apis/epic.acnodal.io/v1/accounts").Do(ctx).Error()
}

// installTenants installs the Gateway API and the connector's rights.
func (w *world) installTenants(ctx context.Context) error {
	c := w.tenants
	if err := c.connect(); err != nil {
		return err
	}
	kinds, err := kubebin.GatewayAPI(ctx, root)
	if err == nil {
		err = w.apply(ctx, c, kinds...)
	}
	if err != nil {
		return err
	}
	install := filepath.Join(root, "artifacts/install/connector")
	for _, file := range []string{"namespace.yaml", "serviceaccount.yaml", "rbac.yaml"} {
		if err := w.apply(ctx, c, filepath.Join(install, file)); err != nil {
			return err
		}
	}
	return w.await(c.server, func() error {
		if err := c.connect(); err != nil {
			return err
		}
		return w.apply(ctx, c, filepath.Join(install, "gatewayclass.yaml"))
	})
}

// kubeconfig writes a kubeconfig with a token of a service account, which is created.
func (c *cluster) kubeconfig(ctx context.Context, path, namespace, name string) error {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := c.core.CoreV1().ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	token, err := c.core.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](24 * 3600)}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	return kubebin.WriteKubeconfig(path, c.url, c.ca, namespace, token.Status.Token)
}

// bind gives a service account of an account's namespace a role, as epicctl connect does.
func (w *world) bind(ctx context.Context, namespace, role, account, name string) error {
	err := w.gateway.admin.Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: role + "." + account + "." + name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: account, Name: name}},
	})
	return client.IgnoreAlreadyExists(err)
}

// replica is a connector.
type replica struct {
	*process.Process
	metrics string
	// remote is the kubeconfig for EPIC.
	remote string
}

// newReplica makes a connector for the client cluster, which is published in an account
// under a name, with the shipped roles.
func (w *world) newReplica(t *testing.T, account, as, name string, args ...string) *replica {
	t.Helper()
	ctx, namespace, identity := t.Context(), "epic-"+account, "connector."+as
	local, remote := filepath.Join(w.dir, name+".local.kubeconfig"), filepath.Join(w.dir, name+".epic.kubeconfig")
	port, err := process.FreePort()
	if err == nil {
		err = w.tenants.kubeconfig(ctx, local, system, "epic-connector")
	}
	if err == nil {
		err = w.gateway.kubeconfig(ctx, remote, namespace, identity)
	}
	if err == nil {
		err = w.bind(ctx, namespace, "epic-connector", namespace, identity)
	}
	if err == nil {
		err = w.bind(ctx, "epic", "epic-offered-viewer", namespace, identity)
	}
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	r := &replica{
		Process: &process.Process{Name: name, Path: w.connector, Log: filepath.Join(w.dir, name+".log"), Args: append([]string{
			"--kubeconfig", local, "--epic-kubeconfig", remote, "--cluster", as, "--bind-address", address, "--retry-refused=1s",
		}, args...)},
		metrics: "http://" + address, remote: remote,
	}
	t.Cleanup(func() {
		r.Kill()
		if t.Failed() {
			t.Logf("the end of %s's log:\n%s", r.Name, r.Tail(4000))
		}
	})
	return r
}

// get reads a path of the connector's HTTP server.
func (r *replica) get(path string) (int, string, error) {
	c := &http.Client{Timeout: 5 * time.Second}
	response, err := c.Get(r.metrics + path)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// started starts a connector and waits until it knows both clusters.
func (w *world) started(t *testing.T, r *replica) {
	t.Helper()
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	if err := w.await(r.Process, func() error {
		code, body, err := r.get("/readyz")
		if err == nil && code != http.StatusOK {
			err = errors.New(body)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until a check finds nothing wrong.
func eventually(t *testing.T, timeout time.Duration, what string, check func() error) {
	t.Helper()
	for deadline := time.Now().Add(timeout); ; time.Sleep(200 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}
