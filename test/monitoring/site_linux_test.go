// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/envoytest"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/operator/processes"
	"github.com/acnodal/epic/pkg/pki"
	"github.com/acnodal/epic/pkg/tunnelkey"
	"github.com/acnodal/epic/test/netlab"
	"github.com/acnodal/epic/test/tools/freeport"
	"github.com/acnodal/epic/test/tools/kubebin"
	"github.com/acnodal/epic/test/tools/need"
	"github.com/acnodal/epic/test/tools/wire"
	"github.com/acnodal/epic/test/world"
)

const (
	// patience is how long anything may take before it counts as failed.
	patience = 5 * time.Minute

	account   = "acme"
	namespace = "epic-" + account
	group     = "web"
	cluster   = "paris"
)

// TestMain lets all faults of a phase happen at once: they wait for Prometheus, and not for a CPU.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "20"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// build builds the program of a folder below cmd as "make build" does, which costs nothing after it.
// Each program has to be its own: its metrics are those of what is linked into it.
func (s *site) build(folder string) (path string) {
	s.Helper()
	path, err := filepath.Abs(filepath.Join(root, "bin", "epic-"+folder))
	s.must(err)
	build := exec.CommandContext(s.Context(), "go", "build", "-trimpath", "-o", path, "./cmd/"+folder)
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		s.Fatalf("build epic-%s: %v: %s", folder, err, out)
	}
	return path
}

// site is EPIC with everything that a platform team and a tenant run, and a Prometheus.
type site struct {
	*testing.T
	dir   string
	kube  kubebin.Binaries
	bin   map[string]string
	world *world.World

	programs map[string]*program
	order    []*program

	// api is where the Kubernetes API answers, with EPIC's behind it, and ca its authority.
	api     string
	ca      []byte
	core    kubernetes.Interface
	client  versioned.Interface
	objects client.Client
	// data is EPIC's etcd, and alone the API server with an etcd of its own.
	data    *clientv3.Client
	etcdURL string
	alone   versioned.Interface
	// nodeAPI and connectorAPI are their ways to EPIC's API.
	nodeAPI, connectorAPI *wire.Wire
	envoy                 string
	prometheus            string
	// found is what Prometheus discovers.
	found *discovery
}

func (s *site) in(path ...string) string { return filepath.Join(append([]string{s.dir}, path...)...) }

// own is one of EPIC's programs.
func (s *site) own(name string) string { return s.bin[name] }

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// until waits until f returns nothing that is missing.
func (s *site) until(what string, f func() error) {
	s.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("%s: not within %s: %v", what, patience, err)
		}
	}
}

// of is the site for a part of the test.
func (s *site) of(t *testing.T) *site {
	part := *s
	part.T = t
	return &part
}

// newSite starts everything and waits until requests are answered.
func newSite(t *testing.T) *site {
	t.Helper()
	lab := netlab.Test(t)
	need.Program(t, "prometheus", "prometheus")
	need.Program(t, "bird", "bird2")
	dir, err := os.MkdirTemp("", "epic-alerts-") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &site{T: t, dir: dir, bin: map[string]string{}, programs: map[string]*program{}, found: &discovery{}, envoy: envoytest.Path(t)}
	s.kube, err = kubebin.Find(t.Context(), root, "", t.Logf)
	s.must(err)
	s.world, err = world.New(lab, 1)
	s.must(err)
	for _, folder := range []string{"apiserver", "controller", "operator", "proxy", "node", "connector"} {
		s.bin["epic-"+folder] = s.build(folder)
	}
	for _, folder := range []string{"op", "passwords"} {
		s.must(os.Mkdir(s.in(folder), 0o700))
	}
	ctrl.SetLogger(klog.Background())
	t.Cleanup(s.end)
	s.startKube()
	s.install()
	s.startServers()
	s.platform()
	s.startController()
	s.startOperator()
	s.startNodes()
	s.startConnector()
	s.startBird()
	s.backend()
	s.services()
	s.startPrometheus()
	return s
}

