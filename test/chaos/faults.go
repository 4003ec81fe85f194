// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/acnodal/epic/test/tools/wire"
)

// kind is a kind of fault.
type kind struct {
	name string
	// least and most are how long it lasts.
	least, most time.Duration
	// excuses says in the report what may happen.
	excuses string
	// run makes the fault, and returns when it has ended; what it opens, it shuts.
	run func(ctx context.Context, f *fault) error
}

// fault is one that is being made.
type fault struct {
	*site
	event
}

// Effects that a fault excuses.
const (
	// lateChanges: changes of the API take longer. Requests are answered as before.
	lateChanges = "changes take longer"
	// aTenant: requests of one tenant may fail; anObject: those of one proxy; everyone: all.
	aTenant  = "requests of one tenant may fail"
	anObject = "requests of one proxy may fail"
	everyone = "all requests may fail"
	// nothing: visitors notice nothing.
	nothing = "nothing"
)

// window opens a window of the fault.
func (f *fault) window(detail string, w window) *window {
	w.reason, w.start = f.Fault, time.Now()
	f.oracle.open(&w)
	f.oracle.remark(f.Fault, w.start, strings.TrimSpace(detail+fmt.Sprintf(" for %s", f.For.Round(100*time.Millisecond))))
	return &w
}

func (f *fault) shut(w *window) { f.oracle.shut(w, time.Now()) }

// one chooses among names.
func (f *fault) one(names ...string) string { return names[f.Pick%uint64(len(names))] }

// tenant chooses a tenant, from 1.
func (f *fault) tenant() int { return 1 + int(f.Pick%uint64(f.tenants)) }

func (f *fault) clients() []string {
	var out []string
	for i := range f.tenants {
		out = append(out, fmt.Sprintf("client%d", i+1))
	}
	return out
}

// kinds are all kinds of faults. Those that take programs of an earlier release are not among them
// without one.
func kinds(old bool) []kind {
	const s = time.Second
	all := []kind{
		{"etcd-kill", s, 2 * s, lateChanges, killed("etcd")},
		{"etcd-stop", 2 * s, 15 * s, lateChanges, frozen("etcd")},
		{"etcd-slow-disk", 5 * s, 25 * s, lateChanges, slowDisk("etcd")},
		{"etcd-full-disk", 5 * s, 20 * s, lateChanges, fullDisk("etcd")},
		{"server-kill", s, 2 * s, lateChanges, killed("server1", "server2")},
		{"server-stop", 2 * s, 20 * s, lateChanges, frozen("server1", "server2")},
		{"server-without-etcd", 2 * s, 20 * s, lateChanges, wired(wire.Cut, 0, "etcd1", "etcd2")},
		{"server-slow-etcd", 5 * s, 20 * s, lateChanges, wired(wire.Open, 300*time.Millisecond, "etcd1", "etcd2")},
		{"controller-kill", s, 2 * s, lateChanges, killed("controller")},
		{"controller-stop", 2 * s, 20 * s, lateChanges, frozen("controller")},
		{"controller-without-api", 2 * s, 20 * s, lateChanges, wired(wire.Cut, 0, "controller")},
		{"controller-stalled-api", 2 * s, 20 * s, lateChanges, wired(wire.Stalled, 0, "controller")},
		{"operator-kill", s, 2 * s, lateChanges, killed("operator")},
		{"operator-stop", 2 * s, 20 * s, lateChanges, frozen("operator")},
		{"operator-without-api", 2 * s, 20 * s, lateChanges, wired(wire.Cut, 0, "operator")},
		{"gateway-kill", s, 2 * s, lateChanges, killed("gateway")},
		{"gateway-stop", 2 * s, 20 * s, lateChanges, frozen("gateway")},
		{"gateway-without-api", 2 * s, 20 * s, lateChanges, wired(wire.Stalled, 0, "gateway")},
		{"client-kill", s, 2 * s, lateChanges, func(ctx context.Context, f *fault) error { return killed(f.clients()...)(ctx, f) }},
		{"client-stop", 2 * s, 20 * s, lateChanges, func(ctx context.Context, f *fault) error { return frozen(f.clients()...)(ctx, f) }},
		{"client-without-api", 2 * s, 20 * s, lateChanges, func(ctx context.Context, f *fault) error { return wired(wire.Cut, 0, f.clients()...)(ctx, f) }},
		{"all-slow-api", 5 * s, 20 * s, lateChanges, slowAPI},
		{"state-slow-disk", 5 * s, 20 * s, lateChanges, slowDisk("state")},
		{"state-full-disk", 5 * s, 20 * s, lateChanges, fullDisk("state")},
		{"restart-everything", s, 2 * s, lateChanges, restarted},
		{"envoy-kill", s, 2 * s, anObject, signaled("envoy", false)},
		{"proxy-kill", s, 2 * s, anObject, signaled("epic-proxy", false)},
		{"envoy-stop", s, 10 * s, anObject, signaled("envoy", true)},
		{"packet-loss", 5 * s, 20 * s, aTenant, lossy},
		{"partition", 2 * s, 20 * s, aTenant, partitioned},
		{"gateway-cut-off", s, 8 * s, everyone, gatewayCut},
		{"packet-disorder", 5 * s, 20 * s, nothing, disordered},
		{"nat-forgets", s, 2 * s, aTenant, natForgets},
		{"hostile-tenant", 10 * s, 30 * s, nothing, hostile},
	}
	if old {
		all = append(all, kind{"upgrade", s, 2 * s, lateChanges, upgraded})
	}
	return all
}

