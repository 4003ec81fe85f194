// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/rlimit"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Problem is a missing requirement of this machine.
type Problem struct {
	// What is missing.
	What string
	// Remedy is the fix.
	Remedy string
	// Fatal indicates that the data plane can't work; otherwise something is slower or
	// not possible.
	Fatal bool
}

// String returns both in one line.
func (p Problem) String() string { return p.What + ": " + p.Remedy }

// Probe returns what this machine lacks for a data plane, before Open fails because of
// it. interfaces are the names of the intended underlay interfaces.
func Probe(options Options, interfaces ...string) []Problem {
	options, err := options.complete()
	if err != nil {
		return []Problem{{What: "options", Remedy: err.Error(), Fatal: true}}
	}
	var problems []Problem
	add := func(fatal bool, what, remedy string) {
		problems = append(problems, Problem{What: what, Remedy: remedy, Fatal: fatal})
	}
	missing := missingCapabilities()
	if len(missing) > 0 {
		add(true, "capability "+strings.Join(missing, ", ")+" is missing",
			"run as root, or add it to securityContext.capabilities of the container")
		return problems // all further checks would fail because of it
	}
	_ = rlimit.RemoveMemlock()
	problems = append(problems, lacking(kernelFeatures)...)
	if err := probePinPath(options.PinPath); err != nil {
		add(true, err.Error(), "mount one: mount -t bpf bpf /sys/fs/bpf; in a container, mount the host's /sys/fs/bpf")
	}
	if value, err := os.ReadFile("/proc/sys/net/core/bpf_jit_enable"); err == nil && strings.TrimSpace(string(value)) == "0" {
		add(false, "the kernel interprets BPF programs, which costs several times as much", "set net.core.bpf_jit_enable=1")
	}
	if options.Role == RoleGateway {
		for name, file := range map[string]string{"net.ipv4.ip_forward": "ipv4/ip_forward", "net.ipv6.conf.all.forwarding": "ipv6/conf/all/forwarding"} {
			if value, err := os.ReadFile("/proc/sys/net/" + file); err == nil && strings.TrimSpace(string(value)) == "0" {
				add(false, "this node does not forward packets of one address family, so proxies' public addresses are not reachable", "set "+name+"=1")
			}
		}
	}
	for _, name := range interfaces {
		l, err := netlink.LinkByName(name)
		switch {
		case err != nil:
			add(false, fmt.Sprintf("there is no interface %q", name), "specify an interface of the underlay; it is used as soon as it appears")
		case l.Attrs().EncapType != "ether":
			add(true, fmt.Sprintf("interface %q has no Ethernet headers (%s)", name, l.Attrs().EncapType), "name another one")
		}
	}
	return problems
}

// kernelFeature is a feature that the programs use, and the release of Linux that
// introduced it.
type kernelFeature struct {
	name, since string
	have        func() error
}

func hasHelper(helper asm.BuiltinFunc) func() error {
	return func() error { return features.HaveProgramHelper(ebpf.SchedCLS, helper) }
}

func hasMap(kind ebpf.MapType) func() error {
	return func() error { return features.HaveMapType(kind) }
}

var kernelFeatures = []kernelFeature{
	{"programs for tc", "4.1", func() error { return features.HaveProgramType(ebpf.SchedCLS) }},
	{"hash maps per CPU", "4.6", hasMap(ebpf.PerCPUHash)},
	{"maps of least recently used entries", "4.10", hasMap(ebpf.LRUHash)},
	{"ring buffers", "5.8", hasMap(ebpf.RingBuf)},
	{"encapsulation that keeps offloads (bpf_skb_adjust_room)", "5.2", hasHelper(asm.FnSkbAdjustRoom)},
	{"route lookups (bpf_fib_lookup)", "4.18", hasHelper(asm.FnFibLookup)},
	{"sending by a neighbor (bpf_redirect_neigh)", "5.10", hasHelper(asm.FnRedirectNeigh)},
	{"handing over to a pod (bpf_redirect_peer)", "5.10", hasHelper(asm.FnRedirectPeer)},
	{"a clock that is cheap to read (bpf_ktime_get_coarse_ns)", "5.11", hasHelper(asm.FnKtimeGetCoarseNs)},
}

// lacking returns the features that this kernel does not have. It ignores checks that
// fail for another reason.
func lacking(wanted []kernelFeature) []Problem {
	var problems []Problem
	for _, feature := range wanted {
		if errors.Is(feature.have(), ebpf.ErrNotSupported) {
			problems = append(problems, Problem{
				What:   "this kernel has no " + feature.name,
				Remedy: "use Linux 5.15 or later (it came with " + feature.since + ") with CONFIG_BPF_SYSCALL and CONFIG_NET_CLS_ACT",
				Fatal:  true,
			})
		}
	}
	return problems
}

// needed lists the capabilities that the data plane needs: loading programs, which follow
// pointers into packets, and attaching them. CAP_SYS_ADMIN includes some.
var needed = []struct {
	name       string
	capability uint
	inSysAdmin bool
}{
	{"CAP_BPF", unix.CAP_BPF, true},
	{"CAP_PERFMON", unix.CAP_PERFMON, true},
	{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN, false},
}

func missingCapabilities() []string {
	var missing []string
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return nil // the operation that fails because of it will report it
	}
	has := func(capability uint) bool {
		return data[capability/32].Effective&(1<<(capability%32)) != 0
	}
	for _, n := range needed {
		if !has(n.capability) && (!n.inSysAdmin || !has(unix.CAP_SYS_ADMIN)) {
			missing = append(missing, n.name)
		}
	}
	return missing
}

// probePinPath returns why pins can't be created below a path, which need not exist yet.
func probePinPath(path string) error {
	for dir := path; ; dir = filepath.Dir(dir) {
		_, err := os.Stat(dir)
		if errors.Is(err, os.ErrNotExist) && dir != "/" {
			continue
		}
		if err != nil {
			return err
		}
		var fs unix.Statfs_t
		if err := unix.Statfs(dir, &fs); err != nil {
			return err
		}
		if int64(fs.Type) != unix.BPF_FS_MAGIC { //nolint:unconvert // narrower on other machines
			return fmt.Errorf("%s is not in a bpffs", path)
		}
		return nil
	}
}
