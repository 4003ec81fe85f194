// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/node/announce"
	"github.com/acnodal/epic/test/netlab"
)

// newSegment makes a network in which a visitor and the nodes are neighbors.
func newSegment(t testing.TB, nodes int) *lab {
	t.Helper()
	l := &lab{t: t, lab: netlab.Test(t)}
	var err error
	l.router, err = l.lab.Namespace("switch")
	l.must(err)
	l.visitor, err = l.lab.Namespace("visitor")
	l.must(err)
	l.must(netlab.Veth(l.visitor, "eth0", l.router, "visitor", 1500))
	l.must(l.visitor.Addr("eth0", "203.0.113.200/24", "2001:db8:5::200/64"))
	ports := []string{"visitor"}
	for i := range nodes {
		n := &node{lab: l, number: i + 1, dir: t.TempDir(), config: announce.Config{Layer2: &epicv1.Layer2{Interfaces: []string{"eth0", "eth9"}}}}
		n.ns, err = l.lab.Namespace(fmt.Sprint("node", n.number))
		l.must(err)
		n.proxy, err = l.lab.Namespace(fmt.Sprint("proxy", n.number))
		l.must(err)
		l.must(n.ns.Forward())
		l.must(netlab.Veth(n.ns, "eth0", l.router, n.routerPort(), 1500))
		l.must(n.ns.Addr("eth0", fmt.Sprintf("203.0.113.%d/24", 100+n.number), fmt.Sprintf("2001:db8:5::%d/64", 100+n.number)))
		ports = append(ports, n.routerPort())
		n.serve()
		l.nodes = append(l.nodes, n)
	}
	l.must(l.router.Bridge("switch", 1500, ports...))
	return l
}

// owner is the only node that answers for an address; nil if there is none.
func (l *lab) owner(of netip.Addr) (*node, error) {
	var owner *node
	for _, n := range l.nodes {
		if n.cmd == nil {
			continue
		}
		for _, a := range n.status().Layer2 {
			if a.Address == of && a.Role == "Owner" {
				if owner != nil {
					return nil, fmt.Errorf("the nodes %d and %d answer for %s", owner.number, n.number, of)
				}
				owner = n
			}
		}
	}
	if owner == nil {
		return nil, fmt.Errorf("no node answers for %s", of)
	}
	return owner, nil
}

// forget has the visitor ask again where an address is.
func (l *lab) forget(of netip.Addr) {
	l.t.Helper()
	link, err := l.visitor.LinkByName("eth0")
	l.must(err)
	_ = l.visitor.NeighDel(&netlink.Neigh{LinkIndex: link.Attrs().Index, IP: of.AsSlice()})
}

// visits sends requests to both addresses repeatedly until stop is called, which returns
// the failures.
func (l *lab) visits() (stop func() (failed []string)) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failures []string
	for _, public := range []netip.Addr{public4, public6} {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(10 * time.Millisecond):
				}
				if _, err := l.visit(public); err != nil {
					mu.Lock()
					failures = append(failures, err.Error())
					mu.Unlock()
				}
			}
		})
	}
	return func() []string {
		close(done)
		wg.Wait()
		return failures
	}
}

// underWay checks that what failed was under way when the network's way to the address
// changed: no connection stays unanswered, and each visitor has one request at a time.
func (l *lab) underWay(failed []string, most int) {
	l.t.Helper()
	for _, reason := range failed {
		if strings.Contains(reason, "dial") && !strings.Contains(reason, "reset") {
			l.t.Errorf("a connection was lost: %s", reason)
		}
	}
	if len(failed) > most {
		l.t.Errorf("%d requests were lost, such as %s", len(failed), failed[0])
	}
}

func TestLayer2(t *testing.T) {
	t.Parallel()
	l := newSegment(t, 2)
	for _, n := range l.nodes {
		n.start()
	}
	owners := map[netip.Addr]*node{}
	for _, public := range []netip.Addr{public4, public6} {
		l.until("somebody answers", func() error {
			var err error
			owners[public], err = l.owner(public)
			return err
		})
		if got, err := l.visit(public); err != nil || got != fmt.Sprint(owners[public].number) {
			t.Errorf("%s: node %s, %v, and node %d is the owner", public, got, err, owners[public].number)
		}
	}

	// A proxy ends: the other node takes over, and no connection stays unanswered.
	leaving := owners[public4]
	other := l.nodes[2-leaving.number]
	stop := l.visits()
	leaving.setReady(false)
	for _, public := range []netip.Addr{public4, public6} {
		l.until("the other node answers", func() error {
			n, err := l.owner(public)
			if err == nil && n != other {
				err = fmt.Errorf("node %d answers for %s", n.number, public)
			}
			return err
		})
		// Whoever does not know yet, and whoever does.
		l.forget(public)
		l.until("the visitor comes to it", func() error {
			got, err := l.visit(public)
			if err == nil && got != fmt.Sprint(other.number) {
				err = fmt.Errorf("%s leads to node %s", public, got)
			}
			return err
		})
	}
	// The connection of a request that is under way does not move with the address: one of
	// each visitor when the other node takes over, and one when the visitor's host forgets.
	l.underWay(stop(), 4)

	// The owner is lost without a word: the visitor, who knows the other's address, comes to the
	// next one.
	leaving.setReady(true)
	time.Sleep(time.Second)
	port, err := l.router.LinkByName(other.routerPort())
	l.must(err)
	began := time.Now()
	l.must(l.router.LinkSetDown(port))
	other.signal(kill)
	other.cmd = nil
	for _, public := range []netip.Addr{public4, public6} {
		l.until("the next node answers", func() error {
			got, err := l.visit(public)
			if err == nil && got != fmt.Sprint(leaving.number) {
				err = fmt.Errorf("%s leads to node %s", public, got)
			}
			return err
		})
	}
	t.Logf("the next node answered after %s", time.Since(began).Round(time.Millisecond))
}
