// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"fmt"
	"testing"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// withBFD has all sessions of a node watched by BFD.
func (n *node) withBFD() {
	for i := range n.config.BGP.Peers {
		n.config.BGP.Peers[i].BFD = &epicv1.BFD{TransmitMilliseconds: 100, ReceiveMilliseconds: 100, DetectMultiplier: 3}
	}
}

// watched waits until all BFD sessions of a node are up.
func (n *node) watched() {
	n.t.Helper()
	n.until("the BFD sessions are up", func() error {
		for _, p := range n.status().Peers {
			if !p.HasBFD || !p.BFDUp {
				return fmt.Errorf("that with %s is down", p.Name)
			}
		}
		return nil
	})
}

// startWatched starts the programs of all nodes with BFD and graceful restart, and waits
// until all sessions are watched.
func (l *lab) startWatched() {
	l.t.Helper()
	for _, n := range l.nodes {
		n.withBFD()
		n.gracefully()
	}
	l.startAll()
	for _, n := range l.nodes {
		n.watched()
	}
}

// cut drops all packets of a node, without any link of it or of the router going down.
func (n *node) cut(cut bool) {
	n.t.Helper()
	link, err := n.wire.LinkByName("switch")
	n.must(err)
	if cut {
		n.must(n.wire.LinkSetDown(link))
		return
	}
	n.must(n.wire.LinkSetUp(link))
}

// A node that is cut off in silence loses its visitors to the other within a fraction of a
// second: far sooner than the hold time of 90 s.
func TestBIRDWithBFD(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.bird(birdOptions{session: "bfd on;"})
	l.startWatched()
	l.nodes[0].cut(true)
	l.routed(2)
	l.nodes[0].until("the node notices", func() error {
		for _, p := range l.nodes[0].status().Peers {
			if p.BFDUp || p.Up {
				return fmt.Errorf("%s is up", p.Name)
			}
		}
		return nil
	})
	l.nodes[0].cut(false)
	l.routed(1, 2)

	// An upgrade is no failure: the routes stay, and nobody is told otherwise.
	l.nodes[0].replaced(terminate, l.nodes[0].up, l.nodes[0].watched)

	// One that is killed can't say so.
	l.nodes[0].signal(kill)
	l.routed(2)
	l.nodes[0].start()
	l.routed(1, 2)
}
