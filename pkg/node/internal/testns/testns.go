// SPDX-License-Identifier: Apache-2.0

// Package testns creates network namespaces for tests, and removes them. Only tests use
// it.
package testns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/acnodal/epic/pkg/ownthread"
	"github.com/acnodal/epic/test/tools/need"
)

var counter atomic.Int64

// Need skips a test that is not permitted to create namespaces, or fails it if skipping
// is not allowed.
func Need(t testing.TB) {
	t.Helper()
	var err error
	if os.Geteuid() != 0 {
		err = errors.New("making them needs root")
	}
	need.Met(t, "network namespaces", err)
}

// NS is a network namespace.
type NS struct {
	// Name is its name under /run/netns, and Path the full path.
	Name, Path string
	Handle     netns.NsHandle
	// Net changes and reads it.
	Net *netlink.Handle

	t      testing.TB
	delete func()
}

// Delete removes the namespace before the test ends.
func (n *NS) Delete() { n.delete() }

// New creates a namespace with its loopback interface up, and removes it at the end of
// the test.
func New(t testing.TB) *NS {
	t.Helper()
	Need(t)
	n := &NS{Name: fmt.Sprintf("epictest-%d-%d", os.Getpid(), counter.Add(1)), t: t}
	n.Path = filepath.Join("/run/netns", n.Name)
	err := ownthread.Run(func() (err error) {
		n.Handle, err = netns.NewNamed(n.Name)
		return err
	})
	if err != nil {
		t.Fatalf("make a network namespace: %v", err)
	}
	n.delete = sync.OnceFunc(func() {
		_ = n.Handle.Close()
		if err := netns.DeleteNamed(n.Name); err != nil {
			t.Errorf("remove the network namespace %s: %v", n.Name, err)
		}
	})
	t.Cleanup(n.delete)
	if n.Net, err = netlink.NewHandleAt(n.Handle); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Net.Close)
	// Tentative addresses would delay every test by a second.
	n.Sysctl("net/ipv6/conf/default/accept_dad", "0")
	n.Sysctl("net/ipv6/conf/all/accept_dad", "0")
	lo, err := n.Net.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Net.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}
	return n
}

// Do runs f on a thread in the namespace. f must not start goroutines that rely on it.
func (n *NS) Do(f func() error) error {
	return ownthread.Run(func() error {
		if err := netns.Set(n.Handle); err != nil {
			return err
		}
		return f()
	})
}

// Veth connects two namespaces by a pair of interfaces, which are up.
func Veth(t testing.TB, a *NS, nameA string, b *NS, nameB string) (endA, endB netlink.Link) {
	t.Helper()
	pair := netlink.NewVeth(netlink.LinkAttrs{Name: nameA, TxQLen: -1})
	pair.PeerName, pair.PeerNamespace = nameB, netlink.NsFd(b.Handle)
	if err := a.Net.LinkAdd(pair); err != nil {
		t.Fatalf("make a veth pair: %v", err)
	}
	return up(t, a, nameA), up(t, b, nameB)
}

func up(t testing.TB, n *NS, name string) netlink.Link {
	t.Helper()
	link, err := n.Net.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Net.LinkSetUp(link); err != nil {
		t.Fatal(err)
	}
	if link, err = n.Net.LinkByName(name); err != nil {
		t.Fatal(err)
	}
	return link
}

// Address adds an address in CIDR form to an interface.
func (n *NS) Address(link netlink.Link, cidr string) {
	n.t.Helper()
	addr, err := netlink.ParseAddr(cidr)
	if err != nil {
		n.t.Fatal(err)
	}
	const nodad = 2
	addr.Flags = nodad
	if err := n.Net.AddrAdd(link, addr); err != nil {
		n.t.Fatalf("add %s: %v", cidr, err)
	}
}

// Route adds a route by a gateway, or by an interface if gateway is empty.
func (n *NS) Route(link netlink.Link, dst, gateway string) {
	n.t.Helper()
	r := &netlink.Route{LinkIndex: link.Attrs().Index}
	var err error
	if r.Dst, err = netlink.ParseIPNet(dst); err != nil {
		n.t.Fatal(err)
	}
	if gateway != "" {
		a, err := netlink.ParseAddr(gateway + "/32")
		if err != nil {
			a, err = netlink.ParseAddr(gateway + "/128")
		}
		if err != nil {
			n.t.Fatal(err)
		}
		r.Gw, r.Flags = a.IP, int(netlink.FLAG_ONLINK)
	} else {
		r.Scope = netlink.SCOPE_LINK
	}
	if err := n.Net.RouteAdd(r); err != nil {
		n.t.Fatalf("add a route to %s: %v", dst, err)
	}
}

// Sysctl sets a setting of the namespace, given by its path below /proc/sys.
func (n *NS) Sysctl(path, value string) {
	n.t.Helper()
	if err := n.Do(func() error {
		return os.WriteFile(filepath.Join("/proc/sys", path), []byte(value), 0o600)
	}); err != nil {
		n.t.Fatal(err)
	}
}
