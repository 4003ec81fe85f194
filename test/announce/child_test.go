// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/vishvananda/netns"

	"github.com/acnodal/epic/pkg/node/announce"
	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/pkg/node/statefile"
)

// childEnv has this program be a gateway node's program: what it opens has to be in a
// namespace of its own.
const childEnv = "EPIC_TEST_ANNOUNCER"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		if err := child(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	// Tests mostly wait for daemons.
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(m.Run())
}

// setup is what a child starts with.
type setup struct {
	Address   netip.Addr
	Name      string
	Passwords announce.Passwords
	Labels    map[string]string
	Config    announce.Config
	Desired   host.Desired
}

// command is one line to a child, which answers with one line: a Status.
type command struct {
	Config  *announce.Config
	Desired *host.Desired
}

// child keeps the host's network and announces it, as epic-node does.
func child() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var s setup
	if err := json.Unmarshal([]byte(os.Getenv(childEnv)), &s); err != nil {
		return err
	}
	network, err := host.New(host.Options{Namespace: netns.None()})
	if err != nil {
		return err
	}
	defer network.Close()
	restarting, err := network.Left()
	if err != nil {
		return err
	}
	if _, err := network.Apply(s.Desired); err != nil {
		return err
	}
	a := announce.New(announce.Options{
		Address: s.Address, Name: s.Name, Passwords: s.Passwords.Get, Delivered: network, Restarting: restarting,
		Sessions: statefile.File{Path: filepath.Join(string(s.Passwords), ".bfd"), Version: announce.SessionsVersion},
		Labels:   func(context.Context) (map[string]string, error) { return s.Labels, nil },
	})
	a.Set(s.Config)
	done := make(chan struct{})
	go func() { a.Run(ctx); close(done) }()
	go network.Run(ctx, nil)
	go func() {
		lines := bufio.NewScanner(os.Stdin)
		lines.Buffer(nil, 1<<20)
		answer := json.NewEncoder(os.Stdout)
		for lines.Scan() {
			var c command
			if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
				fmt.Fprintln(os.Stderr, err)
				continue
			}
			if c.Config != nil {
				a.Set(*c.Config)
			}
			if c.Desired != nil {
				if _, err := network.Apply(*c.Desired); err != nil {
					fmt.Fprintln(os.Stderr, err)
				}
			}
			_ = answer.Encode(a.Status(ctx))
		}
	}()
	<-done
	return nil
}
