// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
	"time"

	types100 "github.com/containernetworking/cni/pkg/types/100"
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
	attached *proxies.Attached
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
	if c.attached, err = proxies.OpenAttached(c.t.Context(), c.state, c.node.Handle); err != nil {
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

func TestOtherPodsPassThrough(t *testing.T) {
	c := newCluster(t)
	c.stop()
	for _, namespace := range []string{"default", "kube-system", "epic", "epic-system"} {
		p := c.pod(namespace, "p")
		out, err := p.add()
		if err != nil || out != p.prev {
			t.Errorf("%s: ADD without a node program: %q, %v; want the result before, unchanged", namespace, out, err)
		}
		if err := p.check(); err != nil {
			t.Errorf("%s: CHECK: %v", namespace, err)
		}
		if err := p.del(); err != nil {
			t.Errorf("%s: DEL: %v", namespace, err)
		}
		if now := p.snapshot(); now != p.before {
			t.Errorf("%s: the pod was changed", namespace)
		}
	}
	p := c.pod("default", "p")
	if _, err := p.run("STATUS", "1.1.0", ""); err != nil {
		t.Errorf("STATUS without a node program: %v", err)
	}
	if out, err := p.run("VERSION", "1.0.0", ""); err != nil || !strings.Contains(out, "0.3.1") || !strings.Contains(out, "1.1.0") {
		t.Errorf("VERSION: %q, %v", out, err)
	}
	var e *cniError
	if _, err := p.run("ADD", "1.0.0", ""); !errors.As(err, &e) || e.Code != 7 {
		t.Errorf("ADD as the first of the chain: %v", err)
	}
}

func TestPodOfAnAccountThatIsNoProxy(t *testing.T) {
	c := newCluster(t)
	p := c.pod("epic-a", "other")
	out, err := p.add()
	if err != nil || out != p.prev {
		t.Errorf("ADD: %q, %v", out, err)
	}
	if c.resolver.asked != 1 {
		t.Errorf("the node program was asked %d times", c.resolver.asked)
	}
	if err := p.check(); err != nil {
		t.Errorf("CHECK: %v", err)
	}
	if err := p.del(); err != nil {
		t.Errorf("DEL: %v", err)
	}
	p.clean("a pod that is no proxy")
}

func TestProxyLifetime(t *testing.T) {
	for _, version := range []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		t.Run(version, func(t *testing.T) {
			c := newCluster(t)
			p := c.proxy("web-1", "203.0.113.5", "2001:db8:5::5")
			prev := `,"prevResult":` + strings.Replace(p.prev, "1.0.0", version, 1)
			if version < "1" {
				prev = strings.Replace(prev, `"address"`, `"version":"4","address"`, 1)
			}
			var results []string
			// Twice: the second finds everything there.
			for range 2 {
				out, err := p.run("ADD", version, prev)
				if err != nil {
					t.Fatal(err)
				}
				results = append(results, out)
			}
			if results[0] != results[1] {
				t.Errorf("the second ADD says something else:\n%s\n%s", results[0], results[1])
			}
			for _, want := range []string{p.hostName(), `"name": "net1"`, `"203.0.113.5/32"`, `"2001:db8:5::5/128"`, `"eth0"`, `"cniVersion": "` + version} {
				if !strings.Contains(results[0], want) {
					t.Errorf("the result has no %s:\n%s", want, results[0])
				}
			}
			if version == "1.0.0" {
				checkResult(t, results[0])
			}
			list := c.attached.List()
			if len(list) != 1 || list[0].Pod != "web-1" || list[0].Owner != "web" || list[0].Name != p.hostName() || len(list[0].Addresses) != 2 {
				t.Errorf("the source lists %+v", list)
			}
			if version != "0.3.1" {
				if _, err := p.run("CHECK", version, prev); err != nil {
					t.Errorf("CHECK: %v", err)
				}
			}
			for range 2 {
				if _, err := p.run("DEL", version, prev); err != nil {
					t.Fatal(err)
				}
				p.clean("after DEL")
			}
		})
	}
}

