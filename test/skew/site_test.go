// SPDX-License-Identifier: Apache-2.0

//go:build skew

package skew

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/envoytest"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/operator/processes"
	"github.com/acnodal/epic/test/netlab"
	"github.com/acnodal/epic/test/tools/freeport"
	"github.com/acnodal/epic/test/world"
)

const (
	// patience is how long anything may take before it counts as failed.
	patience  = time.Minute
	account   = "acme"
	group     = "edge"
	namespace = "epic-" + account
)

// version is one of the two.
type version string

const (
	older version = "old"
	newer version = "new"
)

func (v version) other() version {
	if v == older {
		return newer
	}
	return older
}

// part is a program of the site that has a version.
type part struct {
	name, program string
	host          *netlab.Namespace
	args          func(v version) []string
	process       *world.Process
	version       version
	// ready reports what is missing until it works.
	ready func() error
	// roll puts a program with several replicas in a version, as a Deployment does.
	roll func(v version)
}

// site is the small Internet with all programs.
type site struct {
	*testing.T
	dir    string
	bin    map[version]string
	world  *world.World
	client versioned.Interface
	url    string
	// parts are in the order of an upgrade.
	parts  []*part
	tenant *tenant
}

// newSite starts everything in the old version.
func newSite(t *testing.T, bin map[version]string) *site {
	t.Helper()
	lab := netlab.Test(t)
	dir, err := os.MkdirTemp("", "epic-skew-") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	address := freeport.Address(t)
	s := &site{T: t, dir: dir, bin: bin, url: "https://" + address}
	s.world, err = world.New(lab, 1)
	s.must(err)
	_, port, err := net.SplitHostPort(address)
	s.must(err)
	for _, host := range []*netlab.Namespace{s.world.Gateway, s.world.Tenants[0].Node} {
		s.must(world.Relay(t.Context(), host, address))
	}
	s.must(os.MkdirAll(s.in("op"), 0o700))
	s.parts = []*part{
		s.apiServer(port),
		{name: "controller", program: "epic-controller", args: func(version) []string {
			return []string{"--kubeconfig=" + s.in("kubeconfig"), "--leader-elect=false", "--bind-address="}
		}},
		s.newOperator(),
		s.node("gateway", s.world.Gateway, world.GatewayAddress, "", "--proxies-file="+filepath.Join(s.in("op"), processes.DescriptionFile)),
		s.node("client", s.world.Tenants[0].Node, world.NodeAddress, account, "--namespace="+namespace, "--ping-interval=2s"),
	}
	t.Cleanup(s.end)
	for i, p := range s.parts {
		s.start(p, older)
		if i > 0 {
			continue
		}
		config, err := clientcmd.BuildConfigFromFlags("", s.in("kubeconfig"))
		s.must(err)
		s.client, err = versioned.NewForConfig(config)
		s.must(err)
		s.platform()
		s.kubeconfig("gateway", world.GatewayAddress, "")
		s.kubeconfig("client", world.NodeAddress, account)
	}
	s.tenant = s.newTenant()
	s.parts = append(s.parts, s.tenant.part())
	for _, port := range ports {
		s.must(world.ServeHTTP(t.Context(), s.world.Tenants[0].Pod, fmt.Sprintf(":%d", port), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, "%d", port)
		})))
	}
	return s
}

// ports are those of the tenant's pod, which answers with the port.
var ports = [2]int32{8080, 8081}

func (s *site) in(path ...string) string { return filepath.Join(append([]string{s.dir}, path...)...) }

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// until waits until f returns nothing that is missing.
func (s *site) until(what string, f func() error) {
	s.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("%s: not within %s: %v", what, patience, err)
		}
	}
}

func (s *site) apiServer(port string) *part {
	return &part{
		name: "apiserver", program: "epic-apiserver",
		args: func(version) []string {
			return []string{"--standalone", "--data-dir=" + s.in("data"), "--secure-port=" + port, "--kubeconfig-out=" + s.in("kubeconfig")}
		},
		ready: func() error {
			config, err := clientcmd.BuildConfigFromFlags("", s.in("kubeconfig"))
			if err != nil {
				return err
			}
			client, err := versioned.NewForConfig(config)
			if err != nil {
				return err
			}
			_, err = client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(s.Context())
			return err
		},
	}
}

// operator returns that part.
func (s *site) operator() *part {
	return s.parts[slices.IndexFunc(s.parts, func(p *part) bool { return p.name == "operator" })]
}

// newOperator is the one that gives new proxies an epic-proxy of its own version.
func (s *site) newOperator() *part {
	envoy := envoytest.Path(s)
	return &part{name: "operator", program: "epic-operator", host: s.world.Gateway, args: func(v version) []string {
		return []string{
			"--kubeconfig=" + s.in("kubeconfig"), "--runner=processes", "--process-dir=" + s.in("op"), "--node-address=" + world.GatewayAddress,
			"--envoy=" + envoy, "--proxy=" + filepath.Join(s.bin[v], "epic-proxy"), "--bind-address=",
		}
	}, ready: func() error {
		_, err := os.Stat(filepath.Join(s.in("op"), processes.DescriptionFile))
		return err
	}}
}

