// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
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

	"github.com/vishvananda/netlink"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/node/announce"
	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/test/netlab"
	"github.com/acnodal/epic/test/tools/need"
)

const (
	routerASN, nodeASN = 64512, 64513
	bridge             = "multus0"
	// patience is for what happens soon on a machine that is not loaded.
	patience = 30 * time.Second
)

var (
	public4 = netip.MustParseAddr("203.0.113.5")
	public6 = netip.MustParseAddr("2001:db8:5::5")
)

// lab is a visitor behind a router, and gateway nodes behind the router.
type lab struct {
	t               testing.TB
	lab             *netlab.Lab
	visitor, router *netlab.Namespace
	nodes           []*node
	// explain show the state of things when something does not come true.
	explain []func()
	// show returns what BIRD shows.
	show func(what string) string
}

// node is a gateway node with a proxy.
type node struct {
	*lab
	number  int
	ns      *netlab.Namespace
	wire    *netlab.Namespace
	proxy   *netlab.Namespace
	dir     string
	config  announce.Config
	labels  map[string]string
	end     host.End
	desired host.Desired

	mu     sync.Mutex
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	ended  chan struct{}
	errors *strings.Builder
}

// must ends the test if something that has nothing to do with it fails.
func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// newLab makes the network. Nothing is announced in it yet.
func newLab(t testing.TB, nodes int) *lab {
	t.Helper()
	l := &lab{t: t, lab: netlab.Test(t)}
	var err error
	l.router, err = l.lab.Namespace("router")
	l.must(err)
	l.visitor, err = l.lab.Namespace("visitor")
	l.must(err)
	l.must(l.router.Forward())
	// Connections, and not only pairs of hosts, are spread.
	l.must(l.router.Sysctl("ipv4.fib_multipath_hash_policy", "1"))
	l.must(l.router.Sysctl("ipv6.fib_multipath_hash_policy", "1"))
	l.must(netlab.Veth(l.router, "visitors", l.visitor, "eth0", 1500))
	l.must(l.router.Addr("visitors", "10.9.0.1/24", "fd09::1/64"))
	l.must(l.visitor.Addr("eth0", "10.9.0.2/24", "fd09::2/64"))
	l.must(l.visitor.Route("0.0.0.0/0", "10.9.0.1", "eth0"))
	l.must(l.visitor.Route("::/0", "fd09::1", "eth0"))
	for i := range nodes {
		l.nodes = append(l.nodes, l.node(i+1))
	}
	return l
}

func (n *node) address4() string   { return fmt.Sprintf("10.0.%d.2", n.number) }
func (n *node) address6() string   { return fmt.Sprintf("fd00:0:0:%d::2", n.number) }
func (n *node) router4() string    { return fmt.Sprintf("10.0.%d.1", n.number) }
func (n *node) router6() string    { return fmt.Sprintf("fd00:0:0:%d::1", n.number) }
func (n *node) routerPort() string { return fmt.Sprintf("node%d", n.number) }

func (l *lab) node(number int) *node {
	l.t.Helper()
	n := &node{lab: l, number: number, dir: l.t.TempDir()}
	var err error
	n.ns, err = l.lab.Namespace(fmt.Sprint("node", number))
	l.must(err)
	n.proxy, err = l.lab.Namespace(fmt.Sprint("proxy", number))
	l.must(err)
	l.must(n.ns.Forward())
	// A switch between the two can be cut without anybody's link going down.
	n.wire, err = l.lab.Namespace(fmt.Sprint("switch", number))
	l.must(err)
	l.must(netlab.Veth(l.router, n.routerPort(), n.wire, "router", 1500))
	l.must(netlab.Veth(n.ns, "eth0", n.wire, "node", 1500))
	l.must(n.wire.Bridge("switch", 1500, "router", "node"))
	l.must(l.router.Addr(n.routerPort(), n.router4()+"/24", n.router6()+"/64"))
	l.must(n.ns.Addr("eth0", n.address4()+"/24", n.address6()+"/64"))
	l.must(n.ns.Route("0.0.0.0/0", n.router4(), "eth0"))
	l.must(n.ns.Route("::/0", n.router6(), "eth0"))
	n.serve()
	n.config.BGP = &epicv1.BGP{ASN: nodeASN, Peers: []epicv1.BGPPeer{n.peer("four", n.router4()), n.peer("six", n.router6())}}
	return n
}