// end stops everything that runs, and shows the logs of a test that failed.
func (s *site) end() {
	for _, p := range slices.Backward(s.order) {
		process := p.down()
		select {
		case <-process.Exited():
			continue
		default:
		}
		var err error
		if p.binary == s.kube.Etcd || p.binary == s.kube.KubeAPIServer {
			err = process.Kill()
		} else {
			err = process.Stop()
		}
		if err != nil && !s.Failed() {
			s.Errorf("%s: %v", p.name, err)
		}
	}
	cleanup := exec.Command(s.own("epic-operator"), "cleanup", "--process-dir="+s.in("op"), "--grace=1s")
	var out strings.Builder
	cleanup.Stdout, cleanup.Stderr = &out, &out
	if err := s.world.Gateway.Do(cleanup.Run); err != nil {
		s.Errorf("end the proxies: %v: %s", err, out.String())
	}
	if !s.Failed() {
		return
	}
	logs, _ := filepath.Glob(s.in("*.log"))
	more, _ := filepath.Glob(s.in("op", "p", "*", "log"))
	for _, file := range append(logs, more...) {
		if text, err := os.ReadFile(file); err == nil {
			s.Logf("%s:\n%s", file, text[max(0, len(text)-3000):])
		}
	}
}

// install installs the roles that ship, for a gateway cluster that is its own client cluster.
func (s *site) install() {
	s.Helper()
	s.namespaces("epic", "epic-system", "epic-node", "epic-client", "epic-connector", "monitoring", namespace)
	roles, err := filepath.Glob(filepath.Join(root, "artifacts/rbac/*.yaml"))
	s.must(err)
	for _, file := range roles {
		if filepath.Base(file) != "kustomization.yaml" {
			abs, err := filepath.Abs(file)
			s.must(err)
			s.apply(abs)
		}
	}
	s.apply("artifacts/install/base/rbac.yaml", "artifacts/install/controller/rbac.yaml", "artifacts/install/operator/rbac.yaml",
		"artifacts/install/node/rbac.yaml", "artifacts/install/node-client/rbac.yaml", "artifacts/install/connector/rbac.yaml")
	s.gatewayAPI()
	s.connect()
	s.apply("artifacts/install/connector/gatewayclass.yaml")
	s.node("gateway", world.GatewayAddress)
	s.node("client", world.NodeAddress)
}

// startServers starts the API server that serves the cluster, on an etcd, and another one on an
// etcd of its own: what befalls one kind of database has to be noticed, too.
func (s *site) startServers() {
	s.Helper()
	store, err := pki.Open(s.Context(), s.in("epic-pki"), []string{"localhost", "epic-apiserver.epic-system.svc"}, []net.IP{net.IPv4(127, 0, 0, 1)})
	s.must(err)
	ca, err := os.ReadFile(store.CAFile())
	s.must(err)
	s.must(os.WriteFile(s.in("tunnel-keys"), tunnelkey.Generate(), 0o600))
	s.etcdURL = s.etcd("etcd")
	s.data, err = clientv3.New(clientv3.Config{Endpoints: []string{s.etcdURL}, Logger: zap.NewNop()})
	s.must(err)
	s.Cleanup(func() { _ = s.data.Close() })
	cert, key := store.ServingFiles()
	kubeconfig := s.kubeconfig("apiserver", s.api, "epic-system", s.token("epic-system", "epic-apiserver", ""))
	server := func(name string, args ...string) (address string) {
		address = freeport.Address(s)
		_, port, err := net.SplitHostPort(address)
		s.must(err)
		s.start(name, s.own("epic-apiserver"), nil, append([]string{
			"--kubeconfig", kubeconfig, "--authentication-kubeconfig", kubeconfig, "--authorization-kubeconfig", kubeconfig,
			"--bind-address=127.0.0.1", "--secure-port", port, "--tls-cert-file", cert, "--tls-private-key-file", key,
		}, args...)...)
		s.programPod("epic-system", "epic-apiserver", name, "https", address)
		return address
	}
	served := server("epic-apiserver", "--etcd-servers", s.etcdURL, "--tunnel-key-file", s.in("tunnel-keys"), "--claims-audit-interval=2s", "--address-cooling-period=1s")
	// Its database is small. It never audits, so the other one has to.
	own := server("epic-apiserver-alone", "--data-dir", s.in("data"), fmt.Sprintf("--embedded-etcd-quota-bytes=%d", 16<<20), "--claims-audit-interval=0")
	s.alone = s.direct(own, ca)
	_, port, err := net.SplitHostPort(served)
	s.must(err)
	var number int64
	_, err = fmt.Sscan(port, &number)
	s.must(err)
	// There is no proxy for Services here; an external name leads to this machine.
	s.must(s.objects.Create(s.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "epic-system", Name: "epic-apiserver"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}))
	s.must(s.objects.Create(s.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
		"metadata": map[string]any{"name": "v1.epic.acnodal.io"},
		"spec": map[string]any{
			"group": "epic.acnodal.io", "version": "v1", "groupPriorityMinimum": int64(1000), "versionPriority": int64(15), "caBundle": encode(ca),
			"service": map[string]any{"namespace": "epic-system", "name": "epic-apiserver", "port": number},
		},
	}}))
	s.until("EPIC's API is served", func() error {
		_, err := s.client.EpicV1().Accounts("").List(s.Context(), metav1.ListOptions{})
		return err
	})
}

