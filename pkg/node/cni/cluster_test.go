// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"

	"github.com/acnodal/epic/pkg/node/cni/podnet"
	"github.com/acnodal/epic/pkg/node/cni/wire"
	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/pkg/node/internal/testns"
	"github.com/acnodal/epic/pkg/node/proxies"
)

// program is the real plugin, built once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "epic-cni-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "epic-cni")
	out, err := exec.CommandContext(context.Background(), "go", "build", "-o", path, "github.com/acnodal/epic/cmd/cni").CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("build the plugin: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, _ := program(); path != "" {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// resolver knows pods by name.
type resolver struct {
	mu    sync.Mutex
	pods  map[string]*Proxy
	gone  map[string]bool
	asked int
	err   error
}

func (r *resolver) Resolve(_ context.Context, _, name string, _ types.UID) (*Proxy, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	return r.pods[name], r.err
}

func (r *resolver) Gone(_, name string, _ types.UID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone[name]
}

// cluster is a gateway node with its network and its node program.
type cluster struct {
	t        testing.TB
	node     *testns.NS
	cni0     netlink.Link
	resolver *resolver
	server   *Server
	attached *Attached
	host     *host.Host
	socket   string
	state    string
	stop     func()
	pods     int
}

func newCluster(t testing.TB) *cluster {
	t.Helper()
	c := &cluster{t: t, node: testns.New(t), state: t.TempDir(), resolver: &resolver{pods: map[string]*Proxy{}, gone: map[string]bool{}}}
	c.socket = filepath.Join(t.TempDir(), "run", "cni.sock")
	br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "cni0", TxQLen: -1}}
	if err := c.node.Net.LinkAdd(br); err != nil {
		t.Fatal(err)
	}
	if err := c.node.Net.LinkSetUp(br); err != nil {
		t.Fatal(err)
	}
	c.cni0 = br
	c.node.Address(br, "10.244.1.1/24")
	c.node.Address(br, "fd00:244:1::1/64")
	// The cluster's services and another pod of the node, behind the first interface.
	lo, err := c.node.Net.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	c.node.Address(lo, "10.96.0.1/32")
	c.node.Address(lo, "10.244.9.9/32")
	c.node.Sysctl("net/ipv4/ip_forward", "1")
	c.node.Sysctl("net/ipv6/conf/all/forwarding", "1")
	if c.host, err = host.New(host.Options{Namespace: c.node.Handle}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.host.Close)
	if _, err := c.host.Apply(host.Desired{Bridges: []host.Bridge{{Name: "multus0", MTU: 1400}}}); err != nil {
		t.Fatal(err)
	}
	c.start()
	return c
}

func (c *cluster) start() {
	c.t.Helper()
	var err error
	if c.attached, err = OpenAttached(c.t.Context(), c.state, c.node.Handle); err != nil {
		c.t.Fatal(err)
	}
	c.server = &Server{Resolver: c.resolver, Attached: c.attached, Worker: podnet.Worker{Host: c.node.Handle}}
	l, err := Listen(c.t.Context(), c.socket)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- c.server.Run(ctx, l) }()
	go func() { done <- c.attached.Run(ctx, func() {}) }()
	c.stop = sync.OnceFunc(func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				c.t.Errorf("the node program ends: %v", err)
			}
		}
		c.attached.Close()
	})
	c.t.Cleanup(func() { c.stop() })
}

// pod is a pod of the node, as the plugin before leaves it.
type pod struct {
	c         *cluster
	ns        *testns.NS
	name      string
	namespace string
	container string
	prev      string
	before    string
}

func (c *cluster) pod(namespace, name string) *pod {
	c.t.Helper()
	c.pods++
	n := c.pods
	p := &pod{c: c, ns: testns.New(c.t), namespace: namespace, name: name, container: fmt.Sprintf("container%d", n)}
	hostEnd, eth0 := testns.Veth(c.t, c.node, fmt.Sprintf("veth%d", n), p.ns, "eth0")
	if err := c.node.Net.LinkSetMaster(hostEnd, c.cni0); err != nil {
		c.t.Fatal(err)
	}
	v4, v6 := fmt.Sprintf("10.244.1.%d", n+1), fmt.Sprintf("fd00:244:1::%x", n+1)
	p.ns.Address(eth0, v4+"/24")
	p.ns.Address(eth0, v6+"/64")
	for dst, gw := range map[string]string{"0.0.0.0/0": "10.244.1.1", "::/0": "fd00:244:1::1"} {
		_, all, _ := net.ParseCIDR(dst)
		if err := p.ns.Net.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Dst: all, Gw: net.ParseIP(gw)}); err != nil {
			c.t.Fatal(err)
		}
	}
	p.prev = fmt.Sprintf(`{"cniVersion":"1.0.0", "interfaces":[{"name":"eth0","sandbox":%q}],"ips":[{"address":"%s/24","interface":0}],"dns":{},"odd":[1,2.50]}`, p.ns.Path, v4)
	p.before = p.snapshot()
	return p
}

