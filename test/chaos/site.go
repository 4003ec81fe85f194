// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/operator/processes"
	"github.com/acnodal/epic/test/netlab"
	"github.com/acnodal/epic/test/tools/process"
	"github.com/acnodal/epic/test/tools/wire"
	"github.com/acnodal/epic/test/world"
)

// servers is the number of API servers that share one etcd.
const servers = 2

// startPatience is how long the programs may take to start, on a machine that does much else.
const startPatience = 3 * time.Minute

// site is everything that runs.
type site struct {
	// dir has everything that the run writes; bin has the programs, and old earlier ones, if any.
	dir, bin, old, envoy string
	oracle               *oracle
	tenants              int

	lab   *netlab.Lab
	world *world.World
	// etcdDisk has etcd's data, and stateDisk what the programs of the nodes keep.
	etcdDisk, stateDisk *disk
	bpffs               []string

	programs map[string]*program
	// order is that in which programs were started.
	order []string
	// wires are the ways to the API by the program that uses them, and "etcd1", "etcd2" those of
	// the servers to etcd.
	wires    map[string]*wire.Wire
	balancer *balancer
	servers  []string
	sockets  map[string]string

	client  versioned.Interface
	clients []versioned.Interface
	cancel  context.CancelFunc
	// wiring is the context of wires.
	wiring context.Context //nolint:containedctx // they outlive the programs
	unwire context.CancelFunc
	// audits counts those that were clean.
	audits atomic.Int64
}

func (s *site) in(path ...string) string { return filepath.Join(append([]string{s.dir}, path...)...) }

func (s *site) program(name string) string { return filepath.Join(s.bin, name) }

// opDir is the operator's folder.
func (s *site) opDir() string { return s.in("state", "op") }

// start starts everything and returns when the API is served and all nodes run.
func (s *site) start(parent context.Context) error {
	// Programs are ended in order, by close, and the wires after them.
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	s.cancel = cancel
	s.wiring, s.unwire = context.WithCancel(context.WithoutCancel(parent))
	s.programs, s.wires, s.sockets = map[string]*program{}, map[string]*wire.Wire{}, map[string]string{}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"the disks", s.disks},
		{"the network", s.network},
		{"etcd", s.startEtcd},
		{"the API servers", s.startServers},
		{"the platform's objects", s.platform},
		{"the controller", s.startController},
		{"the operator", s.startOperator},
		{"the nodes", s.startNodes},
	} {
		if err := parent.Err(); err != nil {
			return err
		}
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("start %s: %w", step.what, err)
		}
	}
	return nil
}

func (s *site) disks(ctx context.Context) (err error) {
	if err := os.MkdirAll(s.in("log"), 0o700); err != nil {
		return err
	}
	if s.etcdDisk, err = newDisk(ctx, s.in("etcd.img"), s.in("etcd"), 1<<30); err != nil {
		return err
	}
	s.stateDisk, err = newDisk(ctx, s.in("state.img"), s.in("state"), 1<<30)
	return err
}

func (s *site) network(context.Context) (err error) {
	s.lab = netlab.New()
	if err := os.WriteFile(s.in("lab"), []byte(s.lab.Prefix()), 0o600); err != nil {
		return err
	}
	s.world, err = world.New(s.lab, s.tenants)
	return err
}

// run starts a program that is started again whenever it ends.
func (s *site) run(ctx context.Context, host *netlab.Namespace, name, binary string, args ...string) error {
	path := s.program(binary)
	if s.old != "" {
		if old := filepath.Join(s.old, binary); exists(old) {
			path = old
		}
	}
	p := &program{name: name, host: host, path: path, args: args, log: s.in("log", name+".log"), exited: s.exited}
	s.programs[name] = p
	s.order = append(s.order, name)
	return p.run(ctx)
}

// exited notes that a program has ended by itself.
func (s *site) exited(p *program, err error, tail string) {
	now := time.Now()
	if s.oracle.disturbed(now) {
		s.oracle.remark(fmt.Sprintf("%s ended by itself", p.name), now, fmt.Sprintf("%v\n%s", err, tail))
		return
	}
	s.oracle.wrong("a program ended by itself", p.name, now, fmt.Sprintf("%v\n%s", err, tail))
}