// platform makes what a platform admin makes.
func (s *site) platform() {
	s.Helper()
	ctx, api := s.Context(), s.client.EpicV1()
	check := func(_ any, err error) { s.Helper(); s.must(err) }
	check(api.EPICs(epic.ConfigNamespace).Create(ctx, &epicv1.EPIC{ObjectMeta: metav1.ObjectMeta{Name: epic.ConfigName}, Spec: epicv1.EPICSpec{
		Base: epicv1.EPICNodeBase{BGP: &epicv1.BGP{ASN: nodeASN, Peers: []epicv1.BGPPeer{{
			Name: "router", Address: routerAddress, ASN: routerASN, BFD: &epicv1.BFD{TransmitMilliseconds: 500, ReceiveMilliseconds: 500, DetectMultiplier: 10},
		}}}},
	}}, metav1.CreateOptions{}))
	for name, pool := range map[string]string{"pool": "192.168.77.2-192.168.77.100", "small": "192.168.77.120-192.168.77.121"} {
		check(api.ServicePrefixes(epic.ConfigNamespace).Create(ctx, &epicv1.ServicePrefix{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: epicv1.ServicePrefixSpec{PublicPool: &epicv1.AddressPool{
				Pool: pool, Subnet: world.PublicPrefix, Aggregation: "/32", MultusBridge: world.Bridge,
			}},
		}, metav1.CreateOptions{}))
	}
	check(api.Accounts(namespace).Create(ctx, &epicv1.Account{ObjectMeta: metav1.ObjectMeta{Name: account}}, metav1.CreateOptions{}))
	for name, prefix := range map[string]string{group: "pool", "small": "small"} {
		check(api.LBServiceGroups(namespace).Create(ctx, &epicv1.LBServiceGroup{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{epic.OwningServicePrefixLabel: prefix}},
			Spec:       epicv1.LBServiceGroupSpec{CanBeShared: true},
		}, metav1.CreateOptions{}))
	}
}

// metrics are where a program serves them to Prometheus, with the kubeconfig by which it asks
// whose token it is shown.
func metrics(address, kubeconfig string) []string {
	return []string{"--secure-metrics-address=" + address, "--secure-metrics-kubeconfig=" + kubeconfig}
}

func (s *site) startController() {
	s.Helper()
	kubeconfig := s.kubeconfig("controller", s.api, "epic-system", s.token("epic-system", "epic-controller", ""))
	address := freeport.Address(s)
	s.start("epic-controller", s.own("epic-controller"), nil, slices.Concat([]string{"--kubeconfig=" + kubeconfig, "--bind-address="}, metrics(address, kubeconfig))...)
	s.programPod("epic-system", "epic-controller", "epic-controller", "metrics", address)
}

// startOperator starts the operator on the gateway node, with a validator of its own as in a
// cluster.
func (s *site) startOperator() {
	s.Helper()
	s.start("validator", s.own("epic-operator"), nil, "validator", "--socket="+s.in("validator.sock"), "--envoy="+s.envoy)
	api := s.gate(s.world.Gateway, to(nil, "tcp", s.api)).Address()
	kubeconfig := s.kubeconfig("operator", api, "epic-system", s.token("epic-system", "epic-operator", ""))
	s.start("epic-operator", s.own("epic-operator"), s.world.Gateway, slices.Concat([]string{
		"--kubeconfig=" + kubeconfig, "--runner=processes", "--process-dir=" + s.in("op"), "--node-address=" + world.GatewayAddress,
		"--envoy=" + s.envoy, "--proxy=" + s.own("epic-proxy"), "--bind-address=", "--validator=unix:" + s.in("validator.sock"),
	}, metrics("127.0.0.1:8448", kubeconfig))...)
	s.programPod("epic-system", "epic-operator", "epic-operator", "metrics", s.gate(nil, to(s.world.Gateway, "tcp", "127.0.0.1:8448")).Address())
	s.until("the operator describes proxies", func() error {
		_, err := os.Stat(s.in("op", processes.DescriptionFile))
		return err
	})
}

