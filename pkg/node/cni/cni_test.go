// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"

	"github.com/acnodal/epic/pkg/node/cni/podnet"
	"github.com/acnodal/epic/pkg/node/cni/wire"
	"github.com/acnodal/epic/pkg/node/internal/testns"
)

func TestOtherPodsPassThrough(t *testing.T) {
	c := newCluster(t)
	c.stop()
	for _, namespace := range []string{"default", "kube-system", "epic", "epic-system"} {
		p := c.pod(namespace, "p")
		out, err := p.add()
		if err != nil || out != p.prev {
			t.Errorf("%s: ADD without a node program: %q, %v; want the result before, unchanged", namespace, out, err)
		}
		if err := p.check(); err != nil {
			t.Errorf("%s: CHECK: %v", namespace, err)
		}
		if err := p.del(); err != nil {
			t.Errorf("%s: DEL: %v", namespace, err)
		}
		if now := p.snapshot(); now != p.before {
			t.Errorf("%s: the pod was changed", namespace)
		}
	}
	p := c.pod("default", "p")
	if _, err := p.run("STATUS", "1.1.0", ""); err != nil {
		t.Errorf("STATUS without a node program: %v", err)
	}
	if out, err := p.run("VERSION", "1.0.0", ""); err != nil || !strings.Contains(out, "0.3.1") || !strings.Contains(out, "1.1.0") {
		t.Errorf("VERSION: %q, %v", out, err)
	}
	var e *cniError
	if _, err := p.run("ADD", "1.0.0", ""); !errors.As(err, &e) || e.Code != 7 {
		t.Errorf("ADD as the first of the chain: %v", err)
	}
}

func TestPodOfAnAccountThatIsNoProxy(t *testing.T) {
	c := newCluster(t)
	p := c.pod("epic-a", "other")
	out, err := p.add()
	if err != nil || out != p.prev {
		t.Errorf("ADD: %q, %v", out, err)
	}
	if c.resolver.asked != 1 {
		t.Errorf("the node program was asked %d times", c.resolver.asked)
	}
	if err := p.check(); err != nil {
		t.Errorf("CHECK: %v", err)
	}
	if err := p.del(); err != nil {
		t.Errorf("DEL: %v", err)
	}
	p.clean("a pod that is no proxy")
}

func TestProxyLifetime(t *testing.T) {
	for _, version := range []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		t.Run(version, func(t *testing.T) {
			c := newCluster(t)
			p := c.proxy("web-1", "203.0.113.5", "2001:db8:5::5")
			prev := `,"prevResult":` + strings.Replace(p.prev, "1.0.0", version, 1)
			if version < "1" {
				prev = strings.Replace(prev, `"address"`, `"version":"4","address"`, 1)
			}
			var results []string
			// Twice: the second finds everything there.
			for range 2 {
				out, err := p.run("ADD", version, prev)
				if err != nil {
					t.Fatal(err)
				}
				results = append(results, out)
			}
			if results[0] != results[1] {
				t.Errorf("the second ADD says something else:\n%s\n%s", results[0], results[1])
			}
			for _, want := range []string{p.hostName(), `"name": "net1"`, `"203.0.113.5/32"`, `"2001:db8:5::5/128"`, `"eth0"`, `"cniVersion": "` + version} {
				if !strings.Contains(results[0], want) {
					t.Errorf("the result has no %s:\n%s", want, results[0])
				}
			}
			if version == "1.0.0" {
				checkResult(t, results[0])
			}
			list := c.attached.List()
			if len(list) != 1 || list[0].Pod != "web-1" || list[0].Owner != "web" || list[0].Name != p.hostName() || len(list[0].Addresses) != 2 {
				t.Errorf("the source lists %+v", list)
			}
			if version != "0.3.1" {
				if _, err := p.run("CHECK", version, prev); err != nil {
					t.Errorf("CHECK: %v", err)
				}
			}
			for range 2 {
				if _, err := p.run("DEL", version, prev); err != nil {
					t.Fatal(err)
				}
				p.clean("after DEL")
			}
		})
	}
}

