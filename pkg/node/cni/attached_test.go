// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/acnodal/epic/pkg/node/cni/wire"
	"github.com/acnodal/epic/pkg/node/internal/testns"
	"github.com/acnodal/epic/pkg/node/proxies"
	"github.com/acnodal/epic/pkg/node/proxies/proxiestest"
)

// attachment makes a host's end, and what is kept of it.
func attachment(t *testing.T, ns *testns.NS, n int) (Attachment, netlink.Link) {
	t.Helper()
	a := wire.Attachment{Network: "net", Container: fmt.Sprint("container", n), Interface: "eth0"}
	link := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: a.HostName()}}
	if err := ns.Net.LinkAdd(link); err != nil {
		t.Fatal(err)
	}
	if err := ns.Net.LinkSetAlias(link, a.Alias()); err != nil {
		t.Fatal(err)
	}
	// The kernel tells of an alias only if the interface is up.
	if err := ns.Net.LinkSetUp(link); err != nil {
		t.Fatal(err)
	}
	return Attachment{Attachment: a, Plan: wire.Plan{
		Kind: string(proxies.GWProxy), Namespace: "epic-a", Owner: "web", Pod: fmt.Sprint("pod", n),
		Host: a.HostName(), Alias: a.Alias(), MAC: net.HardwareAddr{2, 0, 0, 0, 0, byte(n)},
		Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.5")},
	}}, link
}

func TestAttached(t *testing.T) {
	ns := testns.New(t)
	directory := filepath.Join(t.TempDir(), "attachments")
	a, err := OpenAttached(t.Context(), directory, ns.Handle)
	if err != nil {
		t.Fatal(err)
	}
	lists := proxiestest.Follow(t, a)
	proxiestest.Until(t, "nothing", lists, func(l []proxies.Interface) bool { return len(l) == 0 })
	one, link := attachment(t, ns, 1)
	two, _ := attachment(t, ns, 2)
	for _, r := range []Attachment{two, one} {
		if err := a.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	proxiestest.Until(t, "both", lists, func(l []proxies.Interface) bool {
		return len(l) == 2 && l[0].Pod == "pod1" && l[0].Index == link.Attrs().Index && l[0].Kind == proxies.GWProxy && l[1].Pod == "pod2"
	})
	missing := one
	missing.Plan.Host = "epicmissing"
	if err := a.Put(missing); err == nil {
		t.Error("an attachment without an interface was kept")
	}
	outside := one
	outside.Plan.Host = "../x"
	if err := a.Put(outside); err == nil {
		t.Error("an attachment was kept outside the directory")
	}

	// Gone, and made again with another index.
	if err := ns.Net.LinkDel(link); err != nil {
		t.Fatal(err)
	}
	proxiestest.Until(t, "one is gone", lists, func(l []proxies.Interface) bool { return len(l) == 1 && l[0].Pod == "pod2" })
	if a.Live(one.Plan.Host) || len(a.All()) != 2 {
		t.Error("what is kept of an interface that is gone is not as it should be")
	}
	_, link = attachment(t, ns, 1)
	proxiestest.Until(t, "it is back", lists, func(l []proxies.Interface) bool { return len(l) == 2 && l[0].Index == link.Attrs().Index })
	// Another's interface with the same name is not the proxy's.
	if err := ns.Net.LinkSetAlias(link, "other"); err != nil {
		t.Fatal(err)
	}
	proxiestest.Until(t, "another's", lists, func(l []proxies.Interface) bool { return len(l) == 1 })

	// A restart, with a damaged file.
	if err := os.WriteFile(filepath.Join(directory, "epicbroken"+attachmentSuffix), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := OpenAttached(t.Context(), directory, ns.Handle)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if l := again.List(); len(l) != 1 || l[0].Pod != "pod2" {
		t.Errorf("after a restart: %+v", l)
	}
	if err := again.Delete(two.Plan.Host); err != nil {
		t.Fatal(err)
	}
	if err := again.Delete(two.Plan.Host); err != nil {
		t.Errorf("a second Delete: %v", err)
	}
	if l := again.List(); len(l) != 0 {
		t.Errorf("after Delete: %+v", l)
	}
	files, _ := filepath.Glob(filepath.Join(directory, "*"+attachmentSuffix))
	if len(files) != 1 {
		t.Errorf("files left: %v", files)
	}
}