func (s *site) startEtcd(ctx context.Context) error {
	client, err1 := process.FreePort()
	peer, err2 := process.FreePort()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	url, peerURL := fmt.Sprintf("http://127.0.0.1:%d", client), fmt.Sprintf("http://127.0.0.1:%d", peer)
	for i := range servers {
		w, err := wire.New(s.wiring, nil, "127.0.0.1:0", wire.To(strings.TrimPrefix(url, "http://"))) //nolint:contextcheck // wiring ends with the site
		if err != nil {
			return err
		}
		s.wires[fmt.Sprintf("etcd%d", i+1)] = w
	}
	return s.run(ctx, nil, "etcd", "etcd",
		"--data-dir", s.in("etcd", "data"), "--listen-client-urls", url, "--advertise-client-urls", url,
		"--listen-peer-urls", peerURL, "--initial-advertise-peer-urls", peerURL, "--initial-cluster", "default="+peerURL, "--log-level", "warn")
}

// startServers starts API servers that have one authority and the same master keys, as an
// administrator installs them.
func (s *site) startServers(ctx context.Context) error {
	for i := range servers {
		name := fmt.Sprintf("server%d", i+1)
		data := s.in(name)
		if err := os.Mkdir(data, 0o700); err != nil {
			return err
		}
		if i > 0 {
			if err := s.share(s.in("server1"), data); err != nil {
				return err
			}
		}
		port, err := process.FreePort()
		if err != nil {
			return err
		}
		s.servers = append(s.servers, fmt.Sprintf("127.0.0.1:%d", port))
		err = s.run(ctx, nil, name, "epic-apiserver",
			"--standalone", "--data-dir", data, "--secure-port", fmt.Sprint(port), "--kubeconfig-out", s.in(name+".kubeconfig"),
			"--etcd-servers", "http://"+s.wires[fmt.Sprintf("etcd%d", i+1)].Address(),
			// Addresses come to other tenants soon.
			"--address-cooling-period", "20s")
		if err != nil {
			return err
		}
		client, err := s.ready(ctx, s.in(name+".kubeconfig"))
		if err != nil {
			return fmt.Errorf("%s: %w:\n%s", name, err, tail(s.in("log", name+".log"), 2000))
		}
		s.clients = append(s.clients, client)
	}
	s.balancer = newBalancer(s.servers)
	s.balancer.watch(s.wiring) //nolint:contextcheck // wiring ends with the site
	kubeconfig, err := s.way(nil, "tenants", s.in("server1.kubeconfig"))
	if err != nil {
		return err
	}
	s.client, err = s.ready(ctx, kubeconfig)
	return err
}

// share copies the authority and the keys of one server to another's folder.
func (s *site) share(from, to string) error {
	if err := os.CopyFS(filepath.Join(to, "pki"), os.DirFS(filepath.Join(from, "pki"))); err != nil {
		return err
	}
	err := filepath.WalkDir(filepath.Join(to, "pki"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = os.Chmod(path, 0o600) //nolint:gosec // nobody else writes to this folder
		}
		return err
	})
	keys, err2 := os.ReadFile(filepath.Join(from, "tunnel-keys"))
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(to, "tunnel-keys"), keys, 0o600)
}

// ready waits until the server of a kubeconfig is ready.
func (s *site) ready(ctx context.Context, kubeconfig string) (versioned.Interface, error) {
	for deadline := time.Now().Add(startPatience); ; pause(ctx, 100*time.Millisecond) {
		config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err == nil {
			config.QPS, config.Timeout = -1, 30*time.Second
			var client *versioned.Clientset
			if client, err = versioned.NewForConfig(config); err == nil {
				if _, err = client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err == nil {
					return client, nil
				}
			}
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return nil, fmt.Errorf("the API server is not ready: %w", err)
		}
	}
}

var serverLine = regexp.MustCompile(`server: .*`)

