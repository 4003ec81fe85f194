// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/acnodal/epic/pkg/ownthread"
)

// Namespace is one host of a lab.
type Namespace struct {
	// Name is the name of the namespace in "ip netns".
	Name string
	// Path is the file of the namespace, as in nsenter --net=PATH.
	Path string

	*netlink.Handle
	handle netns.NsHandle
}

func newNamespace(name string) (*Namespace, error) {
	n := &Namespace{Name: name}
	err := ownthread.Run(func() error {
		handle, err := netns.New()
		if err != nil {
			return err
		}
		n.handle = handle
		n.Path, err = bind(name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make namespace %s: %w", name, err)
	}
	n.Handle, err = netlink.NewHandleAt(n.handle)
	if err == nil {
		// No other host shares its addresses, so they are usable without detection of
		// duplicates.
		err = errors.Join(n.Up("lo"), n.Sysctl("ipv6.conf.default.accept_dad", "0"))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("namespace %s: %w", name, err), n.remove())
	}
	return n, nil
}

func (n *Namespace) remove() error {
	if n.Handle != nil {
		n.Handle.Close()
	}
	return errors.Join(n.handle.Close(), unbind(n.Path))
}

// Do calls do on a thread in the namespace: what do opens (sockets, files below
// /proc/sys/net) and starts belongs to the namespace. Goroutines that do starts run
// outside it.
func (n *Namespace) Do(do func() error) error {
	return ownthread.Run(func() error {
		if err := netns.Set(n.handle); err != nil {
			return fmt.Errorf("enter namespace %s: %w", n.Name, err)
		}
		return do()
	})
}

// FD returns the namespace's file descriptor, for netlink.LinkSetNsFd.
func (n *Namespace) FD() int { return int(n.handle) }

// Start starts a command in the namespace. The command sees the machine's mounts, such as
// bpffs.
func (n *Namespace) Start(cmd *exec.Cmd) error { return n.Do(cmd.Start) }

// Run runs a command in the namespace, and returns its output.
func (n *Namespace) Run(ctx context.Context, name string, args ...string) (string, error) {
	var out strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := n.Start(cmd); err != nil {
		return "", err
	}
	if err := cmd.Wait(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out.String())
	}
	return out.String(), nil
}

// Sysctl sets a value below net, such as "ipv4.ip_forward".
func (n *Namespace) Sysctl(name, value string) error {
	path := "/proc/sys/net/" + strings.ReplaceAll(name, ".", "/")
	return n.Do(func() error { return os.WriteFile(path, []byte(value), 0) })
}