func killed(names ...string) func(context.Context, *fault) error {
	return func(_ context.Context, f *fault) error {
		name := f.one(names...)
		w := f.window(name, window{control: true, tenant: -1})
		defer f.shut(w)
		return f.programs[name].kill()
	}
}

func frozen(names ...string) func(context.Context, *fault) error {
	return func(ctx context.Context, f *fault) error {
		name := f.one(names...)
		w := f.window(name, window{control: true, tenant: -1})
		defer f.shut(w)
		return f.programs[name].freeze(ctx, f.For)
	}
}

func wired(state wire.State, delay time.Duration, names ...string) func(context.Context, *fault) error {
	return func(ctx context.Context, f *fault) error {
		name := f.one(names...)
		w := f.window(name, window{control: true, tenant: -1})
		defer f.shut(w)
		f.wires[name].Set(state, delay)
		pause(ctx, f.For)
		f.wires[name].Set(wire.Open, 0)
		return nil
	}
}

func slowAPI(ctx context.Context, f *fault) error {
	w := f.window("100 ms more for each message", window{control: true, tenant: -1})
	defer f.shut(w)
	for _, api := range f.wires {
		api.Set(wire.Open, 100*time.Millisecond)
	}
	pause(ctx, f.For)
	for _, api := range f.wires {
		api.Set(wire.Open, 0)
	}
	return nil
}

func (s *site) diskOf(which string) *disk {
	if which == "etcd" {
		return s.etcdDisk
	}
	return s.stateDisk
}

func slowDisk(which string) func(context.Context, *fault) error {
	return func(ctx context.Context, f *fault) error {
		w := f.window("writes stand still for 400 of 450 ms", window{control: true, tenant: -1})
		defer f.shut(w)
		ctx, cancel := context.WithTimeout(ctx, f.For)
		defer cancel()
		return f.diskOf(which).slow(ctx, 400*time.Millisecond, 50*time.Millisecond)
	}
}

func fullDisk(which string) func(context.Context, *fault) error {
	return func(ctx context.Context, f *fault) error {
		w := f.window("", window{control: true, tenant: -1})
		defer f.shut(w)
		restore, err := f.diskOf(which).fill()
		if err != nil {
			return err
		}
		pause(ctx, f.For)
		return restore()
	}
}

// restarted ends all programs as an update of the machine's packages does, one after the other.
func restarted(ctx context.Context, f *fault) error { return f.replace(ctx, "") }

// upgraded does it with the programs of the other release.
func upgraded(ctx context.Context, f *fault) error {
	to := f.old
	if strings.HasPrefix(f.programs["controller"].path, f.old) {
		to = f.bin
	}
	return f.replace(ctx, to)
}

func (f *fault) replace(ctx context.Context, folder string) error {
	w := f.window(folder, window{control: true, tenant: -1})
	defer f.shut(w)
	for _, name := range f.order {
		p, path := f.programs[name], ""
		if name == "etcd" {
			continue
		}
		if folder != "" {
			path = filepath.Join(folder, filepath.Base(p.path))
		}
		if err := p.restart(path); err != nil {
			return err
		}
		pause(ctx, 2*time.Second)
	}
	return nil
}

// natPort is the router's port to a tenant.
func natPort(tenant int) string { return fmt.Sprintf("nat%d", tenant) }

func lossy(ctx context.Context, f *fault) error {
	percent, tenant := uint32(5+f.Pick%26), f.tenant()
	w := f.window(fmt.Sprintf("%d%% of the packets of tenant %d", percent, tenant), window{control: true, data: true, tenant: tenant})
	defer f.shut(w)
	return f.lose(ctx, percent, natPort(tenant))
}

func partitioned(ctx context.Context, f *fault) error {
	tenant := f.tenant()
	w := f.window(fmt.Sprintf("tenant %d is cut off", tenant), window{control: true, data: true, tenant: tenant})
	defer f.shut(w)
	return f.lose(ctx, 100, natPort(tenant))
}

func (f *fault) lose(ctx context.Context, percent uint32, port string) error {
	restore, err := f.world.Internet.Lose(percent, port)
	if err != nil {
		return err
	}
	pause(ctx, f.For)
	_, err = restore()
	return err
}

func gatewayCut(ctx context.Context, f *fault) error {
	w := f.window("", window{control: true, data: true, tenant: -1})
	defer f.shut(w)
	return f.lose(ctx, 100, "gateway")
}

func disordered(ctx context.Context, f *fault) error {
	w := f.window("one packet in 7 is overtaken, one in 11 comes twice", window{tenant: -1})
	defer f.shut(w)
	devices := []string{"gateway"}
	for i := range f.tenants {
		devices = append(devices, natPort(i+1))
	}
	restore, err := f.world.Internet.Disorder(devices...)
	if err != nil {
		return err
	}
	pause(ctx, f.For)
	_, err = restore()
	return err
}

func natForgets(_ context.Context, f *fault) error {
	tenant := f.tenant()
	w := f.window(fmt.Sprintf("tenant %d", tenant), window{control: true, data: true, tenant: tenant})
	defer f.shut(w)
	return f.world.Tenants[tenant-1].NAT.FlushNAT()
}
