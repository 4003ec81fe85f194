// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// birdOnNode has a node run BIRD, which exports the kernel routes that its program keeps.
func (n *node) birdOnNode() {
	n.t.Helper()
	dir := n.t.TempDir()
	file := filepath.Join(dir, "bird.conf")
	n.must(os.WriteFile(file, fmt.Appendf(nil, `log "%s" all;
router id %s;
protocol device { scan time 1; }
protocol bfd { interface "*" { min rx interval 100 ms; min tx interval 100 ms; multiplier 3; }; }
protocol kernel { learn; ipv4 { import where krt_source = 233; export none; }; }
protocol kernel { learn; ipv6 { import where krt_source = 233; export none; }; }
protocol bgp four { local as %d; neighbor %s as %d; direct; bfd on; connect delay time 1; connect retry time 1; error wait time 1, 2; ipv4 { import none; export where krt_source = 233; }; }
protocol bgp six { local as %d; neighbor %s as %d; direct; bfd on; connect delay time 1; connect retry time 1; error wait time 1, 2; ipv6 { import none; export where krt_source = 233; }; }
`, filepath.Join(dir, "log"), n.address4(), nodeASN, n.router4(), routerASN, nodeASN, n.router6(), routerASN), 0o600))
	n.explain = append(n.explain, func() {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		n.t.Logf("BIRD of the node: %s", log)
	})
	n.daemon(n.ns, "/usr/sbin/bird", "-f", "-c", file, "-s", filepath.Join(dir, "ctl"), "-P", filepath.Join(dir, "pid"))
}

// after returns how long it takes, from an event, until the router sends visitors to exactly
// those nodes.
func (l *lab) after(event func(), nodes ...int) time.Duration {
	l.t.Helper()
	began := time.Now()
	event()
	for want := fmt.Sprint(nodes); l.ways(public4) != want || l.ways(public6) != want; {
		if time.Since(began) > patience {
			l.t.Fatalf("%s, %s, want %s", l.ways(public4), l.ways(public6), want)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(began)
}

func median(all []time.Duration) float64 {
	slices.Sort(all)
	return float64(all[len(all)/2].Microseconds()) / 1000
}

// How long it takes until visitors come to a node, or no longer do: with the node's own BGP,
// and with BIRD on the node that exports the same routes. Both in one run, in turn.
func BenchmarkAnnounce(b *testing.B) {
	l := newLab(b, 2)
	l.bird(birdOptions{session: "bfd on;"})
	own, bird := l.nodes[0], l.nodes[1]
	own.withBFD()
	bird.config.BGP = nil
	for _, n := range l.nodes {
		n.start()
	}
	bird.birdOnNode()
	l.routed(1, 2)
	own.watched()
	took := map[string][]time.Duration{}
	for range b.N {
		for side, n := range map[string]*node{"own": own, "bird": bird} {
			other := 3 - n.number
			took["withdraw-"+side] = append(took["withdraw-"+side], l.after(func() { n.setReady(false) }, other))
			took["announce-"+side] = append(took["announce-"+side], l.after(func() { n.setReady(true) }, 1, 2))
		}
	}
	for range min(b.N, 5) {
		for side, n := range map[string]*node{"own": own, "bird": bird} {
			other := 3 - n.number
			took["loss-"+side] = append(took["loss-"+side], l.after(func() { n.cut(true) }, other))
			n.cut(false)
			l.routed(1, 2)
			if n == own {
				own.watched()
			}
			// BIRD's sessions are watched when they have been up for a moment.
			time.Sleep(3 * time.Second)
		}
	}
	for name, all := range took {
		b.ReportMetric(median(all), name+"-ms")
		if what, ok := strings.CutSuffix(name, "-own"); ok {
			b.ReportMetric(median(all)/median(took[what+"-bird"]), what+"-ratio")
		}
	}
	b.ReportMetric(0, "ns/op")
}
