// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// birdOptions are what differs between tests.
type birdOptions struct {
	// session is put into each session.
	session string
	// four is put into those of IPv4.
	four string
	// channel is put into each address family of each session.
	channel string
	// more is put at the end.
	more string
}

// bird has the router run BIRD, with sessions to all nodes.
func (l *lab) bird(o birdOptions) {
	l.t.Helper()
	dir := l.t.TempDir()
	var b strings.Builder
	fmt.Fprintf(&b, `log "%s" all;
router id 10.0.0.1;
protocol device { scan time 1; }
protocol bfd { interface "*" { min rx interval 100 ms; min tx interval 100 ms; multiplier 3; }; }
protocol kernel { merge paths on; ipv4 { export all; }; }
protocol kernel { merge paths on; ipv6 { export all; }; }
`, filepath.Join(dir, "log"))
	for _, n := range l.nodes {
		for family, address := range map[string]string{"ipv4": n.address4(), "ipv6": n.address6()} {
			fmt.Fprintf(&b, `protocol bgp node%d%s {
	local as %d; neighbor %s as %d; direct;
	connect delay time 1; connect retry time 1; error wait time 1, 2;
	%s
	%s { import all; export none; %s };
}
`, n.number, family, routerASN, address, nodeASN, o.session+map[string]string{"ipv4": o.four}[family], family, o.channel)
		}
	}
	b.WriteString(o.more)
	file := filepath.Join(dir, "bird.conf")
	l.must(os.WriteFile(file, []byte(b.String()), 0o600))
	l.daemon(l.router, "/usr/sbin/bird", "-f", "-c", file, "-s", filepath.Join(dir, "ctl"), "-P", filepath.Join(dir, "pid"))
	l.show = func(what string) string {
		out, _ := exec.Command("/usr/sbin/birdc", append([]string{"-s", filepath.Join(dir, "ctl"), "show"}, strings.Fields(what)...)...).CombinedOutput()
		return string(out)
	}
	l.explain = append(l.explain, func() {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		l.t.Logf("BIRD: %s\n%s\n%s", log, l.show("protocols all"), l.show("route all"))
	})
}