// peer is the router as the API has it, with its defaults.
func (n *node) peer(name, address string) epicv1.BGPPeer {
	return epicv1.BGPPeer{Name: name, Address: address, ASN: routerASN, Port: 179, HoldTimeSeconds: 90, MaxPrefixes: 100}
}

// serve starts a proxy with a public address of each family, which answers with its
// node's number.
func (n *node) serve() {
	n.t.Helper()
	n.must(netlab.Veth(n.ns, "epic1", n.proxy, "net1", 1500))
	hostEnd, err := n.ns.LinkByName("epic1")
	n.must(err)
	podEnd, err := n.proxy.LinkByName("net1")
	n.must(err)
	n.end = host.End{Index: hostEnd.Attrs().Index, MAC: podEnd.Attrs().HardwareAddr}
	n.desired.Bridges = []host.Bridge{{Name: bridge, MTU: 1500}}
	for _, public := range []netip.Addr{public4, public6} {
		gateway, all := "169.254.1.1", "0.0.0.0/0"
		if public.Is6() {
			gateway, all = host.GatewayIPv6.String(), "::/0"
		}
		n.must(n.proxy.Addr("net1", netip.PrefixFrom(public, public.BitLen()).String()))
		n.must(n.proxy.NeighSet(&netlink.Neigh{LinkIndex: podEnd.Attrs().Index, IP: net.ParseIP(gateway), HardwareAddr: host.BridgeMAC(bridge), State: netlink.NUD_PERMANENT}))
		_, dst, err := net.ParseCIDR(all)
		n.must(err)
		n.must(n.proxy.RouteAdd(&netlink.Route{LinkIndex: podEnd.Attrs().Index, Dst: dst, Gw: net.ParseIP(gateway), Flags: int(netlink.FLAG_ONLINK)}))
		n.desired.Addresses = append(n.desired.Addresses, host.Address{Address: public, Announce: netip.PrefixFrom(public, public.BitLen()), Bridge: bridge})
		n.desired.Openings = append(n.desired.Openings, host.Opening{Address: public, Protocol: 6, Port: 80})
	}
	n.ready(true)
	listener, err := n.proxy.Listen(context.Background(), "tcp", ":80")
	n.must(err)
	n.t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				// A visitor that waits a while for its answer.
				_, _ = bufio.NewReader(c).ReadString('\n')
				_, _ = fmt.Fprintf(c, "%d\n", n.number)
				_ = c.Close()
			}()
		}
	}()
}

// ready sets whether the proxy is ready, as its node program hears of it.
func (n *node) ready(ready bool) {
	for i := range n.desired.Addresses {
		end := n.end
		end.Standby = !ready
		n.desired.Addresses[i].Ends = []host.End{end}
	}
}

// selector chooses nodes by a label.
func selector(key, value string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}

// start starts the node's program.
func (n *node) start() {
	n.t.Helper()
	s, err := json.Marshal(setup{
		Address: netip.MustParseAddr(n.address4()), Name: fmt.Sprint("node", n.number), Passwords: announce.Passwords(n.dir),
		Labels: n.labels, Config: n.config, Desired: n.desired,
	})
	n.must(err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(s))
	n.errors = &strings.Builder{}
	cmd.Stderr = n.errors
	n.in, err = cmd.StdinPipe()
	n.must(err)
	out, err := cmd.StdoutPipe()
	n.must(err)
	n.out = bufio.NewScanner(out)
	n.out.Buffer(nil, 1<<20)
	n.must(n.ns.Start(cmd))
	n.cmd, n.ended = cmd, make(chan struct{})
	go func(ended chan struct{}) {
		_ = cmd.Wait()
		close(ended)
	}(n.ended)
	n.t.Cleanup(func() { n.end9(); n.logs() })
}

// start starts the programs of all nodes and waits until visitors are sent to all of them.
func (l *lab) startAll() {
	l.t.Helper()
	numbers := make([]int, 0, len(l.nodes))
	for _, n := range l.nodes {
		n.start()
		numbers = append(numbers, n.number)
	}
	l.routed(numbers...)
}

func (n *node) logs() {
	if n.t.Failed() && n.errors.Len() > 0 {
		n.t.Logf("node %d: %s", n.number, n.errors)
	}
}