// proxy is a pod that the node program knows as a proxy.
func (c *cluster) proxy(name string, addrs ...string) *pod {
	c.t.Helper()
	p := &Proxy{Kind: proxies.GWProxy, Namespace: "epic-a", Owner: "web", PodUID: types.UID("uid-" + name), Bridge: "multus0"}
	for _, a := range addrs {
		p.Addresses = append(p.Addresses, netip.MustParseAddr(a))
	}
	p.Keep = []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16"), netip.MustParsePrefix("198.51.100.1/32")}
	c.resolver.mu.Lock()
	c.resolver.pods[name] = p
	c.resolver.mu.Unlock()
	return c.pod("epic-a", name)
}

// cniError is what a plugin prints when it fails.
type cniError struct {
	Code uint   `json:"code"`
	Msg  string `json:"msg"`
}

func (e *cniError) Error() string { return fmt.Sprintf("code %d: %s", e.Code, e.Msg) }

// run runs the real plugin in the node's namespace.
func (p *pod) run(command, version, extra string) (string, error) {
	p.c.t.Helper()
	path, err := program()
	if err != nil {
		p.c.t.Fatal(err)
	}
	conf := fmt.Sprintf(`{"cniVersion":%q,"name":"mynet","type":"epic-cni","socket":%q,"timeoutSeconds":5,"ignoreNamespaces":["epic-system"]%s}`, version, p.c.socket, extra)
	cmd := exec.CommandContext(context.Background(), path)
	cmd.Env = append(os.Environ(), "CNI_COMMAND="+command, "CNI_CONTAINERID="+p.container, "CNI_NETNS="+p.ns.Path, "CNI_IFNAME=eth0", "CNI_PATH=/opt/cni/bin",
		fmt.Sprintf("CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=%s;K8S_POD_NAME=%s;K8S_POD_UID=uid-%s", p.namespace, p.name, p.name))
	cmd.Stdin = strings.NewReader(conf)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := p.c.node.Do(cmd.Run); err != nil {
		var e cniError
		if json.Unmarshal(out.Bytes(), &e) != nil || e.Code == 0 {
			p.c.t.Fatalf("%s: %v, and it printed no error of the specification: %q %q", command, err, out.String(), stderr.String())
		}
		return "", &e
	}
	return out.String(), nil
}

func (p *pod) add() (string, error) { return p.run("ADD", "1.0.0", `,"prevResult":`+p.prev) }

func (p *pod) del() error {
	_, err := p.run("DEL", "1.0.0", `,"prevResult":`+p.prev)
	return err
}

func (p *pod) check() error { _, err := p.run("CHECK", "1.0.0", `,"prevResult":`+p.prev); return err }

// snapshot describes what the pod has, to see that nothing is left.
func (p *pod) snapshot() string {
	p.c.t.Helper()
	var out []string
	for _, f := range families {
		routes, err := p.ns.Net.RouteListFiltered(f, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		if err != nil {
			p.c.t.Fatal(err)
		}
		for _, r := range routes {
			if r.Table != unix.RT_TABLE_LOCAL {
				out = append(out, "route "+r.String())
			}
		}
		rules, err := p.ns.Net.RuleList(f)
		if err != nil {
			p.c.t.Fatal(err)
		}
		for _, r := range rules {
			out = append(out, "rule "+r.String())
		}
		addrs, err := p.ns.Net.AddrList(nil, f)
		if err != nil {
			p.c.t.Fatal(err)
		}
		for _, a := range addrs {
			out = append(out, "address "+a.IPNet.String())
		}
	}
	links, err := p.ns.Net.LinkList()
	if err != nil {
		p.c.t.Fatal(err)
	}
	for _, l := range links {
		out = append(out, "link "+l.Attrs().Name)
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

var families = []int{netlink.FAMILY_V4, netlink.FAMILY_V6}

// clean fails if anything of an attachment is left.
func (p *pod) clean(when string) {
	p.c.t.Helper()
	if now := p.snapshot(); now != p.before {
		p.c.t.Errorf("%s: the pod is not as before:\n%s\nbefore:\n%s", when, now, p.before)
	}
	if ends := p.c.hostEnds(); len(ends) != 0 {
		p.c.t.Errorf("%s: host's ends are left: %v", when, ends)
	}
	if all := p.c.attached.All(); len(all) != 0 {
		p.c.t.Errorf("%s: attachments are left: %v", when, all)
	}
}

func (c *cluster) hostEnds() []string {
	c.t.Helper()
	links, err := c.node.Net.LinkList()
	if err != nil {
		c.t.Fatal(err)
	}
	var out []string
	for _, l := range links {
		if _, own := wire.ParseAlias(l.Attrs().Alias); own || strings.HasPrefix(l.Attrs().Name, "epic") {
			out = append(out, l.Attrs().Name)
		}
	}
	return out
}

func (p *pod) hostName() string {
	return wire.Attachment{Container: p.container, Interface: "eth0"}.HostName()
}
