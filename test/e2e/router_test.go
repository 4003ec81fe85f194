// SPDX-License-Identifier: Apache-2.0

//go:build linux

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// The router is a host on the bridge of hack/cluster.sh, whose "down" removes both
	// namespaces if a test did not.
	nodesBridge                  = "epic0"
	routerNetns, visitorNetns    = "epic-router", "epic-visitor"
	routerAddress, visitorsHost  = "10.90.0.2", "10.90.0.3"
	routerASN, gatewaysASN       = 64512, 64513
	learnedTable                 = "100"
	bfdMilliseconds, bfdMultiply = 300, 3
	// buckets are many more than there are connections, so most of them are idle, and move to
	// a new path, within seconds.
	buckets, idleSeconds = "8192", "5"
)

// router stands for the network's routers, with a visitor behind it. BIRD learns routes from
// gateway nodes, and packets follow them by resilient hashing, which BIRD can't program: what
// it learns is in a table that the router does not use, and is copied from there.
type router struct {
	t     *testing.T
	dir   string
	peers []string

	mu sync.Mutex
	// hops are the addresses of the nodes to which packets for a public address go.
	hops    map[netip.Addr][]string
	ids     map[string]int
	changes []pathChange
}

// pathChange is that packets for an address take other paths than before.
type pathChange struct {
	address       netip.Addr
	before, after []string
	// from is when the change began, and done when it was carried out.
	from, done time.Time
}

// removed reports whether there is a path less.
func (c pathChange) removed() bool {
	return slices.ContainsFunc(c.before, func(hop string) bool { return !slices.Contains(c.after, hop) })
}