// signal sends the program a signal and waits until it has ended.
func (n *node) signal(s os.Signal) {
	n.t.Helper()
	n.must(n.cmd.Process.Signal(s))
	select {
	case <-n.ended:
	case <-time.After(patience):
		n.t.Fatalf("node %d does not end by %v", n.number, s)
	}
}

// end9 kills the program if it runs.
func (n *node) end9() {
	if n.cmd != nil {
		_ = n.cmd.Process.Kill()
		<-n.ended
	}
}

// tell gives the program new orders and returns its status.
func (n *node) tell(c command) announce.Status {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	line, err := json.Marshal(c)
	n.must(err)
	_, err = n.in.Write(append(line, '\n'))
	n.must(err)
	if !n.out.Scan() {
		n.t.Fatalf("node %d does not answer: %v: %s", n.number, n.out.Err(), n.errors)
	}
	var s announce.Status
	n.must(json.Unmarshal(n.out.Bytes(), &s))
	return s
}

func (n *node) status() announce.Status { return n.tell(command{}) }

// setReady tells the program whether its proxy is ready.
func (n *node) setReady(ready bool) {
	n.t.Helper()
	n.ready(ready)
	n.tell(command{Desired: &n.desired})
}

// up waits until all sessions of the node are up.
func (n *node) up() {
	n.t.Helper()
	n.until("the sessions are up", func() error {
		s := n.status()
		for _, p := range s.Peers {
			if !p.Up {
				return fmt.Errorf("%s is down: %s", p.Name, p.Message)
			}
		}
		if len(s.Peers) == 0 {
			return fmt.Errorf("no sessions: %+v", s)
		}
		return nil
	})
}

// until waits for something.
func (l *lab) until(what string, check func() error) {
	l.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			for _, explain := range l.explain {
				explain()
			}
			for _, n := range l.nodes {
				if n.cmd != nil {
					l.t.Logf("node %d: %+v", n.number, n.status())
				}
			}
			l.t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// hops are the addresses to which the router sends what is for an address.
func (l *lab) hops(of netip.Addr) []string {
	l.t.Helper()
	family := netlink.FAMILY_V4
	if of.Is6() {
		family = netlink.FAMILY_V6
	}
	all, err := l.router.RouteList(nil, family)
	l.must(err)
	var out []string
	for _, r := range all {
		if r.Dst == nil || !r.Dst.Contains(of.AsSlice()) {
			continue
		}
		if len(r.Gw) > 0 {
			out = append(out, r.Gw.String())
		}
		for _, h := range r.MultiPath {
			out = append(out, h.Gw.String())
		}
	}
	slices.Sort(out)
	return out
}

// ways are the numbers of the nodes to which the router sends what is for an address.
func (l *lab) ways(of netip.Addr) string {
	l.t.Helper()
	var numbers []int
	for _, hop := range l.hops(of) {
		for _, n := range l.nodes {
			if hop == n.address4() || hop == n.address6() {
				numbers = append(numbers, n.number)
			}
		}
	}
	slices.Sort(numbers)
	return fmt.Sprint(numbers)
}

// routed waits until the router sends what is for both public addresses to some nodes.
func (l *lab) routed(nodes ...int) {
	l.t.Helper()
	if nodes == nil {
		nodes = []int{}
	}
	l.until(fmt.Sprintf("routes to the nodes %v", nodes), func() error {
		for _, public := range []netip.Addr{public4, public6} {
			if got := l.ways(public); got != fmt.Sprint(nodes) {
				return fmt.Errorf("%s: %s", public, got)
			}
		}
		return nil
	})
}

// visit asks for a public address and returns the number of the node that answers.
func (l *lab) visit(public netip.Addr) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := l.visitor.Dial(ctx, "tcp", netip.AddrPortFrom(public, 80).String())
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	deadline, _ := ctx.Deadline()
	_ = c.SetDeadline(deadline)
	if _, err := c.Write([]byte("\n")); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return strings.TrimSpace(string(answer)), err
}

// daemon runs a routing daemon in a namespace until the test ends.
func (l *lab) daemon(ns *netlab.Namespace, program string, args ...string) *exec.Cmd {
	l.t.Helper()
	cmd := exec.Command(need.Program(l.t, program, "bird2 frr"), args...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	l.must(ns.Start(cmd))
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	l.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		if l.t.Failed() {
			l.t.Logf("%s: %s", filepath.Base(program), out.String())
		}
	})
	return cmd
}
