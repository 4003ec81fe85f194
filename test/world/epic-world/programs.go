// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/acnodal/epic/pkg/operator/processes"
	"github.com/acnodal/epic/test/netlab"
	"github.com/acnodal/epic/test/world"
)

// end is one of the two nodes.
type end struct {
	title, name, address string
	host                 *netlab.Namespace
	role                 string
	// account is that of a client node.
	account string
	// socket is where the node program responds to "epic-node status".
	socket string
}

func (d *demo) ends() []end {
	return []end{
		{
			title: "The gateway node says of its end:", name: "gateway", role: "gateway",
			address: world.GatewayAddress, host: d.world.Gateway, socket: d.in("gateway", "status.sock"),
		},
		{
			title: "The client node, behind NAT, says of its own:", name: "client", role: "client", account: account,
			address: world.NodeAddress, host: d.world.Tenants[0].Node, socket: d.in("client", "status.sock"),
		},
	}
}

// in is a path below the demonstration's directory.
func (d *demo) in(path ...string) string { return filepath.Join(append([]string{d.dir}, path...)...) }

// programs starts the operator and both nodes' programs.
func (d *demo) programs(ctx context.Context) error {
	server, err := url.Parse(d.config.Host)
	if err != nil {
		return err
	}
	for _, e := range d.ends() {
		if err := world.Relay(ctx, e.host, server.Host); err != nil {
			return err
		}
	}
	if err := d.operator(ctx); err != nil {
		return fmt.Errorf("the operator: %w", err)
	}
	for _, e := range d.ends() {
		if err := d.node(ctx, e, filepath.Join(d.proxyDir(), processes.DescriptionFile)); err != nil {
			return fmt.Errorf("the %s node: %w", e.name, err)
		}
	}
	return nil
}

// proxyDir is the operator's folder.
func (d *demo) proxyDir() string { return d.in("op") }

// operator starts the operator on the gateway node, and waits until it is at work.
func (d *demo) operator(ctx context.Context) error {
	args := []string{"--kubeconfig=" + d.kubeconfig, "--runner=processes", "--process-dir=" + d.proxyDir(), "--envoy=" + d.envoy, "--bind-address="}
	var host *netlab.Namespace
	if d.loopback {
		args = append(args, "--process-network=loopback")
	} else {
		host, args = d.world.Gateway, append(args, "--node-address="+world.GatewayAddress)
	}
	if err := d.run(host, "operator", "epic-operator", args...); err != nil {
		return err
	}
	p := d.processes[len(d.processes)-1]
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		if err := p.Err(); err != nil {
			return false, err
		}
		_, err := os.Stat(filepath.Join(d.proxyDir(), processes.DescriptionFile))
		return err == nil, nil
	})
}

// endProxies ends the proxies that the operator started, which has ended.
func (d *demo) endProxies() error {
	if _, err := os.Stat(d.proxyDir()); err != nil {
		return nil //nolint:nilerr // there was none
	}
	cmd := exec.Command(d.program("epic-operator"), "cleanup", "--process-dir="+d.proxyDir(), "--grace=2s") //nolint:noctx // it ends by itself
	var err error
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if d.world != nil && d.world.Gateway != nil {
		err = d.world.Gateway.Do(cmd.Run)
	} else {
		err = cmd.Run()
	}
	if err != nil {
		return fmt.Errorf("end the proxies: %w: %s", err, strings.TrimSpace(out.String()))
	}
	return nil
}

// node starts a node program with credentials that name the node.
func (d *demo) node(ctx context.Context, e end, description string) error {
	if err := os.Mkdir(d.in(e.name), 0o700); err != nil {
		return err
	}
	kubeconfig := d.in(e.name, "kubeconfig")
	credentials := []string{"node-kubeconfig", e.address, "--data-dir=" + d.data, "--server=" + d.config.Host, "--file=" + kubeconfig}
	if e.account != "" {
		credentials = append(credentials, "--account="+e.account)
	}
	if out, err := exec.CommandContext(ctx, d.program("epic-apiserver"), credentials...).CombinedOutput(); err != nil {
		return fmt.Errorf("its kubeconfig: %w: %s", err, strings.TrimSpace(string(out)))
	}
	pins, err := d.mount(e.name)
	if err != nil {
		return err
	}
	args := []string{
		e.role, "--kubeconfig=" + kubeconfig, "--node-address=" + e.address,
		"--pin-path=" + pins, "--state-dir=" + d.in(e.name, "state"), "--status-socket=" + e.socket, "--metrics-bind-address=",
	}
	switch e.role {
	case "gateway":
		args = append(args, "--proxies-file="+description)
	case "client":
		args = append(args, "--namespace="+namespace)
	}
	return d.run(e.host, e.name, "epic-node", args...)
}

func (d *demo) run(host *netlab.Namespace, name, program string, args ...string) error {
	p, err := world.Start(host, d.in(name+".log"), d.program(program), args...)
	if err != nil {
		return err
	}
	d.processes = append(d.processes, p)
	return d.note("process", p.ID())
}

// mount makes a place for pinned programs and maps, which goes with the
// demonstration.
func (d *demo) mount(name string) (string, error) {
	dir := d.in(name, "bpf")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		return "", fmt.Errorf("mount a bpffs at %s: %w", dir, err)
	}
	d.mounts = append(d.mounts, dir)
	return filepath.Join(dir, "epic"), nil
}

func (d *demo) unmount() error {
	var errs []error
	for _, dir := range d.mounts {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("unmount %s: %w", dir, err))
		}
	}
	return errors.Join(errs...)
}
