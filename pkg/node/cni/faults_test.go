// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/pkg/node/cni/podnet"
	"github.com/acnodal/epic/pkg/node/cni/wire"
)

func TestNodeProgramAway(t *testing.T) {
	c := newCluster(t)
	p := c.proxy("web-1", "203.0.113.5")
	c.stop()
	_, err := p.add()
	var e *cniError
	if !errors.As(err, &e) || e.Code != 11 || !strings.Contains(e.Msg, c.socket) {
		t.Errorf("ADD: %v; want code 11 with the socket's path", err)
	}
	p.clean("a refused ADD")
	c.start()
	if _, err := p.add(); err != nil {
		t.Fatal(err)
	}
	c.stop()
	if err := p.del(); err != nil {
		t.Errorf("DEL without the node program: %v", err)
	}
	if ends := c.hostEnds(); len(ends) != 0 {
		t.Errorf("DEL without the node program leaves %v", ends)
	}
	if all := c.attached.All(); len(all) != 1 {
		t.Fatalf("what is kept: %v", all)
	}
	// It learns of it when it is back and the namespace is gone.
	p.ns.Delete()
	c.start()
	for range 100 {
		if len(c.attached.All()) == 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if all := c.attached.All(); len(all) != 0 {
		t.Errorf("after the restart it still keeps %v", all)
	}
}

func TestRefusals(t *testing.T) {
	c := newCluster(t)
	p := c.proxy("web-1", "203.0.113.5")
	c.resolver.err = wire.Again("GWProxy epic-a/web has no public address yet")
	_, err := p.add()
	var e *cniError
	if !errors.As(err, &e) || e.Code != 11 || !strings.Contains(e.Msg, "no public address yet") {
		t.Errorf("an object that is not ready: %v", err)
	}
	c.resolver.err = &wire.RefusalError{Message: "both labels"}
	if _, err := p.add(); !errors.As(err, &e) || e.Code != 999 || !strings.Contains(e.Msg, "both labels") {
		t.Errorf("a pod that can never start: %v", err)
	}
	c.resolver.err = nil
	c.resolver.pods["web-1"].Bridge = "missing0"
	if _, err := p.add(); !errors.As(err, &e) || e.Code != 11 || !strings.Contains(e.Msg, "missing0") {
		t.Errorf("a bridge that is not there: %v", err)
	}
	p.clean("refused ADDs")
	// The pod has such an interface already.
	c.resolver.pods["web-1"].Bridge = "multus0"
	if err := p.ns.Net.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "net1", TxQLen: -1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.add(); !errors.As(err, &e) || !strings.Contains(e.Msg, "net1") {
		t.Errorf("a pod with a foreign net1: %v", err)
	}
	if _, err := p.ns.Net.LinkByName("net1"); err != nil {
		t.Errorf("the foreign net1 is gone: %v", err)
	}
	if ends := c.hostEnds(); len(ends) != 0 {
		t.Errorf("host's ends are left: %v", ends)
	}
}

// TestFaults fails each step in turn: nothing is left, and the next try succeeds.
func TestFaults(t *testing.T) {
	c := newCluster(t)
	p := c.proxy("web-1", "203.0.113.5", "2001:db8:5::5")
	answer, err := c.server.plan(t.Context(), wire.Request{
		Attachment:   wire.Attachment{Network: "mynet", Container: p.container, Interface: "eth0"},
		PodNamespace: "epic-a", PodName: "web-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	w := podnet.Worker{Host: c.node.Handle, Fault: func(step string) error { steps = append(steps, step); return nil }}
	if _, err := w.Attach(p.ns.Path, "eth0", answer.Plan); err != nil {
		t.Fatal(err)
	}
	if err := w.Detach(p.ns.Path, wire.Attachment{Network: "mynet", Container: p.container, Interface: "eth0"}); err != nil {
		t.Fatal(err)
	}
	p.clean("a Detach")
	if len(steps) < 10 {
		t.Errorf("only %d steps: %v", len(steps), steps)
	}
	broken := errors.New("broken")
	for i := range steps {
		at := -1
		w.Fault = func(string) error {
			if at++; at == i {
				return broken
			}
			return nil
		}
		if _, err := w.Attach(p.ns.Path, "eth0", answer.Plan); !errors.Is(err, broken) || !strings.Contains(err.Error(), steps[i]) {
			t.Errorf("a fault in %q: %v", steps[i], err)
		}
		p.clean("a fault in " + steps[i])
	}
	// A plugin that was killed half way undoes nothing; the next ADD does.
	for i := range steps {
		at := -1
		func() {
			defer func() { _ = recover() }()
			w.Fault = func(string) error {
				if at++; at == i {
					// Nothing is undone in a panic, as when the process is killed.
					panic("killed")
				}
				return nil
			}
			_, _ = w.Attach(p.ns.Path, "eth0", answer.Plan)
		}()
		w.Fault = nil
		if _, err := w.Attach(p.ns.Path, "eth0", answer.Plan); err != nil {
			t.Errorf("after being killed in %q: %v", steps[i], err)
		}
		if err := w.Check(p.ns.Path, "eth0", answer.Plan); err != nil {
			t.Errorf("after being killed in %q: %v", steps[i], err)
		}
		if err := w.Detach(p.ns.Path, wire.Attachment{Network: "mynet", Container: p.container, Interface: "eth0"}); err != nil {
			t.Fatal(err)
		}
	}
	p.clean("all of it")
}

func TestSocketIsForRoot(t *testing.T) {
	c := newCluster(t)
	for path, want := range map[string]os.FileMode{c.socket: 0o600, filepath.Dir(c.socket): 0o700} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want mode %o", path, info, err, want)
		}
	}
	// Even if somebody opens the way to it.
	for path := filepath.Dir(c.socket); path != os.TempDir(); path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(c.socket, 0o666); err != nil {
		t.Fatal(err)
	}
	err := c.node.Do(func() error {
		// Of this thread only, which ends with the function.
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			return errno
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: c.socket}); err != nil {
			return err
		}
		if _, err := unix.Write(fd, []byte("POST /v1/gc HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")); err != nil {
			return nil
		}
		if n, err := unix.Read(fd, make([]byte, 100)); n > 0 && err == nil {
			return errors.New("another user than root got an answer")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