// newRouter starts a router without peers.
func newRouter(t *testing.T) *router {
	t.Helper()
	if _, err := exec.LookPath("/usr/sbin/bird"); err != nil {
		message := "BIRD is not installed: install bird2"
		if os.Getenv("EPIC_NO_SKIP") == "1" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	r := &router{t: t, dir: t.TempDir(), hops: map[netip.Addr][]string{}, ids: map[string]int{}}
	remove := func() {
		for _, namespace := range []string{routerNetns, visitorNetns} {
			_ = exec.Command("ip", "link", "del", namespace).Run()
			_ = exec.Command("ip", "netns", "del", namespace).Run()
		}
	}
	remove()
	t.Cleanup(remove)
	for _, line := range []string{
		"netns add " + routerNetns,
		"netns add " + visitorNetns,
		"link add " + routerNetns + " type veth peer name eth0 netns " + routerNetns,
		"link set " + routerNetns + " master " + nodesBridge + " up",
		"-n " + routerNetns + " link set lo up",
		"-n " + routerNetns + " addr add " + routerAddress + "/24 dev eth0",
		"-n " + routerNetns + " link set eth0 up",
		"-n " + routerNetns + " link add visitor type veth peer name eth0 netns " + visitorNetns,
		"-n " + routerNetns + " link set visitor up",
		"-n " + routerNetns + " route add " + visitorsHost + "/32 dev visitor",
		"-n " + visitorNetns + " addr add " + visitorsHost + "/32 dev eth0",
		"-n " + visitorNetns + " link set eth0 up",
		"-n " + visitorNetns + " route add " + routerAddress + "/32 dev eth0",
		"-n " + visitorNetns + " route add default via " + routerAddress,
	} {
		command(t, "ip", strings.Fields(line)...)
	}
	command(t, "ip", append([]string{"netns", "exec", routerNetns, "sysctl", "-qw"}, []string{
		"net.ipv4.ip_forward=1",
		// Connections are spread, by addresses, protocol and ports. Policy 1 would take what the
		// visitor's sockets have chosen instead, which no one else knows.
		"net.ipv4.fib_multipath_hash_policy=3", "net.ipv4.fib_multipath_hash_fields=55",
		// Nodes take the visitor for a neighbor.
		"net.ipv4.conf.eth0.proxy_arp=1", "net.ipv4.neigh.eth0.proxy_delay=0",
		"net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.eth0.rp_filter=0", "net.ipv4.conf.visitor.rp_filter=0",
	}...)...)
	r.configure()
	r.start("/usr/sbin/bird", "-f", "-c", r.file("bird.conf"), "-s", r.file("ctl"), "-P", r.file("pid"))
	r.follow()
	return r
}

func (r *router) file(name string) string { return filepath.Join(r.dir, name) }

// start runs a program in the router until the test ends.
func (r *router) start(program string, args ...string) *bufio.Scanner {
	r.t.Helper()
	cmd := exec.Command("ip", append([]string{"netns", "exec", routerNetns, program}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return bufio.NewScanner(out)
}

// configure writes what BIRD reads.
func (r *router) configure() {
	r.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, `log "%s" all;
router id %s;
protocol device { scan time 10; }
protocol bfd { interface "eth0" { min rx interval %d ms; min tx interval %d ms; multiplier %d; }; }
protocol kernel { kernel table %s; merge paths on; ipv4 { export all; }; }
`, r.file("bird.log"), routerAddress, bfdMilliseconds, bfdMilliseconds, bfdMultiply, learnedTable)
	for i, peer := range r.peers {
		fmt.Fprintf(&b, `protocol bgp node%d {
	local as %d; neighbor %s as %d; direct; bfd on;
	connect delay time 1; connect retry time 1; error wait time 1, 2;
	ipv4 { import all; export none; };
}
`, i, routerASN, peer, gatewaysASN)
	}
	if err := os.WriteFile(r.file("bird.conf"), []byte(b.String()), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// addPeer gives the router a session with a node.
func (r *router) addPeer(address string) {
	r.t.Helper()
	r.peers = append(r.peers, address)
	r.configure()
	eventually(r.t, 10*time.Second, func() string {
		if out, err := exec.Command("/usr/sbin/birdc", "-s", r.file("ctl"), "configure").CombinedOutput(); err != nil || !strings.Contains(string(out), "Reconfig") {
			return fmt.Sprintf("birdc configure: %v\n%s", err, out)
		}
		return ""
	})
}

// dropPeer ends the session with a node that has been removed.
func (r *router) dropPeer(address string) {
	r.t.Helper()
	r.peers = slices.DeleteFunc(r.peers, func(p string) bool { return p == address })
	r.configure()
	command(r.t, "/usr/sbin/birdc", "-s", r.file("ctl"), "configure")
}

// follow copies what BIRD learns.
func (r *router) follow() {
	r.t.Helper()
	lines := r.start("ip", "monitor", "route")
	changed := make(chan struct{}, 1)
	changed <- struct{}{}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		defer cancel()
		for lines.Scan() {
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	})
	group.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			if err := r.copy(ctx); err != nil && ctx.Err() == nil {
				r.t.Errorf("The router: %v", err)
			}
		}
	})
	// The monitor is killed after this, and before what is cleaned up earlier in the test.
	r.t.Cleanup(cancel)
}

func (r *router) ip(ctx context.Context, args ...string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, "ip", append([]string{"-n", routerNetns}, args...)...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return out, nil
}

// learned are the paths that BIRD knows.
func (r *router) learned(ctx context.Context) (map[netip.Addr][]string, error) {
	type hop struct {
		Gateway string `json:"gateway"`
	}
	var routes []struct {
		hop
		Dst      string `json:"dst"`
		Nexthops []hop  `json:"nexthops"`
	}
	out, err := r.ip(ctx, "-json", "route", "show", "table", learnedTable)
	if err != nil {
		// The table does not exist before its first route.
		if strings.Contains(err.Error(), "does not exist") {
			return nil, nil
		}
		return nil, err
	}
	if err := json.Unmarshal(out, &routes); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	all := map[netip.Addr][]string{}
	for _, route := range routes {
		to, err := netip.ParseAddr(route.Dst)
		if err != nil {
			return nil, fmt.Errorf("a node announces %s: %w", route.Dst, err)
		}
		var hops []string
		for _, h := range append(route.Nexthops, route.hop) {
			if h.Gateway != "" {
				hops = append(hops, h.Gateway)
			}
		}
		slices.Sort(hops)
		all[to] = hops
	}
	return all, nil
}

