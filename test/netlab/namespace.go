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
	// Name is what "ip netns" calls it.
	Name string
	// Path is the file that stands for it, as in nsenter --net=PATH.
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
		// Nobody else is there: addresses are usable at once.
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

// Do runs do on a thread that is in the namespace: what it opens (sockets, files
// below /proc/sys/net) and starts is the namespace's. Goroutines that do starts
// are not.
func (n *Namespace) Do(do func() error) error {
	return ownthread.Run(func() error {
		if err := netns.Set(n.handle); err != nil {
			return fmt.Errorf("enter namespace %s: %w", n.Name, err)
		}
		return do()
	})
}

// FD is the namespace's file descriptor, as netlink.LinkSetNsFd wants it.
func (n *Namespace) FD() int { return int(n.handle) }

// Start starts a command in the namespace. It sees the machine's mounts, so
// bpffs is where it was.
func (n *Namespace) Start(cmd *exec.Cmd) error { return n.Do(cmd.Start) }

// Run runs a command in the namespace, and returns what it printed.
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