func checkResult(t *testing.T, out string) {
	t.Helper()
	parsed, err := types100.NewResult([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	r, err := types100.NewResultFromResult(parsed)
	if err != nil {
		t.Fatal(err)
	}
	for _, ip := range r.IPs[1:] {
		if i := r.Interfaces[*ip.Interface]; i.Name != "net1" || i.Mtu != 1400 || i.Sandbox == "" {
			t.Errorf("%s belongs to %+v", ip.Address.String(), i)
		}
	}
}

// TestRoutes shows by which interface a proxy sends what.
func TestRoutes(t *testing.T) {
	c := newCluster(t)
	p := c.proxy("web-1", "203.0.113.5", "2001:db8:5::5")
	if _, err := p.add(); err != nil {
		t.Fatal(err)
	}
	name := func(index int) string {
		l, err := p.ns.Net.LinkByIndex(index)
		if err != nil {
			t.Fatal(err)
		}
		return l.Attrs().Name
	}
	for _, tt := range []struct{ from, to, by, source string }{
		{"", "192.0.2.77", "net1", "203.0.113.5"},
		{"", "2001:db8:77::1", "net1", "2001:db8:5::5"},
		// A tenant's pod may have the address of a pod of this cluster.
		{"", "10.244.1.77", "net1", "203.0.113.5"},
		{"", "10.244.9.9", "net1", "203.0.113.5"},
		{"", "fd00:244:1::77", "net1", "2001:db8:5::5"},
		{"", "10.96.0.1", "eth0", "10.244.1.2"},
		{"", "198.51.100.1", "eth0", "10.244.1.2"},
		// Replies to a scrape or a probe.
		{"10.244.1.2", "10.244.9.9", "eth0", "10.244.1.2"},
		{"10.244.1.2", "10.244.1.1", "eth0", "10.244.1.2"},
		{"fd00:244:1::2", "fd00:244:9::9", "eth0", "fd00:244:1::2"},
	} {
		routes, err := p.ns.Net.RouteGetWithOptions(net.ParseIP(tt.to), &netlink.RouteGetOptions{SrcAddr: net.ParseIP(tt.from)})
		if err != nil || len(routes) != 1 {
			t.Errorf("from %q to %s: %v, %v", tt.from, tt.to, routes, err)
			continue
		}
		if by := name(routes[0].LinkIndex); by != tt.by {
			t.Errorf("from %q to %s goes by %s, not %s", tt.from, tt.to, by, tt.by)
		}
		if s := routes[0].Src; tt.from == "" && s != nil && s.String() != tt.source {
			t.Errorf("to %s goes from %s, not %s", tt.to, s, tt.source)
		}
	}
	// The service answers, and the node reaches the pod at its cluster address.
	if err := connects(c.node, p.ns, "10.96.0.1"); err != nil {
		t.Errorf("a service of the cluster: %v", err)
	}
	if err := connects(p.ns, c.node, "10.244.1.2"); err != nil {
		t.Errorf("the node's probe: %v", err)
	}
	// A family without a public address leads nowhere.
	q := c.proxy("web-2", "203.0.113.6")
	if _, err := q.add(); err != nil {
		t.Fatal(err)
	}
	// Not even if a router on the first interface offers one.
	eth0, err := q.ns.Net.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	q.ns.Route(eth0, "::/0", "fd00:244:1::1")
	if r, err := q.ns.Net.RouteGet(net.ParseIP("2001:db8:77::1")); err == nil {
		t.Errorf("an IPv6 packet of a proxy with an IPv4 address goes by %v", r)
	}
}

// connects makes a connection between two namespaces.
func connects(server, client *testns.NS, addr string) error {
	var l net.Listener
	if err := server.Do(func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr+":8080")
		return err
	}); err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	return client.Do(func() error {
		c, err := (&net.Dialer{Timeout: 3 * time.Second}).DialContext(context.Background(), "tcp", addr+":8080")
		if err == nil {
			_ = c.Close()
		}
		return err
	})
}

