// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/acnodal/epic/bpf"
	"github.com/acnodal/epic/test/netlab"
)

// The entries of a renamed map move to the map of the new name, and the former map is removed.
func TestMapsThatWereRenamed(t *testing.T) {
	options := Options{Role: RoleGateway, PinPath: filepath.Join(netlab.BPFFS(t), "epic"), MaxTunnels: 10}
	d, err := Open(options)
	must(t, err)
	must(t, d.Tunnels().Put(Tunnel{ID: 9, Local: port("192.0.2.1", DefaultPort), MTU: 1400}))
	opening := bpf.KernelEndpoint{Scope: 7, Port: big(443), Protocol: protoTCP}
	must(t, d.objects.PublishedPorts.Put(opening, uint32(1)))
	must(t, d.Close())
	spec, err := bpf.LoadKernel()
	must(t, err)
	for name, former := range formerNames {
		path := filepath.Join(options.PinPath, name)
		now, err := ebpf.LoadPinnedMap(path, nil)
		must(t, err)
		had := spec.Maps[name].Copy()
		had.Name, had.MaxEntries = former, now.MaxEntries()
		m, err := ebpf.NewMap(had)
		must(t, err)
		var key, value []byte
		entries := now.Iterate()
		for entries.Next(&key, &value) {
			must(t, m.Put(key, value))
		}
		must(t, errors.Join(entries.Err(), os.Remove(path), m.Pin(filepath.Join(options.PinPath, former)), m.Close(), now.Close()))
	}
	for _, when := range []string{"renamed", "opened again"} {
		d, err := Open(options)
		must(t, err)
		if places, err := readMap[bpf.KernelPlace, uint32](d.objects.LocalEndpoints); err != nil || len(places) != 1 {
			t.Errorf("%s: the node's outer addresses are %v: %v", when, places, err)
		}
		if ports, err := readMap[bpf.KernelEndpoint, uint32](d.objects.PublishedPorts); err != nil || ports[opening] != 1 {
			t.Errorf("%s: the published ports are %v: %v", when, ports, err)
		}
		for name, former := range formerNames {
			pinned, err := ebpf.LoadPinnedMap(filepath.Join(options.PinPath, name), nil)
			must(t, err)
			info, err := pinned.Info()
			must(t, errors.Join(err, pinned.Close()))
			if info.Name != name {
				t.Errorf("%s: the map %s is called %s", when, name, info.Name)
			}
			if _, err := os.Stat(filepath.Join(options.PinPath, former)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %s is still pinned (%v)", when, former, err)
			}
		}
		must(t, d.Close())
	}
}