func (s *site) startNodes() {
	s.Helper()
	gateway, tenant := s.world.Gateway, s.world.Tenants[0].Node
	s.programPod("epic-node", "epic-node", "epic-node", "metrics", s.gate(nil, to(gateway, "tcp", "127.0.0.1:9607")).Address())
	// By its token it is the node on which its pod runs.
	s.nodeAPI = s.gate(gateway, to(nil, "tcp", s.api))
	token := s.token("epic-node", "epic-node", "epic-node")
	s.startNode("gateway", gateway, s.kubeconfig("gateway", s.nodeAPI.Address(), "epic-node", token),
		s.kubeconfig("gateway-metrics", s.gate(gateway, to(nil, "tcp", s.api)).Address(), "epic-node", token),
		"--node-address="+world.GatewayAddress, "--proxies-file="+s.in("op", processes.DescriptionFile), "--bgp-password-dir="+s.in("passwords"))

	name := "node." + world.NodeAddress
	api := s.gate(tenant, to(nil, "tcp", s.api)).Address()
	s.pod("epic-client", "epic-node-client", "epic-node-client", "client", "metrics", s.gate(nil, to(tenant, "tcp", "127.0.0.1:9607")).Address(),
		map[string]string{"app.kubernetes.io/name": "epic-node-client"})
	token = s.token(namespace, name, "")
	s.bind(namespace, "epic-node-client", namespace, name)
	s.startNode("client", tenant, s.kubeconfig("client", api, namespace, token),
		s.kubeconfig("client-metrics", api, "epic-client", s.token("epic-client", "epic-node-client", "")),
		"--node-address="+world.NodeAddress, "--namespace="+namespace, "--ping-interval=2s")
}

func (s *site) startNode(role string, host *netlab.Namespace, kubeconfig, reviews string, more ...string) {
	s.Helper()
	bpffs := s.in(role + ".bpf")
	s.must(os.Mkdir(bpffs, 0o700))
	s.must(unix.Mount("bpf", bpffs, "bpf", 0, ""))
	s.Cleanup(func() {
		if err := unix.Unmount(bpffs, unix.MNT_DETACH); err != nil {
			s.Error(err)
		}
	})
	s.start("epic-node-"+role, s.own("epic-node"), host, slices.Concat([]string{
		role, "--kubeconfig=" + kubeconfig, "--pin-path=" + filepath.Join(bpffs, "epic"), "--state-dir=" + s.in(role+".state"), "--status-socket=" + s.in(role+".sock"),
	}, metrics("127.0.0.1:9607", reviews), more)...)
	http := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: host.Dial, DisableKeepAlives: true}}
	s.until("the node program "+role+" is ready", func() error {
		_, err := get(s.Context(), http, "http://127.0.0.1:9606/readyz")
		return err
	})
}

func (s *site) startConnector() {
	s.Helper()
	s.connectorAPI = s.gate(nil, to(nil, "tcp", s.api))
	s.connectorCredential()
	s.bind(namespace, "epic-connector", namespace, "connector."+cluster)
	s.bind(epic.ConfigNamespace, "epic-offered-viewer", namespace, "connector."+cluster)
	local := s.kubeconfig("connector", s.api, "epic-connector", s.token("epic-connector", "epic-connector", ""))
	address := freeport.Address(s)
	s.start("epic-connector", s.own("epic-connector"), nil, slices.Concat([]string{
		"--kubeconfig=" + local, "--epic-kubeconfig=" + s.in("connector-epic.kubeconfig"), "--cluster=" + cluster, "--bind-address=", "--retry-refused=1s", "--service-group=" + group,
	}, metrics(address, local))...)
	s.programPod("epic-connector", "epic-connector", "epic-connector", "metrics", address)
}

// connectorCredential gives the connector the one that epicctl connect makes.
func (s *site) connectorCredential() {
	s.Helper()
	s.kubeconfig("connector-epic", s.connectorAPI.Address(), namespace, s.token(namespace, "connector."+cluster, ""))
}

// get returns the body of a response, or an error that contains it.
func get(ctx context.Context, client *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, strings.TrimSpace(string(text)))
	}
	return string(text), err
}