// copy has packets follow what BIRD knows now.
func (r *router) copy(ctx context.Context) error {
	want, err := r.learned(ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for to := range r.hops {
		if _, ok := want[to]; !ok {
			want[to] = nil
		}
	}
	for to, hops := range want {
		before := r.hops[to]
		if slices.Equal(before, hops) {
			continue
		}
		from := time.Now()
		if err := r.forward(ctx, to, hops); err != nil {
			return err
		}
		r.hops[to] = hops
		r.changes = append(r.changes, pathChange{address: to, before: before, after: hops, from: from, done: time.Now()})
	}
	return nil
}

// id is the ID of a next hop: that of a node, or of the group of an address.
func (r *router) id(of string) string {
	if r.ids[of] == 0 {
		r.ids[of] = len(r.ids) + 1
	}
	return fmt.Sprint(r.ids[of])
}

// forward changes the paths of an address. The lock is held.
func (r *router) forward(ctx context.Context, to netip.Addr, hops []string) error {
	group := r.id(to.String())
	if len(hops) == 0 {
		_, err := r.ip(ctx, "nexthop", "del", "id", group)
		return err
	}
	var members []string
	for _, hop := range hops {
		if _, err := r.ip(ctx, "nexthop", "replace", "id", r.id(hop), "via", hop, "dev", "eth0"); err != nil {
			return err
		}
		members = append(members, r.id(hop))
	}
	if _, err := r.ip(ctx, "nexthop", "replace", "id", group, "group", strings.Join(members, "/"), "type", "resilient", "buckets", buckets, "idle_timer", idleSeconds); err != nil {
		return err
	}
	_, err := r.ip(ctx, "route", "replace", to.String()+"/32", "nhid", group)
	return err
}

// paths are the nodes to which packets for an address go now.
func (r *router) paths(address string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.hops[netip.MustParseAddr(address)])
}

// since are the changes since a time.
func (r *router) since(begin time.Time) []pathChange {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []pathChange
	for _, c := range r.changes {
		if c.done.After(begin) {
			out = append(out, c)
		}
	}
	return out
}

// pathOf is the node to which the packets of a visitor's connection go.
func (r *router) pathOf(t *testing.T, conn net.Conn) string {
	t.Helper()
	local, remote := conn.LocalAddr().(*net.TCPAddr), conn.RemoteAddr().(*net.TCPAddr)
	out, err := r.ip(t.Context(), "route", "get", remote.IP.String(), "from", local.IP.String(), "iif", "visitor",
		"ipproto", "tcp", "sport", fmt.Sprint(local.Port), "dport", fmt.Sprint(remote.Port))
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(out), " via ")
	if !ok {
		t.Fatalf("no path: %s", out)
	}
	return strings.Fields(after)[0]
}

// explain shows what the router knows.
func (r *router) explain(t *testing.T) {
	t.Helper()
	for _, what := range []string{"protocols all", "bfd sessions", "route all"} {
		out, _ := exec.Command("/usr/sbin/birdc", append([]string{"-s", r.file("ctl"), "show"}, strings.Fields(what)...)...).CombinedOutput()
		t.Logf("birdc show %s:\n%s", what, out)
	}
	log, _ := os.ReadFile(r.file("bird.log"))
	t.Logf("BIRD's log:\n%s", log[max(0, len(log)-20_000):])
	for _, c := range r.since(time.Time{}) {
		t.Logf("%s the paths of %s change from %v to %v", c.done.Format(clock), c.address, c.before, c.after)
	}
}

// clock is how times are printed that are compared with each other.
const clock = "15:04:05.000"

// dialVisitor connects from the visitor's network.
func dialVisitor(ctx context.Context, address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		// A thread that does not come back to its network ends with this goroutine.
		runtime.LockOSThread()
		here, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- result{err: err}
			return
		}
		defer here.Close()
		there, err := os.Open("/run/netns/" + visitorNetns)
		if err != nil {
			done <- result{err: err}
			return
		}
		defer there.Close()
		if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- result{err: err}
			return
		}
		conn, err := new(net.Dialer).DialContext(ctx, "tcp4", address)
		done <- result{conn, err}
		if unix.Setns(int(here.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	r := <-done
	return r.conn, r.err
}
