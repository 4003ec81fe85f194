// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/etcdmain"

	apiserver "github.com/acnodal/epic/cmd/apiserver/app"
	controller "github.com/acnodal/epic/cmd/controller/app"
	epicnode "github.com/acnodal/epic/cmd/node/app"
	operator "github.com/acnodal/epic/cmd/operator/app"
	proxy "github.com/acnodal/epic/cmd/proxy/app"
	"github.com/acnodal/epic/pkg/envoy/envoytest"
	"github.com/acnodal/epic/test/netlab"
)

// TestMain makes this test binary be one of the programs when it is started by its name.
func TestMain(m *testing.M) {
	programs := map[string]func([]string, io.Writer, io.Writer) int{
		"epic-apiserver": apiserver.Main, "epic-controller": controller.Main, "epic-operator": operator.Main, "epic-proxy": proxy.Main, "epic-node": epicnode.Main,
	}
	name := filepath.Base(os.Args[0])
	if name == "etcd" {
		etcdmain.Main(os.Args)
		return
	}
	if main := programs[name]; main != nil {
		os.Exit(main(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// A short run, with few faults, so "make chaos" works when somebody needs it. Its bound is long: it
// does not judge how fast anything is.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("starts all programs; not with -short")
	}
	netlab.Require(t)
	for _, program := range []string{"mkfs.ext4", "losetup", "mount"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not in PATH", program)
		}
	}
	dir, err := os.MkdirTemp("", "chaos-") //nolint:usetesting // Paths of unix sockets must be short.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range started[:len(started)-1] {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	o := defaults()
	o.duration, o.quiet, o.bound, o.pace, o.tenants, o.rate = 8*time.Second, time.Second, 3*time.Minute, time.Second, 2, 20
	o.rhythm = rhythm{Round: time.Minute, Calm: 3 * time.Minute, Gap: 3 * time.Second}
	o.faults = "server-kill,operator-kill,client-kill,etcd-slow-disk,packet-loss"
	o.dir, o.bin, o.envoy, o.report = filepath.Join(dir, "d"), dir, envoytest.Path(t), filepath.Join(dir, "report.md")
	clean, err := o.run(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if !clean {
		text, _ := os.ReadFile(o.report)
		t.Errorf("%s", text)
	}
}
