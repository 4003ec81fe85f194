// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const frr = "/usr/lib/frr"

// frr has the router run FRR, with sessions to all nodes, watched by BFD.
func (l *lab) frr() {
	l.t.Helper()
	// FRR has a user of its own, who can't enter the directories of tests.
	dir, err := os.MkdirTemp("", "epic-frr-")
	l.must(err)
	l.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l.must(os.Chmod(dir, 0o777))
	var b, four, six strings.Builder
	fmt.Fprintf(&b, `log file %s
router bgp %d
 bgp router-id 10.0.0.1
 no bgp ebgp-requires-policy
 bgp graceful-restart
`, filepath.Join(dir, "log"), routerASN)
	for _, n := range l.nodes {
		for _, address := range []string{n.address4(), n.address6()} {
			fmt.Fprintf(&b, " neighbor %s remote-as %d\n neighbor %s bfd 3 100 100\n neighbor %s timers connect 1\n", address, nodeASN, address, address)
		}
		fmt.Fprintf(&four, "  no neighbor %s activate\n", n.address6())
		fmt.Fprintf(&six, "  neighbor %s activate\n", n.address6())
	}
	fmt.Fprintf(&b, ` address-family ipv4 unicast
%s  maximum-paths 8
 exit-address-family
 address-family ipv6 unicast
%s  maximum-paths 8
 exit-address-family
`, four.String(), six.String())
	file := filepath.Join(dir, "frr.conf")
	l.must(os.WriteFile(file, []byte(b.String()), 0o644))
	empty := filepath.Join(dir, "empty.conf")
	l.must(os.WriteFile(empty, nil, 0o644))
	run := func(name, config string, more ...string) {
		l.daemon(l.router, filepath.Join(frr, name), append([]string{
			"-f", config, "-z", filepath.Join(dir, "zebra.api"), "-i", filepath.Join(dir, name+".pid"), "--vty_socket", dir, "-u", "frr", "-g", "frr", "--log", "file:" + filepath.Join(dir, "log"),
		}, more...)...)
	}
	run("zebra", empty)
	l.until("zebra runs", func() error {
		_, err := os.Stat(filepath.Join(dir, "zebra.api"))
		return err
	})
	run("bfdd", empty, "--bfdctl", filepath.Join(dir, "bfdd.sock"))
	run("bgpd", file, "-A", "127.0.0.1")
	l.explain = append(l.explain, func() {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		l.t.Logf("FRR: %s", log)
		for _, show := range []string{"show bgp summary", "show bgp ipv4 unicast", "show bfd peers"} {
			out, _ := exec.Command("vtysh", "--vty_socket", dir, "-c", show).CombinedOutput()
			l.t.Logf("%s", out)
		}
	})
}

// FRR spreads visitors over two nodes, notices one that is lost within a fraction of a second,
// and keeps the routes of one whose program is replaced.
func TestFRR(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.frr()
	l.startWatched()
	first := l.nodes[0]
	first.setReady(false)
	l.routed(2)
	first.setReady(true)
	l.routed(1, 2)

	first.replaced(terminate, first.up, first.watched)

	first.cut(true)
	l.routed(2)
	first.cut(false)
	l.routed(1, 2)
}
