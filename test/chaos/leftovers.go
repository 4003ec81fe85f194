// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/pkg/node/status"
	"github.com/acnodal/epic/test/netlab"
)

// audit has each API server compare objects and claims.
func (s *site) audit(ctx context.Context) {
	for i, client := range s.clients {
		where := fmt.Sprintf("server%d", i+1)
		audit := &epicv1.ClaimAudit{}
		err := until(ctx, "an audit", func() error {
			try, cancel := context.WithTimeout(ctx, 30*time.Second)
			defer cancel()
			return client.EpicV1().RESTClient().Get().Namespace(epic.ConfigNamespace).Resource("epics").Name(epic.ConfigName).SubResource("audit").Do(try).Into(audit)
		})
		if ctx.Err() != nil {
			return
		}
		switch {
		case err != nil:
			s.oracle.wrong("no audit", where, time.Now(), err.Error())
		case !audit.Clean:
			s.oracle.wrong("objects and claims differ", where, time.Now(), fmt.Sprintf("%+v", audit))
		default:
			s.audits.Add(1)
		}
	}
}

// nothingLeft checks, when every tenant has deleted everything, that nothing remains of it.
func (s *site) nothingLeft(ctx context.Context) {
	for what, look := range map[string]func(context.Context) error{
		"proxies":       s.noProxies,
		"API objects":   s.noObjects,
		"public routes": s.noRoutes,
	} {
		if err := until(ctx, what, func() error { return look(ctx) }); err != nil && ctx.Err() == nil {
			s.oracle.wrong("something is left", what, time.Now(), err.Error())
		}
	}
	for name := range s.sockets {
		if err := until(ctx, name, func() error { return s.nodeEmpty(ctx, name) }); err != nil && ctx.Err() == nil {
			s.oracle.wrong("something is left", name, time.Now(), err.Error())
		}
	}
}

func (s *site) noProxies(context.Context) error {
	folders, err := filepath.Glob(filepath.Join(s.opDir(), "p", "*"))
	var running []string
	for _, pid := range processIDs() {
		if runs(pid, "epic-proxy") || runs(pid, "envoy") {
			if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(line), filepath.Join(s.opDir(), "p")) {
				running = append(running, fmt.Sprintf("%d: %s", pid, strings.ReplaceAll(string(line), "\x00", " ")))
			}
		}
	}
	if err == nil && len(folders)+len(running) > 0 {
		err = fmt.Errorf("folders %q, processes %q", folders, running)
	}
	return err
}

func (s *site) noObjects(ctx context.Context) error {
	api := s.client.EpicV1()
	all := metav1.ListOptions{}
	lbs, err1 := api.LoadBalancers("").List(ctx, all)
	gws, err2 := api.GWProxies("").List(ctx, all)
	endpoints, err3 := api.RemoteEndpoints("").List(ctx, all)
	routes, err4 := api.GWRoutes("").List(ctx, all)
	slices, err5 := api.GWEndpointSlices("").List(ctx, all)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	if n := len(lbs.Items) + len(gws.Items) + len(endpoints.Items) + len(routes.Items) + len(slices.Items); n > 0 {
		return fmt.Errorf("%d load balancers, %d gateway proxies, %d remote endpoints, %d routes, %d endpoint slices", len(lbs.Items), len(gws.Items), len(endpoints.Items), len(routes.Items), len(slices.Items))
	}
	return nil
}

func (s *site) noRoutes(context.Context) error {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		left, err := s.world.Gateway.RouteListFiltered(family, &netlink.Route{Protocol: host.RouteProtocol}, netlink.RT_FILTER_PROTOCOL)
		if err != nil {
			return err
		}
		if len(left) > 0 {
			return fmt.Errorf("%v", left)
		}
	}
	return nil
}

// nodeEmpty returns an error unless a node program has nothing of a tenant's.
func (s *site) nodeEmpty(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := status.NewClient(s.sockets[name]).Report(ctx)
	if err != nil {
		return err
	}
	if len(r.Tunnels)+len(r.Proxies)+r.Applied+r.Failed > 0 {
		return fmt.Errorf("%d tunnels, %d proxies, %d objects", len(r.Tunnels), len(r.Proxies), r.Applied+r.Failed)
	}
	return nil
}

