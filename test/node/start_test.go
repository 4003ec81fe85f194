// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/pkg/node/status"
	"github.com/acnodal/epic/test/netlab"
)

// nowhere is the kubeconfig of an API that does not respond.
const nowhere = `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c}}]
current-context: c
`

// bare is a host for a node program, without API.
type bare struct {
	*site
	lab              *netlab.Lab
	host             *netlab.Namespace
	kubeconfig, pins string
}

func newBare(t *testing.T) *bare {
	b := &bare{lab: netlab.Test(t), site: &site{t: t, root: t}, pins: filepath.Join(netlab.BPFFS(t), "epic")}
	var err error
	b.host, err = b.lab.Namespace("host")
	b.must(err)
	b.dir, err = os.MkdirTemp("", "epic-node-") //nolint:usetesting // a socket's path must be short
	b.must(err)
	t.Cleanup(func() { os.RemoveAll(b.dir) })
	b.kubeconfig = b.path("kubeconfig")
	b.must(os.WriteFile(b.kubeconfig, []byte(nowhere), 0o600))
	return b
}

// args are those of a client with some of its flags replaced.
func (b *bare) args(flags ...string) []string {
	all := []string{
		"client", "--kubeconfig=" + b.kubeconfig, "--namespace=epic-a", "--node-address=192.0.2.16", "--pin-path=" + b.pins,
		"--state-dir=" + b.path("state"), "--status-socket=" + b.path("sock"), "--metrics-bind-address=",
	}
	for _, flag := range flags {
		name, _, _ := strings.Cut(flag, "=")
		if i := slices.IndexFunc(all, func(a string) bool { return strings.HasPrefix(a, name+"=") }); i >= 0 {
			all[i] = flag
		} else {
			all = append(all, flag)
		}
	}
	return all
}

// A node program that cannot start prints the reason and its fix in one line, and leaves
// nothing behind.
func TestRefusesToStart(t *testing.T) {
	t.Parallel()
	b := newBare(t)
	b.must(os.WriteFile(b.path("broken"), []byte("{"), 0o600))
	for _, c := range []struct {
		name    string
		flags   []string
		without []uintptr
		want    string
	}{
		{name: "no mount", flags: []string{"--pin-path=" + b.path("pins")}, want: "is not in a bpffs: mount one: mount -t bpf bpf /sys/fs/bpf"},
		{name: "no capability", without: []uintptr{unix.CAP_NET_ADMIN}, want: "capability CAP_NET_ADMIN is missing: run as root, or add it"},
		{name: "no state", flags: []string{"--state-dir=" + b.path("broken")}, want: "--state-dir"},
		{name: "no kubeconfig", flags: []string{"--kubeconfig=" + b.path("none")}, want: "--kubeconfig: open " + b.path("none")},
		{name: "broken kubeconfig", flags: []string{"--kubeconfig=" + b.path("broken")}, want: "--kubeconfig"},
		{name: "XDP that there is not", flags: []string{"--xdp=fast"}, want: `--xdp is "fast": set one of [auto native off]`},
		{name: "no address of a host", flags: []string{"--node-address=0.0.0.0"}, want: `--node-address: "0.0.0.0" is not the IP address of a host`},
		{name: "address of the node unknown", flags: []string{"--node-address="}, want: "set --node-address"},
		{name: "port 0", flags: []string{"--port=0"}, want: "--port is 0: set a port from 1 to 65535"},
		{name: "no account", flags: []string{"--namespace=default"}, want: `--namespace is "default": set the account's namespace`},
		{name: "PINGs too often", flags: []string{"--ping-interval=1ms"}, want: "--ping-interval is 1ms: set a duration from 1s to 2m0s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			// One that starts all the same would run forever.
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, self(t), b.args(c.flags...)...)
			cmd.Env = append(os.Environ(), programEnv+"=epic-node")
			cmd.Stdout, cmd.Stderr = &out, &out
			b.must(b.host.Do(func() error {
				for _, capability := range c.without {
					// The thread ends with the function.
					if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil {
						return err
					}
				}
				return cmd.Start()
			}))
			err := cmd.Wait()
			if err == nil || !strings.Contains(out.String(), c.want) || strings.Count(out.String(), "\n") != 1 {
				t.Errorf("it ends with %v and says %q, not %q", err, out.String(), c.want)
			}
			if _, err := os.Stat(b.pins); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("there is %s: %v", b.pins, err)
			}
		})
	}
}

// An interface that is named and not there is told, and used when it appears, also
// when another one of that name does; so is the node's address.
func TestInterfaceAppears(t *testing.T) {
	t.Parallel()
	b := newBare(t)
	other, err := b.lab.Namespace("other")
	b.must(err)
	report := func() (status.Report, error) { return status.NewClient(b.path("sock")).Report(t.Context()) }
	uses := func(problem string, names ...string) {
		t.Helper()
		b.until(fmt.Sprintf("interfaces %v, problem %q", names, problem), func() error {
			r, err := report()
			if err != nil {
				return err
			}
			var got []string
			for _, i := range r.Interfaces {
				got = append(got, i.Name)
			}
			said := slices.ContainsFunc(r.Problems, func(p string) bool { return strings.Contains(p, "interface") })
			if !slices.Equal(got, names) || said != (problem != "") || problem != "" && !strings.Contains(strings.Join(r.Problems, "\n"), problem) {
				err = fmt.Errorf("%v, %q", got, r.Problems)
			}
			return err
		})
	}
	appears := func(name string) netlink.Link {
		t.Helper()
		b.must(netlab.Veth(b.host, name, other, name, 1500))
		l, err := b.host.LinkByName(name)
		b.must(err)
		return l
	}
	p := b.start(b.host, "named", "epic-node", b.args("--interface=wan0")...)
	uses("the interface wan0 does not exist: programs are attached when it appears")
	for range 2 {
		l := appears("wan0")
		uses("", "wan0")
		b.must(b.host.LinkDel(l))
		uses("the interface wan0 does not exist: programs are attached when it appears")
	}
	b.must(p.Stop())

	p = b.start(b.host, "addressed", "epic-node", b.args()...)
	uses("no interface has the address 192.0.2.16: assign it to one, or set the address that is used instead")
	first, second := appears("one"), appears("two")
	b.must(b.host.Addr("one", "192.0.2.16/24"))
	uses("", "one")
	address, err := netlink.ParseAddr("192.0.2.16/24")
	b.must(err)
	b.must(b.host.AddrDel(first, address))
	b.must(b.host.AddrAdd(second, address))
	uses("", "two")
	b.must(p.Stop())
}