func TestPublicTraffic(t *testing.T) {
	c := newCluster(t)
	p := c.proxy("web-1", "203.0.113.5")
	if _, err := p.add(); err != nil {
		t.Fatal(err)
	}
	i := c.attached.List()[0]
	addr := i.Addresses[0]
	if _, err := c.host.Apply(host.Desired{
		Bridges:   []host.Bridge{{Name: "multus0", MTU: 1400}},
		Addresses: []host.Address{{Address: addr, Announce: netip.PrefixFrom(addr, 32), Bridge: "multus0", Ends: []host.End{{Index: i.Index, MAC: i.PeerMAC}}}},
		Openings:  []host.Opening{{Address: addr, Protocol: unix.IPPROTO_TCP, Port: 8080}},
	}); err != nil {
		t.Fatal(err)
	}
	internet := testns.New(t)
	uplink, outside := testns.Veth(t, c.node, "uplink", internet, "eth0")
	c.node.Address(uplink, "198.51.100.1/24")
	internet.Address(outside, "198.51.100.9/24")
	internet.Route(outside, "203.0.113.0/24", "198.51.100.1")
	if err := connects(p.ns, internet, "203.0.113.5"); err != nil {
		t.Errorf("from the internet to the proxy: %v", err)
	}
	if err := connects(internet, p.ns, "198.51.100.9"); err != nil {
		t.Errorf("from the proxy to the internet: %v", err)
	}
}

