// SPDX-License-Identifier: Apache-2.0

//go:build skew

package skew

import (
	"net"
	"os"
	"path/filepath"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/acnodal/epic/pkg/connector"
	"github.com/acnodal/epic/pkg/pki"
	"github.com/acnodal/epic/test/tools/freeport"
	"github.com/acnodal/epic/test/tools/kubebin"
	"github.com/acnodal/epic/test/tools/manifest"
	"github.com/acnodal/epic/test/tools/published"
	"github.com/acnodal/epic/test/world"
)

const (
	root = "../.."
	// clusterName is the client cluster's in EPIC.
	clusterName = "paris"
	// system is the connector's namespace in the client cluster, tenancy the tenant's.
	system, tenancy = "epic-connector", "shop"
)

// tenant is a client cluster: a real Kubernetes API without kubelets, in which the test writes
// what other controllers would, and the connector's replicas.
type tenant struct {
	*site
	core  kubernetes.Interface
	local client.Client
	// published compares the client cluster with what EPIC has.
	published *published.Site
	programs  []*world.Process

	// connectors are the replicas, older ones first; started counts all that there were.
	connectors []*part
	started    int
	version    version
	rolls      int
	asked      []*service
	// lasting is what the connector published first, by kind and name.
	lasting map[string]client.Object
	// certificates are the two that the Gateway has in turn.
	certificates [2]pair
}

// newTenant starts the client cluster's API and the connectors, in the old version.
func (s *site) newTenant() *tenant {
	s.Helper()
	c := &tenant{site: s}
	s.Cleanup(c.end)
	config := c.startKube()
	var err error
	c.core, err = kubernetes.NewForConfig(config)
	s.must(err)
	s.until("the kube-apiserver is ready", func() error { return c.core.Discovery().RESTClient().Get().AbsPath("/readyz").Do(s.Context()).Error() })
	scheme, err := connector.Scheme()
	s.must(err)
	connect := func() error {
		c.local, err = client.New(config, client.Options{Scheme: scheme})
		return err
	}
	s.until("the kube-apiserver lists its kinds", connect)
	kinds, err := kubebin.GatewayAPI(s.Context(), root)
	s.must(err)
	c.apply(kinds...)
	install := filepath.Join(root, "artifacts/install/connector")
	// As an upgrade applies them before it replaces the first pod: old connectors run with this
	// tree's permissions.
	c.apply(filepath.Join(install, "namespace.yaml"), filepath.Join(install, "serviceaccount.yaml"), filepath.Join(install, "rbac.yaml"))
	s.until("the kube-apiserver serves the Gateway API", connect)
	c.apply(filepath.Join(install, "gatewayclass.yaml"))
	token, err := c.core.CoreV1().ServiceAccounts(system).CreateToken(s.Context(), system, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](24 * 3600)},
	}, metav1.CreateOptions{})
	s.must(err)
	s.must(kubebin.WriteKubeconfig(s.in("local.kubeconfig"), config.Host, config.CAData, system, token.Status.Token))

	there, err := clientcmd.BuildConfigFromFlags("", s.in("kubeconfig"))
	s.must(err)
	epic, err := client.New(there, client.Options{Scheme: scheme})
	s.must(err)
	c.published = &published.Site{Local: c.local, EPIC: epic, Namespace: namespace, Cluster: clusterName, Group: group, NoSecrets: true}
	for range 2 {
		c.connectors = append(c.connectors, c.replica(older))
	}
	c.version = older
	return c
}

// startKube starts the client cluster's etcd and kube-apiserver, and returns the access of its
// administrator.
func (c *tenant) startKube() *rest.Config {
	c.Helper()
	kube, err := kubebin.Find(c.Context(), root, "", c.Logf)
	c.must(err)
	folder := c.in("kube")
	c.must(os.Mkdir(folder, 0o700))
	local := []net.IP{net.IPv4(127, 0, 0, 1)}
	own, err := pki.Open(c.Context(), filepath.Join(folder, "pki"), []string{"localhost"}, local)
	c.must(err)
	front, err := pki.Open(c.Context(), filepath.Join(folder, "front-proxy"), []string{"localhost"}, local)
	c.must(err)
	url, peer, address := "http://"+freeport.Address(c), "http://"+freeport.Address(c), freeport.Address(c)
	_, port, err := net.SplitHostPort(address)
	c.must(err)
	start := func(name, path string, args ...string) {
		p, err := world.Start(nil, c.in(name+".log"), path, args...)
		c.must(err)
		c.programs = append(c.programs, p)
	}
	start("kube-etcd", kube.Etcd, kubebin.EtcdArgs(filepath.Join(folder, "etcd"), url, peer)...)
	start("kube-apiserver", kube.KubeAPIServer, append(kubebin.ServerArgs(own, front, folder, port), "--etcd-servers", url, "--shutdown-delay-duration=0")...)
	kubeconfig := filepath.Join(folder, "kubeconfig")
	c.must(own.WriteKubeconfig(kubeconfig, "https://"+address))
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	c.must(err)
	config.QPS = -1
	if config.CAData == nil {
		config.CAData, err = os.ReadFile(own.CAFile())
		c.must(err)
	}
	return config
}

// apply creates the objects of files.
func (c *tenant) apply(files ...string) {
	c.Helper()
	c.must(manifest.Apply(c.Context(), c.local, func(file string, request func() error) error {
		c.until(file, request)
		return nil
	}, files...))
}

// end stops the connectors, then the API that they use.
func (c *tenant) end() {
	for _, p := range c.connectors {
		if err := p.process.Stop(); err != nil {
			c.Errorf("%s: %v", p.name, err)
		}
	}
	slices.Reverse(c.programs)
	for _, p := range c.programs {
		// Nobody needs its data, and an etcd that was asked to end reports a signal as an error.
		if err := p.Kill(); err != nil {
			c.Error(err)
		}
	}
}
