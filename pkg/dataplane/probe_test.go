// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/test/netlab"
)

// probed is what Probe says: the fatal problems, and the others.
func probed(options Options, interfaces ...string) (fatal, other string) {
	for _, p := range Probe(options, interfaces...) {
		if p.Fatal {
			fatal += p.String() + "\n"
		} else {
			other += p.String() + "\n"
		}
	}
	return fatal, other
}

// Probe finds no problem on a machine on which Open works, and names each problem with
// its fix otherwise.
func TestProbe(t *testing.T) {
	lab := netlab.Test(t)
	host, err := lab.Namespace("host")
	must(t, err)
	peer, err := lab.Namespace("peer")
	must(t, err)
	must(t, netlab.Veth(host, "eth0", peer, "eth0", 1500))
	must(t, errors.Join(host.Sysctl("ipv4.ip_forward", "0"), host.Sysctl("ipv6.conf.all.forwarding", "1")))
	bpffs := filepath.Join(netlab.BPFFS(t), "none", "epic")
	client, gateway := Options{Role: RoleClient, PinPath: bpffs}, Options{Role: RoleGateway, PinPath: bpffs}
	elsewhere := Options{Role: RoleClient, PinPath: filepath.Join(t.TempDir(), "epic")}
	for _, c := range []struct {
		name         string
		options      Options
		interfaces   []string
		without      []uint
		fatal, other []string
	}{
		{name: "nothing", options: client, interfaces: []string{"eth0"}},
		{name: "forwarding", options: gateway, other: []string{"set net.ipv4.ip_forward=1"}},
		{name: "mount", options: elsewhere, fatal: []string{elsewhere.PinPath + " is not in a bpffs: mount one"}},
		{name: "interface", options: client, interfaces: []string{"eth7"}, other: []string{`there is no interface "eth7"`}},
		{name: "Ethernet", options: client, interfaces: []string{"lo"}, fatal: []string{`interface "lo" has no Ethernet headers (loopback): name another one`}},
		{name: "options", options: Options{Role: RoleClient, Hook: "odd"}, fatal: []string{`hook "odd": must be`}},
		{name: "capability", options: client, without: []uint{unix.CAP_NET_ADMIN}, fatal: []string{"capability CAP_NET_ADMIN is missing: run as root, or add it to securityContext.capabilities"}},
		// CAP_SYS_ADMIN contains CAP_BPF.
		{name: "one of two capabilities", options: client, without: []uint{unix.CAP_BPF}},
		{name: "looking at packets", options: client, without: []uint{unix.CAP_PERFMON, unix.CAP_SYS_ADMIN}, fatal: []string{"capability CAP_PERFMON is missing"}},
		{name: "capabilities", options: client, without: []uint{unix.CAP_BPF, unix.CAP_SYS_ADMIN}, fatal: []string{"capability CAP_BPF is missing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var fatal, other string
			must(t, host.Do(func() error {
				// The thread ends with the function.
				if err := giveUp(c.without); err != nil {
					return err
				}
				fatal, other = probed(c.options, c.interfaces...)
				return nil
			}))
			for _, said := range []struct {
				kind, got string
				want      []string
			}{{"fatal", fatal, c.fatal}, {"other", other, c.other}} {
				for _, want := range said.want {
					if !strings.Contains(said.got, want) {
						t.Errorf("%s problems %q, want %q", said.kind, said.got, want)
					}
				}
				// The machine itself may interpret programs.
				if n := strings.Count(said.got, "\n") - strings.Count(said.got, "bpf_jit_enable"); n != len(said.want) {
					t.Errorf("%s problems %q, want %q only", said.kind, said.got, said.want)
				}
			}
		})
	}
}

// A kernel that is too old is told what it has not, and since when others have it.
func TestLacking(t *testing.T) {
	problems := lacking([]kernelFeature{
		{"wheels", "1.0", func() error { return nil }},
		{"wings", "9.8", func() error { return fmt.Errorf("wings: %w", ebpf.ErrNotSupported) }},
		{"fins", "9.9", func() error { return errors.New("no memory") }},
	})
	want := "this kernel has no wings: use Linux 5.15 or later (it came with 9.8) with CONFIG_BPF_SYSCALL and CONFIG_NET_CLS_ACT"
	if len(problems) != 1 || problems[0].String() != want || !problems[0].Fatal {
		t.Errorf("got %+v, want %q", problems, want)
	}
}

// giveUp takes capabilities from the present thread.
func giveUp(capabilities []uint) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	for _, c := range capabilities {
		data[c/32].Effective &^= 1 << (c % 32)
	}
	return unix.Capset(&header, &data[0])
}