// close ends all programs, and checks that nothing of theirs remains. Nothing may run after it.
func (s *site) close() error {
	if s.cancel == nil {
		return nil
	}
	s.cancel()
	var errs []error
	for _, name := range slices.Backward(s.order) {
		if err := s.programs[name].stop(); err != nil {
			errs = append(errs, fmt.Errorf("%s did not end well: %w", name, err))
		}
	}
	s.unwire()
	if s.world != nil && exists(s.opDir()) {
		errs = append(errs, s.inside(s.world.Gateway, "epic-operator", "cleanup", "--process-dir="+s.opDir(), "--grace=2s"))
	}
	if s.world != nil {
		for name := range s.sockets {
			role, host := "client", s.world.Gateway
			if name == "gateway" {
				role = name
			}
			for i, t := range s.world.Tenants {
				if name == fmt.Sprintf("client%d", i+1) {
					host = t.Node
				}
			}
			errs = append(errs, s.inside(host, "epic-node", "cleanup", "--role="+role, "--state-dir="+s.in("state", name), "--pin-path="+s.pins(name)))
			if exists(s.pins(name)) {
				errs = append(errs, fmt.Errorf("pinned programs or maps are left in %s", s.pins(name)))
			}
		}
	}
	if s.lab != nil {
		errs = append(errs, s.lab.Close())
	}
	errs = append(errs, sweep(s.dir))
	return errors.Join(errs...)
}

// inside runs a program in a namespace to its end.
func (s *site) inside(n *netlab.Namespace, program string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := n.Run(ctx, s.program(program), args...)
	return err
}

// started are the programs that a run starts.
var started = []string{"etcd", "epic-apiserver", "epic-controller", "epic-operator", "epic-proxy", "epic-node", "envoy"}

// sweep removes what a run in a folder made outside of it, and fails if processes were still
// running. It is for runs that were killed, too.
func sweep(dir string) error {
	var errs []error
	for _, pid := range processIDs() {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || !strings.Contains(string(line), dir+"/") || !slices.ContainsFunc(started, func(name string) bool { return runs(pid, name) }) {
			continue
		}
		errs = append(errs, fmt.Errorf("process %d was still there: %s", pid, strings.ReplaceAll(string(line), "\x00", " ")))
		_ = syscall.Kill(pid, syscall.SIGCONT)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		time.Sleep(time.Second) // until their files are closed
	}
	if prefix, err := os.ReadFile(filepath.Join(dir, "lab")); err == nil {
		errs = append(errs, netlab.RemoveNamed(string(prefix)))
	}
	mounts, err := mountsBelow(dir)
	errs = append(errs, err)
	for _, path := range slices.Backward(mounts) {
		// A run that was killed may have left it frozen.
		if d, err := os.Open(path); err == nil {
			_ = unix.IoctlSetInt(int(d.Fd()), fiThaw, 0)
			_ = d.Close()
		}
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("unmount %s: %w", path, err))
		}
	}
	for _, image := range []string{"etcd.img", "state.img"} {
		// The loop device goes with the last use of the file system.
		if out, err := exec.Command("losetup", "-j", filepath.Join(dir, image)).Output(); err == nil { //nolint:noctx // it returns at once
			for line := range strings.Lines(string(out)) {
				device, _, _ := strings.Cut(line, ":")
				_ = exec.Command("losetup", "-d", device).Run() //nolint:noctx // it returns at once
			}
		}
		if err := os.Remove(filepath.Join(dir, image)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func mountsBelow(dir string) ([]string, error) {
	file, err := os.Open("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var out []string
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		if fields := strings.Fields(scanner.Text()); len(fields) > 1 && strings.HasPrefix(fields[1], dir+"/") {
			out = append(out, fields[1])
		}
	}
	return out, nil
}

// crash matches what a Go program, or Envoy, prints when it crashes.
var crash = regexp.MustCompile(`(?m)^(panic: |fatal error: |runtime: |WARNING: DATA RACE).*|.*(Caught Segmentation fault|assert failure:|Caught Aborted).*|.*Observed a panic.*`)

// readLogs looks for crashes in the logs.
func (s *site) readLogs() {
	logs, _ := filepath.Glob(s.in("log", "*.log"))
	more, _ := filepath.Glob(filepath.Join(s.opDir(), "p", "*", "log"))
	for _, file := range append(logs, more...) {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if at := crash.FindIndex(text); at != nil && filepath.Base(file) != "etcd.log" {
			s.oracle.wrong("a program crashed", filepath.Base(file), time.Now(), string(text[at[0]:min(len(text), at[0]+3000)]))
		}
	}
}