func TestNodeProgramAway(t *testing.T) {
	c := newCluster(t)
	p := c.proxy("web-1", "203.0.113.5")
	c.stop()
	_, err := p.add()
	var e *cniError
	if !errors.As(err, &e) || e.Code != 11 || !strings.Contains(e.Msg, c.socket) {
		t.Errorf("ADD: %v; want code 11 with the socket's path", err)
	}
	p.clean("a refused ADD")
	c.start()
	if _, err := p.add(); err != nil {
		t.Fatal(err)
	}
	c.stop()
	if err := p.del(); err != nil {
		t.Errorf("DEL without the node program: %v", err)
	}
	if ends := c.hostEnds(); len(ends) != 0 {
		t.Errorf("DEL without the node program leaves %v", ends)
	}
	if all := c.attached.All(); len(all) != 1 {
		t.Fatalf("what is kept: %v", all)
	}
	// It learns of it when it is back and the namespace is gone.
	p.ns.Delete()
	c.start()
	for range 100 {
		if len(c.attached.All()) == 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if all := c.attached.All(); len(all) != 0 {
		t.Errorf("after the restart it still keeps %v", all)
	}
}

func TestRefusals(t *testing.T) {
	c := newCluster(t)
	p := c.proxy("web-1", "203.0.113.5")
	c.resolver.err = wire.Again("GWProxy epic-a/web has no public address yet")
	_, err := p.add()
	var e *cniError
	if !errors.As(err, &e) || e.Code != 11 || !strings.Contains(e.Msg, "no public address yet") {
		t.Errorf("an object that is not ready: %v", err)
	}
	c.resolver.err = &wire.RefusalError{Message: "both labels"}
	if _, err := p.add(); !errors.As(err, &e) || e.Code != 999 || !strings.Contains(e.Msg, "both labels") {
		t.Errorf("a pod that can never start: %v", err)
	}
	c.resolver.err = nil
	c.resolver.pods["web-1"].Bridge = "missing0"
	if _, err := p.add(); !errors.As(err, &e) || e.Code != 11 || !strings.Contains(e.Msg, "missing0") {
		t.Errorf("a bridge that is not there: %v", err)
	}
	p.clean("refused ADDs")
	// The pod has such an interface already.
	c.resolver.pods["web-1"].Bridge = "multus0"
	if err := p.ns.Net.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "net1", TxQLen: -1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.add(); !errors.As(err, &e) || !strings.Contains(e.Msg, "net1") {
		t.Errorf("a pod with a foreign net1: %v", err)
	}
	if _, err := p.ns.Net.LinkByName("net1"); err != nil {
		t.Errorf("the foreign net1 is gone: %v", err)
	}
	if ends := c.hostEnds(); len(ends) != 0 {
		t.Errorf("host's ends are left: %v", ends)
	}
}

// TestFaults fails each step in turn: nothing is left, and the next try succeeds.
func TestFaults(t *testing.T) {
	c := newCluster(t)
	p := c.proxy("web-1", "203.0.113.5", "2001:db8:5::5")
	answer, err := c.server.plan(t.Context(), wire.Request{
		Attachment:   wire.Attachment{Network: "mynet", Container: p.container, Interface: "eth0"},
		PodNamespace: "epic-a", PodName: "web-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	w := podnet.Worker{Host: c.node.Handle, Fault: func(step string) error { steps = append(steps, step); return nil }}
	if _, err := w.Attach(p.ns.Path, "eth0", answer.Plan); err != nil {
		t.Fatal(err)
	}
	if err := w.Detach(p.ns.Path, wire.Attachment{Network: "mynet", Container: p.container, Interface: "eth0"}); err != nil {
		t.Fatal(err)
	}
	p.clean("a Detach")
	if len(steps) < 10 {
		t.Errorf("only %d steps: %v", len(steps), steps)
	}
	broken := errors.New("broken")
	for i := range steps {
		at := -1
		w.Fault = func(string) error {
			if at++; at == i {
				return broken
			}
			return nil
		}
		if _, err := w.Attach(p.ns.Path, "eth0", answer.Plan); !errors.Is(err, broken) || !strings.Contains(err.Error(), steps[i]) {
			t.Errorf("a fault in %q: %v", steps[i], err)
		}
		p.clean("a fault in " + steps[i])
	}
	// A plugin that was killed half way undoes nothing; the next ADD does.
	for i := range steps {
		at := -1
		func() {
			defer func() { _ = recover() }()
			w.Fault = func(string) error {
				if at++; at == i {
					// Nothing is undone in a panic, as when the process is killed.
					panic("killed")
				}
				return nil
			}
			_, _ = w.Attach(p.ns.Path, "eth0", answer.Plan)
		}()
		w.Fault = nil
		if _, err := w.Attach(p.ns.Path, "eth0", answer.Plan); err != nil {
			t.Errorf("after being killed in %q: %v", steps[i], err)
		}
		if err := w.Check(p.ns.Path, "eth0", answer.Plan); err != nil {
			t.Errorf("after being killed in %q: %v", steps[i], err)
		}
		if err := w.Detach(p.ns.Path, wire.Attachment{Network: "mynet", Container: p.container, Interface: "eth0"}); err != nil {
			t.Fatal(err)
		}
	}
	p.clean("all of it")
}

// TestMends deletes the interface of a running proxy.
func TestMends(t *testing.T) {
	c := newCluster(t)
	p := c.proxy("web-1", "203.0.113.5")
	if _, err := p.add(); err != nil {
		t.Fatal(err)
	}
	before := c.attached.List()[0]
	link, err := c.node.Net.LinkByName(p.hostName())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.node.Net.LinkDel(link); err != nil {
		t.Fatal(err)
	}
	if err := p.check(); err == nil {
		t.Error("CHECK does not see that the interface is gone")
	}
	deadline := time.Now().Add(3 * mendInterval)
	for len(c.attached.List()) == 0 || c.attached.List()[0].Index == before.Index {
		if time.Now().After(deadline) {
			t.Fatal("the interface does not come back")
		}
		time.Sleep(50 * time.Millisecond)
	}
	after := c.attached.List()[0]
	if !bytes.Equal(after.PeerMAC, before.PeerMAC) || after.Name != before.Name {
		t.Errorf("it came back as %+v, was %+v", after, before)
	}
	if err := p.check(); err != nil {
		t.Errorf("CHECK: %v", err)
	}
	// The pod goes, and the runtime never says so.
	c.resolver.mu.Lock()
	c.resolver.gone["web-1"] = true
	c.resolver.mu.Unlock()
	c.stop()
	c.start()
	now := time.Now()
	c.stop()
	if c.attached, err = proxies.OpenAttached(t.Context(), c.state, c.node.Handle); err != nil {
		t.Fatal(err)
	}
	s := &Server{Resolver: c.resolver, Attached: c.attached, Worker: podnet.Worker{Host: c.node.Handle}}
	s.Mend(t.Context(), now)
	s.Mend(t.Context(), now.Add(goneGrace/2))
	if len(c.hostEnds()) != 1 {
		t.Error("it was taken down at once")
	}
	s.Mend(t.Context(), now.Add(goneGrace))
	if ends := c.hostEnds(); len(ends) != 0 || len(c.attached.All()) != 0 {
		t.Errorf("left of a pod that is gone: %v, %v", ends, c.attached.All())
	}
}

func TestCheckSeesDamage(t *testing.T) {
	c := newCluster(t)
	p := c.proxy("web-1", "203.0.113.5")
	if _, err := p.add(); err != nil {
		t.Fatal(err)
	}
	hostEnd, err := c.node.Net.LinkByName(p.hostName())
	if err != nil {
		t.Fatal(err)
	}
	net1, err := p.ns.Net.LinkByName("net1")
	if err != nil {
		t.Fatal(err)
	}
	eth0, err := p.ns.Net.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	addr, err := netlink.ParseAddr("203.0.113.5/32")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what  string
		breaK func() error
	}{
		{"a cluster route in the main table", func() error {
			return p.ns.Net.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Dst: &net.IPNet{IP: net.IPv4(10, 0, 0, 0), Mask: net.CIDRMask(8, 32)}, Scope: netlink.SCOPE_LINK})
		}},
		{"the pod's end down", func() error { return p.ns.Net.LinkSetDown(net1) }},
		{"the host's end down", func() error { return c.node.Net.LinkSetDown(hostEnd) }},
		{"out of the bridge", func() error { return c.node.Net.LinkSetNoMaster(hostEnd) }},
		{"the address", func() error { return p.ns.Net.AddrDel(net1, addr) }},
	} {
		if err := tt.breaK(); err != nil {
			t.Fatalf("%s: %v", tt.what, err)
		}
		if err := p.check(); err == nil {
			t.Errorf("CHECK does not see: %s", tt.what)
		}
		// ADD makes it whole again.
		if tt.what == "a cluster route in the main table" {
			routes, err := p.ns.Net.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{LinkIndex: eth0.Attrs().Index}, netlink.RT_FILTER_OIF)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range routes {
				if r.Dst != nil && r.Dst.String() == "10.0.0.0/8" {
					if err := p.ns.Net.RouteDel(&r); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if _, err := p.add(); err != nil {
			t.Fatalf("%s: ADD again: %v", tt.what, err)
		}
		if err := p.check(); err != nil {
			t.Fatalf("%s: CHECK after ADD: %v", tt.what, err)
		}
		if hostEnd, err = c.node.Net.LinkByName(p.hostName()); err != nil {
			t.Fatal(err)
		}
		if net1, err = p.ns.Net.LinkByName("net1"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestGC(t *testing.T) {
	c := newCluster(t)
	a, b := c.proxy("web-1", "203.0.113.5"), c.proxy("web-2", "203.0.113.6")
	for _, p := range []*pod{a, b} {
		if _, err := p.add(); err != nil {
			t.Fatal(err)
		}
	}
	valid := func(containers ...string) string {
		var list []string
		for _, id := range containers {
			list = append(list, fmt.Sprintf(`{"containerID":%q,"ifname":"eth0"}`, id))
		}
		return `,"cni.dev/valid-attachments":[` + strings.Join(list, ",") + `]`
	}
	if _, err := a.run("GC", "1.1.0", valid(a.container, b.container)); err != nil {
		t.Fatal(err)
	}
	if len(c.hostEnds()) != 2 || len(c.attached.All()) != 2 {
		t.Errorf("GC took a valid attachment: %v", c.hostEnds())
	}
	if _, err := a.run("GC", "1.1.0", valid(a.container)); err != nil {
		t.Fatal(err)
	}
	if ends := c.hostEnds(); len(ends) != 1 || ends[0] != a.hostName() || len(c.attached.All()) != 1 {
		t.Errorf("GC left %v, %v", ends, c.attached.All())
	}
	c.stop()
	if _, err := a.run("GC", "1.1.0", valid()); err != nil {
		t.Errorf("GC without the node program: %v", err)
	}
	if ends := c.hostEnds(); len(ends) != 0 {
		t.Errorf("GC without the node program left %v", ends)
	}
}

// TestThousandAttachments attaches a thousand interfaces to a few pods' namespaces.
func TestThousandAttachments(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	c := newCluster(t)
	const many = 1000
	bare := testns.New(t)
	w := podnet.Worker{Host: c.node.Handle}
	start := time.Now()
	var records []proxies.Attachment
	for i := range many {
		a := wire.Attachment{Network: "mynet", Container: fmt.Sprint("many", i), Interface: "eth0"}
		host := netlink.NewVeth(netlink.LinkAttrs{Name: a.HostName(), TxQLen: -1})
		host.PeerName, host.PeerNamespace = fmt.Sprint("many", i), netlink.NsFd(bare.Handle)
		if err := c.node.Net.LinkAdd(host); err != nil {
			t.Fatal(err)
		}
		if err := c.node.Net.LinkSetAlias(host, a.Alias()); err != nil {
			t.Fatal(err)
		}
		records = append(records, proxies.Attachment{Attachment: a, Netns: bare.Path, Plan: wire.Plan{
			Kind: "GWProxy", Namespace: "epic-a", Owner: "web", Pod: fmt.Sprint("pod", i), Host: a.HostName(), Alias: a.Alias(),
		}})
	}
	made := time.Since(start)
	start = time.Now()
	for _, r := range records {
		if err := c.attached.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	kept := time.Since(start)
	start = time.Now()
	again, err := proxies.OpenAttached(t.Context(), c.state, c.node.Handle)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if n := len(again.List()); n != many {
		t.Errorf("after a restart %d of %d are listed", n, many)
	}
	t.Logf("%d interfaces made in %v; kept in %v; read again and compared in %v", many, made, kept, time.Since(start))
	// Each removal takes the kernel a while, so only some are.
	const extra = 20
	var valid []wire.Attachment
	for _, r := range records[extra:] {
		valid = append(valid, r.Attachment)
	}
	if n, err := w.Collect("mynet", valid); n != extra || err != nil {
		t.Errorf("Collect removed %d, %v", n, err)
	}
}

func TestSocketIsForRoot(t *testing.T) {
	c := newCluster(t)
	for path, want := range map[string]os.FileMode{c.socket: 0o600, filepath.Dir(c.socket): 0o700} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want mode %o", path, info, err, want)
		}
	}
	// Even if somebody opens the way to it.
	for path := filepath.Dir(c.socket); path != os.TempDir(); path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(c.socket, 0o666); err != nil {
		t.Fatal(err)
	}
	err := c.node.Do(func() error {
		// Of this thread only, which ends with the function.
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			return errno
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: c.socket}); err != nil {
			return err
		}
		if _, err := unix.Write(fd, []byte("POST /v1/gc HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")); err != nil {
			return nil
		}
		if n, err := unix.Read(fd, make([]byte, 100)); n > 0 && err == nil {
			return errors.New("another user than root got an answer")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
