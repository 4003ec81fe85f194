// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"k8s.io/utils/ptr"
)

const terminate, kill = syscall.SIGTERM, syscall.SIGKILL

// staysRouted checks that the router has routes to some nodes, and keeps having them.
func (l *lab) staysRouted(when string, nodes ...int) {
	l.t.Helper()
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for _, public := range []netip.Addr{public4, public6} {
			if got := l.ways(public); got != fmt.Sprint(nodes) {
				l.t.Fatalf("%s: %s: routes to the nodes %s, want %v", when, public, got, nodes)
			}
		}
	}
}

// gracefully has peers keep the routes of a node whose program is away.
func (n *node) gracefully() { n.config.BGP.GracefulRestartSeconds = ptr.To[int32](60) }

// replaced has a node's program end by a signal and the next one start, until that has what
// it needs. The router has routes to both nodes all the time.
func (n *node) replaced(by syscall.Signal, until ...func()) {
	n.t.Helper()
	n.signal(by)
	n.staysRouted("while the program is away", 1, 2)
	n.start()
	for _, wait := range until {
		wait()
	}
	n.staysRouted("when the program is back", 1, 2)
}

// A program that is killed or upgraded leaves its routes, and the next one has them.
func TestBIRDGracefulRestart(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.bird(birdOptions{})
	for _, n := range l.nodes {
		n.gracefully()
	}
	l.startAll()
	for _, s := range []syscall.Signal{kill, terminate} {
		l.nodes[0].replaced(s, l.nodes[0].up)
	}
	// Routes that the next program no longer announces go away.
	l.nodes[0].signal(terminate)
	l.nodes[0].ready(false)
	l.nodes[0].start()
	l.routed(2)
}

// Without graceful restart the routes of a program that ends go at once.
func TestBIRDRestart(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.bird(birdOptions{})
	l.startAll()
	for _, s := range []syscall.Signal{kill, terminate} {
		l.nodes[0].signal(s)
		l.routed(2)
		l.nodes[0].start()
		l.routed(1, 2)
	}
}
