// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/bpf"
	"github.com/acnodal/epic/pkg/ownthread"
	"github.com/acnodal/epic/test/netlab"
)

// pinFormer pins a map of tunnels of a former layout: the fields are in another order, some
// are missing, one is no longer of use. It returns the tunnel in it, and the layout.
func pinFormer(t *testing.T, dir string) (Tunnel, layouts) {
	t.Helper()
	must(t, os.Mkdir(dir, 0o700))
	spec, err := bpf.LoadKernel()
	must(t, err)
	former := spec.Maps[bpf.KernelMapTunnels].Copy()
	var now *btf.Struct
	must(t, spec.Types.TypeByName("tunnel", &now))
	was := &btf.Struct{Name: "tunnel", Size: 48}
	offset := btf.Bits(64)
	unsigned := &btf.Int{Name: "unsigned long long", Size: 8}
	was.Members = append(was.Members, btf.Member{Name: "obsolete", Type: unsigned})
	offsets := map[string]uint32{}
	for _, name := range []string{"remote", "local", "remote_port", "local_port", "mtu", "family6"} {
		for _, member := range now.Members {
			if member.Name == name {
				offsets[name] = offset.Bytes()
				size, err := btf.Sizeof(member.Type)
				must(t, err)
				was.Members = append(was.Members, btf.Member{Name: name, Type: member.Type, Offset: offset})
				offset += btf.Bits(size * 8)
			}
		}
	}
	former.Value, former.ValueSize, former.MaxEntries = was, 48, 5
	m, err := ebpf.NewMap(former)
	must(t, err)
	value := make([]byte, 48)
	local, remote := netip.MustParseAddrPort("192.0.2.1:6080"), netip.MustParseAddrPort("203.0.113.5:4242")
	address := local.Addr().As16()
	copy(value[offsets["local"]:], address[:])
	address = remote.Addr().As16()
	copy(value[offsets["remote"]:], address[:])
	copy(value[offsets["local_port"]:], be16(local.Port()))
	copy(value[offsets["remote_port"]:], be16(remote.Port()))
	value[offsets["mtu"]], value[offsets["mtu"]+1] = 0x78, 0x05 // 1400
	must(t, m.Put(uint32(9), value))
	must(t, m.Pin(filepath.Join(dir, bpf.KernelMapTunnels)))
	id, err := mapID(m)
	must(t, errors.Join(err, m.Close()))
	return Tunnel{ID: 9, Local: local, Remote: remote, MTU: 1400}, layouts{id: layoutOf(former)}
}

// A map of another layout or size is converted, by the names of its fields.
func TestMigration(t *testing.T) {
	options := Options{Role: RoleGateway, PinPath: filepath.Join(netlab.BPFFS(t), "epic")}
	tunnel, _ := pinFormer(t, options.PinPath)
	want := []Tunnel{tunnel}
	for _, limit := range []uint32{10, 20, 20} {
		options.MaxTunnels = limit
		d, err := Open(options)
		must(t, err)
		got, err := d.Tunnels().List()
		must(t, err)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("with room for %d: %+v, want %+v", limit, got, want)
		}
		if got := d.objects.Tunnels.MaxEntries(); got != limit {
			t.Errorf("the map has room for %d, want %d", got, limit)
		}
		must(t, d.Close())
	}
	files, err := filepath.Glob(filepath.Join(options.PinPath, "*_next"))
	must(t, err)
	if len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
}

// withoutAdmin calls f on a thread that lacks CAP_SYS_ADMIN, and with it the right to open
// maps and types by their IDs. Manifests do not give it to client nodes.
func withoutAdmin(t *testing.T, f func() error) {
	t.Helper()
	must(t, ownthread.Run(func() error {
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var had [2]unix.CapUserData
		if err := unix.Capget(&header, &had[0]); err != nil {
			return err
		}
		had[0].Effective &^= 1 << unix.CAP_SYS_ADMIN
		if err := unix.Capset(&header, &had[0]); err != nil {
			return err
		}
		return f()
	}))
}