// way makes a wire from a namespace to the API, and a kubeconfig that leads there.
func (s *site) way(host *netlab.Namespace, name, from string) (kubeconfig string, err error) {
	w, err := wire.New(s.wiring, host, "127.0.0.1:0", s.balancer.dial)
	if err != nil {
		return "", err
	}
	s.wires[name] = w
	if from == "" {
		return "", nil
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return "", err
	}
	kubeconfig = s.in(name + ".kubeconfig")
	return kubeconfig, os.WriteFile(kubeconfig, serverLine.ReplaceAll(text, []byte("server: https://"+w.Address())), 0o600)
}

func (s *site) startController(ctx context.Context) error {
	kubeconfig, err := s.way(nil, "controller", s.in("server1.kubeconfig"))
	if err != nil {
		return err
	}
	return s.run(ctx, nil, "controller", "epic-controller", "--kubeconfig="+kubeconfig, "--leader-elect=false", "--bind-address=")
}

func (s *site) startOperator(ctx context.Context) error {
	kubeconfig, err := s.way(s.world.Gateway, "operator", s.in("server1.kubeconfig"))
	if err != nil {
		return err
	}
	err = s.run(ctx, s.world.Gateway, "operator", "epic-operator",
		"--kubeconfig="+kubeconfig, "--runner=processes", "--process-dir="+s.opDir(), "--envoy="+s.envoy, "--proxy="+s.program("epic-proxy"),
		"--bind-address=", "--node-address="+world.GatewayAddress)
	if err != nil {
		return err
	}
	return until(ctx, "the operator's description of proxies", func() error {
		_, err := os.Stat(filepath.Join(s.opDir(), processes.DescriptionFile))
		return err
	})
}

func (s *site) startNodes(ctx context.Context) error {
	if err := s.node(ctx, s.world.Gateway, "gateway", world.GatewayAddress, nil, "gateway", "--proxies-file="+filepath.Join(s.opDir(), processes.DescriptionFile)); err != nil {
		return err
	}
	for i, t := range s.world.Tenants {
		number := i + 1
		err := s.node(ctx, t.Node, fmt.Sprintf("client%d", number), world.NodeAddress, []string{"--account=" + account(number)}, "client", "--namespace="+namespace(number), "--ping-interval=5s")
		if err != nil {
			return err
		}
	}
	return nil
}

// node starts a node program with credentials that name the node.
func (s *site) node(ctx context.Context, host *netlab.Namespace, name, address string, credentials []string, role string, args ...string) error {
	if _, err := s.way(host, name, ""); err != nil {
		return err
	}
	kubeconfig := s.in(name + ".kubeconfig")
	credentials = append([]string{"node-kubeconfig", address, "--data-dir=" + s.in("server1"), "--server=https://" + s.wires[name].Address(), "--file=" + kubeconfig}, credentials...)
	if out, err := exec.CommandContext(ctx, s.program("epic-apiserver"), credentials...).CombinedOutput(); err != nil {
		return fmt.Errorf("the kubeconfig of %s: %w: %s", name, err, out)
	}
	bpffs := s.in(name + ".bpf")
	if err := os.Mkdir(bpffs, 0o700); err != nil {
		return err
	}
	if err := unix.Mount("bpf", bpffs, "bpf", 0, ""); err != nil {
		return fmt.Errorf("mount a bpffs at %s: %w", bpffs, err)
	}
	s.bpffs = append(s.bpffs, bpffs)
	s.sockets[name] = s.in(name + ".sock")
	err := s.run(ctx, host, name, "epic-node", append([]string{
		role, "--kubeconfig=" + kubeconfig, "--node-address=" + address, "--pin-path=" + s.pins(name),
		"--state-dir=" + s.in("state", name), "--status-socket=" + s.sockets[name],
	}, args...)...)
	if err != nil {
		return err
	}
	return until(ctx, name, func() error { return s.nodeReady(ctx, host) })
}

func (s *site) pins(name string) string { return s.in(name+".bpf", "epic") }

// nodeReady returns an error unless a node program has done all its work.
func (s *site) nodeReady(ctx context.Context, host *netlab.Namespace) error {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: host.Dial, DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:9606/readyz", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	return err
}

// until waits until f succeeds.
func until(ctx context.Context, what string, f func() error) error {
	for deadline := time.Now().Add(startPatience); ; pause(ctx, 200*time.Millisecond) {
		err := f()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