func (s *site) node(role string, host *netlab.Namespace, address, of string, more ...string) *part {
	s.Helper()
	dir := s.in(role)
	s.must(os.MkdirAll(filepath.Join(dir, "bpf"), 0o700))
	s.must(unix.Mount("bpf", filepath.Join(dir, "bpf"), "bpf", 0, ""))
	s.Cleanup(func() {
		if err := unix.Unmount(filepath.Join(dir, "bpf"), unix.MNT_DETACH); err != nil {
			s.Error(err)
		}
	})
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: host.Dial, DisableKeepAlives: true}}
	return &part{name: role, program: "epic-node", host: host, args: func(version) []string {
		return append([]string{
			role, "--kubeconfig=" + filepath.Join(dir, "kubeconfig"), "--node-address=" + address, "--pin-path=" + filepath.Join(dir, "bpf", "epic"),
			"--state-dir=" + filepath.Join(dir, "state"), "--status-socket=" + filepath.Join(dir, "sock"),
		}, more...)
	}, ready: func() error {
		_, err := get(client, "http://127.0.0.1:9606/readyz")
		return err
	}}
}

// kubeconfig makes a node's.
func (s *site) kubeconfig(role, address, of string) {
	s.Helper()
	args := []string{"node-kubeconfig", address, "--data-dir=" + s.in("data"), "--server=" + s.url, "--file=" + s.in(role, "kubeconfig")}
	if of != "" {
		args = append(args, "--account="+of)
	}
	if out, err := exec.CommandContext(s.Context(), filepath.Join(s.bin[older], "epic-apiserver"), args...).CombinedOutput(); err != nil {
		s.Fatalf("%v: %s", err, out)
	}
}

// platform makes what a platform admin makes.
func (s *site) platform() {
	s.Helper()
	ctx, api := s.Context(), s.client.EpicV1()
	check := func(_ any, err error) { s.Helper(); s.must(err) }
	check(api.EPICs(epic.ConfigNamespace).Create(ctx, &epicv1.EPIC{ObjectMeta: metav1.ObjectMeta{Name: epic.ConfigName}}, metav1.CreateOptions{}))
	check(api.ServicePrefixes(epic.ConfigNamespace).Create(ctx, &epicv1.ServicePrefix{
		ObjectMeta: metav1.ObjectMeta{Name: "pool"},
		Spec: epicv1.ServicePrefixSpec{PublicPool: &epicv1.AddressPool{
			Pool: "192.168.77.2-192.168.77.127", Subnet: world.PublicPrefix, Aggregation: "/32", MultusBridge: world.Bridge,
		}},
	}, metav1.CreateOptions{}))
	check(api.LBServiceGroups(epic.ConfigNamespace).Create(ctx, &epicv1.LBServiceGroup{
		ObjectMeta: metav1.ObjectMeta{Name: group, Labels: map[string]string{epic.OwningServicePrefixLabel: "pool"}},
	}, metav1.CreateOptions{}))
	check(api.Accounts(namespace).Create(ctx, &epicv1.Account{ObjectMeta: metav1.ObjectMeta{Name: account}}, metav1.CreateOptions{}))
}

// start starts a part in a version and waits until it works.
func (s *site) start(p *part, v version) {
	s.Helper()
	var err error
	p.process, err = world.Start(p.host, s.in(p.name+".log"), filepath.Join(s.bin[v], p.program), p.args(v)...)
	s.must(err)
	p.version = v
	// The kubeconfigs of nodes are there when the server is.
	if p.ready == nil {
		return
	}
	s.until(fmt.Sprintf("%s %s is ready", v, p.name), func() error {
		select {
		case <-p.process.Exited():
			text, _ := os.ReadFile(p.process.Log)
			s.Fatalf("The %s %s has ended: %v\n%s", v, p.name, p.process.Err(), text[max(0, len(text)-4000):])
		default:
		}
		return p.ready()
	})
}

// replace runs a part in a version.
func (s *site) replace(p *part, v version) {
	s.Helper()
	if p.roll != nil {
		p.roll(v)
		return
	}
	s.must(p.process.Stop())
	s.start(p, v)
}

// end stops everything that runs.
func (s *site) end() {
	for i := len(s.parts) - 1; i >= 0; i-- {
		if p := s.parts[i]; p.process != nil {
			if err := p.process.Stop(); err != nil {
				s.Errorf("%s: %v", p.name, err)
			}
		}
	}
	cleanup := exec.Command(filepath.Join(s.bin[newer], "epic-operator"), "cleanup", "--process-dir="+s.in("op"), "--grace=1s")
	var out strings.Builder
	cleanup.Stdout, cleanup.Stderr = &out, &out
	if err := s.world.Gateway.Do(cleanup.Run); err != nil {
		s.Errorf("end the proxies: %v: %s", err, out.String())
	}
	if s.Failed() {
		logs, _ := filepath.Glob(s.in("*.log"))
		more, _ := filepath.Glob(s.in("op", "p", "*", "log"))
		for _, file := range append(logs, more...) {
			if text, err := os.ReadFile(file); err == nil {
				s.Logf("%s:\n%s", file, text[max(0, len(text)-6000):])
			}
		}
	}
}