// The layout of what is pinned is known without the right to read it from the kernel.
func TestMigrationWithoutAdmin(t *testing.T) {
	options := Options{Role: RoleClient, PinPath: filepath.Join(netlab.BPFFS(t), "epic")}
	tunnel, described := pinFormer(t, options.PinPath)
	must(t, described.write(options.PinPath))
	for _, limit := range []uint32{10, 20, 20} {
		options.MaxTunnels = limit
		withoutAdmin(t, func() error {
			d, err := Open(options)
			if err != nil {
				return err
			}
			got, err := d.Tunnels().List()
			if want := []Tunnel{tunnel}; !reflect.DeepEqual(got, want) {
				t.Errorf("with room for %d: %+v, want %+v", limit, got, want)
			}
			return errors.Join(err, d.Close())
		})
	}
	withoutAdmin(t, func() error {
		d, err := Open(options)
		if err != nil {
			return err
		}
		return d.Remove()
	})
	if _, err := os.Stat(options.PinPath); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something is left: %v", err)
	}
}

// A map that is neither described nor readable is not taken for another one.
func TestUnknownLayout(t *testing.T) {
	options := Options{Role: RoleClient, PinPath: filepath.Join(netlab.BPFFS(t), "epic")}
	pinFormer(t, options.PinPath)
	withoutAdmin(t, func() error {
		d, err := Open(options)
		if err != nil {
			return err
		}
		if got, err := d.Tunnels().List(); len(got) > 0 || err != nil {
			t.Errorf("there are %+v, %v", got, err)
		}
		return d.Remove()
	})
}

// What a gateway has learned stays, too, and nothing fails if it cannot be read.
func TestLearnedWithoutAdmin(t *testing.T) {
	options := Options{Role: RoleGateway, PinPath: filepath.Join(netlab.BPFFS(t), "epic")}
	address := as16(netip.MustParseAddr("192.0.2.10"))
	key, value := bpf.KernelFragments{Id: 9}, bpf.KernelFragmentPath{Tunnel: 5}
	d, err := Open(options)
	must(t, err)
	must(t, d.objects.Proxies.Put(uint32(7), bpf.KernelProxy{Address4: binary.NativeEndian.Uint32([]byte{192, 0, 2, 10})}))
	must(t, d.Close())
	d, err = Open(options)
	must(t, err)
	inner, err := innerOf(d.objects.ProxyFragments, address[:])
	must(t, err)
	must(t, errors.Join(inner.Put(key, value), inner.Close(), d.Close()))

	reopened := func(when string, want int) {
		withoutAdmin(t, func() error {
			d, err := Open(options)
			if err != nil {
				return err
			}
			return d.Close()
		})
		d, err := Open(options)
		must(t, err)
		inner, err := innerOf(d.objects.ProxyFragments, address[:])
		must(t, err)
		noted, err := readMap[bpf.KernelFragments, bpf.KernelFragmentPath](inner)
		if len(noted) != want || want > 0 && noted[key] != value {
			t.Errorf("%s: %v is noted", when, noted)
		}
		must(t, errors.Join(err, inner.Close(), d.Close()))
	}
	reopened("described", 1)
	must(t, os.Remove(filepath.Join(options.PinPath, layoutsName)))
	d, err = Open(options)
	must(t, err)
	must(t, os.Remove(filepath.Join(options.PinPath, layoutsName)))
	if _, err := d.repairPins(); err != nil {
		t.Error(err)
	}
	must(t, d.Close())
	reopened("described again by a repair", 1)
	must(t, os.Remove(filepath.Join(options.PinPath, layoutsName)))
	reopened("not described", 0)
	withoutAdmin(t, func() error {
		d, err := Open(options)
		if err != nil {
			return err
		}
		return d.Remove()
	})
}

// A description that is none is an error that says what to do.
func TestDamagedLayouts(t *testing.T) {
	options := Options{Role: RoleClient, PinPath: filepath.Join(netlab.BPFFS(t), "epic")}
	path := filepath.Join(options.PinPath, layoutsName)
	for name, spec := range map[string]*ebpf.MapSpec{
		"another map":   {Type: ebpf.Hash, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		"another text":  {Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1, Contents: []ebpf.MapKV{{Key: uint32(0), Value: []byte("oops")}}},
		"nothing in it": {Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1},
	} {
		must(t, os.MkdirAll(options.PinPath, 0o700))
		m, err := ebpf.NewMap(spec)
		must(t, err)
		must(t, errors.Join(m.Pin(path), m.Close()))
		if d, err := Open(options); err == nil || !strings.Contains(err.Error(), "map layouts: ") || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				must(t, d.Close())
			}
		}
		must(t, os.Remove(path))
	}
}