func checkResult(t *testing.T, out string) {
	t.Helper()
	parsed, err := types100.NewResult([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	r, err := types100.NewResultFromResult(parsed)
	if err != nil {
		t.Fatal(err)
	}
	for _, ip := range r.IPs[1:] {
		if i := r.Interfaces[*ip.Interface]; i.Name != "net1" || i.Mtu != 1400 || i.Sandbox == "" {
			t.Errorf("%s belongs to %+v", ip.Address.String(), i)
		}
	}
}

func TestGC(t *testing.T) {
	c := newCluster(t)
	a, b := c.proxy("web-1", "203.0.113.5"), c.proxy("web-2", "203.0.113.6")
	for _, p := range []*pod{a, b} {
		if _, err := p.add(); err != nil {
			t.Fatal(err)
		}
	}
	valid := func(containers ...string) string {
		var list []string
		for _, id := range containers {
			list = append(list, fmt.Sprintf(`{"containerID":%q,"ifname":"eth0"}`, id))
		}
		return `,"cni.dev/valid-attachments":[` + strings.Join(list, ",") + `]`
	}
	if _, err := a.run("GC", "1.1.0", valid(a.container, b.container)); err != nil {
		t.Fatal(err)
	}
	if len(c.hostEnds()) != 2 || len(c.attached.All()) != 2 {
		t.Errorf("GC took a valid attachment: %v", c.hostEnds())
	}
	if _, err := a.run("GC", "1.1.0", valid(a.container)); err != nil {
		t.Fatal(err)
	}
	if ends := c.hostEnds(); len(ends) != 1 || ends[0] != a.hostName() || len(c.attached.All()) != 1 {
		t.Errorf("GC left %v, %v", ends, c.attached.All())
	}
	c.stop()
	if _, err := a.run("GC", "1.1.0", valid()); err != nil {
		t.Errorf("GC without the node program: %v", err)
	}
	if ends := c.hostEnds(); len(ends) != 0 {
		t.Errorf("GC without the node program left %v", ends)
	}
}

// TestThousandAttachments attaches a thousand interfaces to a few pods' namespaces.
func TestThousandAttachments(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	c := newCluster(t)
	const many = 1000
	bare := testns.New(t)
	w := podnet.Worker{Host: c.node.Handle}
	start := time.Now()
	var records []Attachment
	for i := range many {
		a := wire.Attachment{Network: "mynet", Container: fmt.Sprint("many", i), Interface: "eth0"}
		host := netlink.NewVeth(netlink.LinkAttrs{Name: a.HostName(), TxQLen: -1})
		host.PeerName, host.PeerNamespace = fmt.Sprint("many", i), netlink.NsFd(bare.Handle)
		if err := c.node.Net.LinkAdd(host); err != nil {
			t.Fatal(err)
		}
		if err := c.node.Net.LinkSetAlias(host, a.Alias()); err != nil {
			t.Fatal(err)
		}
		records = append(records, Attachment{Attachment: a, Netns: bare.Path, Plan: wire.Plan{
			Kind: "GWProxy", Namespace: "epic-a", Owner: "web", Pod: fmt.Sprint("pod", i), Host: a.HostName(), Alias: a.Alias(),
		}})
	}
	made := time.Since(start)
	start = time.Now()
	for _, r := range records {
		if err := c.attached.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	kept := time.Since(start)
	start = time.Now()
	again, err := OpenAttached(t.Context(), c.state, c.node.Handle)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if n := len(again.List()); n != many {
		t.Errorf("after a restart %d of %d are listed", n, many)
	}
	t.Logf("%d interfaces made in %v; kept in %v; read again and compared in %v", many, made, kept, time.Since(start))
	// Each removal takes the kernel a while, so only some are.
	const extra = 20
	var valid []wire.Attachment
	for _, r := range records[extra:] {
		valid = append(valid, r.Attachment)
	}
	if n, err := w.Collect("mynet", valid); n != extra || err != nil {
		t.Errorf("Collect removed %d, %v", n, err)
	}
}
