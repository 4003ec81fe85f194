// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"

	"github.com/acnodal/epic/bpf"
	"github.com/acnodal/epic/test/netlab"
)

// Opened again, a data plane has what it had, and traffic does not notice.
func TestRestartUnderTraffic(t *testing.T) {
	for _, hook := range []Hook{HookTCX, HookClsact} {
		t.Run(string(hook), func(t *testing.T) {
			w := newWorld(t, 1500)
			w.gatewayOptions.Hook, w.nodeOptions.Hook = hook, hook
			w.open()
			w.connect(false)
			conn := w.pingpong()
			before := w.state()
			for range 3 {
				must(t, errors.Join(w.gatewaySide.Close(), w.nodeSide.Close()))
				conn.exchange(t, 20) // nobody is there
				w.open()
				conn.exchange(t, 20)
				if got := w.state(); !reflect.DeepEqual(got, before) {
					t.Fatalf("after a restart there is\n%+v\nwant\n%+v", got, before)
				}
				w.connect(false)
				for side, n := range map[*DataPlane]*netlab.Namespace{w.gatewaySide: w.gateway, w.nodeSide: w.node} {
					must(t, n.Do(func() error {
						mended, err := side.Repair()
						if mended != 0 {
							t.Errorf("after a restart %d things were mended", mended)
						}
						return err
					}))
				}
				conn.exchange(t, 20)
			}
			if drops := w.drops(); drops != "" {
				t.Errorf("dropped:%s", drops)
			}
			counters, err := w.gatewaySide.Tunnels().Counters(worldTunnel)
			must(t, err)
			if counters[worldTunnel].SentPackets < 180 {
				t.Errorf("counters did not live on: %+v", counters)
			}
		})
	}
}

type worldState struct {
	tunnels  [2][]Tunnel
	services [2][]Service
	proxies  []Proxy
	attached [2]map[int]string
}

func (w *world) state() worldState {
	var s worldState
	for i, side := range []*DataPlane{w.gatewaySide, w.nodeSide} {
		var errs [3]error
		s.tunnels[i], errs[0] = side.Tunnels().List()
		s.services[i], errs[1] = side.Services().List()
		s.attached[i], errs[2] = side.Underlay().Attached()
		must(w.t, errors.Join(errs[:]...))
	}
	var err error
	s.proxies, err = w.gatewaySide.Proxies().List()
	must(w.t, err)
	return s
}

// pingpong is one connection through the tunnel whose packets go both ways in turn.
type pingpong struct{ near, far net.Conn }

func (w *world) pingpong() *pingpong {
	w.t.Helper()
	address := port(podAddress[false], worldPort).String()
	listener, err := w.pod.Listen(w.t.Context(), "tcp", address)
	must(w.t, err)
	w.t.Cleanup(func() { _ = listener.Close() })
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, _ := listener.Accept()
		accepted <- conn
	}()
	near, err := w.proxy.Dial(w.t.Context(), "tcp", address)
	must(w.t, err)
	far := <-accepted
	w.t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	go func() { _, _ = io.Copy(far, far) }()
	return &pingpong{near, far}
}

func (p *pingpong) exchange(t *testing.T, times int) {
	t.Helper()
	block := make([]byte, 64)
	for range times {
		_ = p.near.SetDeadline(time.Now().Add(10 * time.Second))
		_, err := p.near.Write(block)
		if err == nil {
			_, err = io.ReadFull(p.near, block)
		}
		must(t, err)
	}
}

// Whatever somebody removes comes back; whatever somebody adds goes.
func TestRepair(t *testing.T) {
	for _, hook := range []Hook{HookTCX, HookClsact} {
		t.Run(string(hook), func(t *testing.T) {
			w := newWorld(t, 1500)
			w.gatewayOptions.Hook, w.gatewayOptions.XDP = hook, XDPNative
			w.open()
			w.connect(false)
			d := w.gatewaySide
			eth0 := index(t, w.gateway, "eth0")
			proxy0 := index(t, w.gateway, "proxy0")
			key := uint32(worldTunnel)
			for name, damage := range map[string]func() error{
				"a tunnel is deleted":    func() error { return d.objects.Tunnels.Delete(key) },
				"a tunnel is changed":    func() error { return d.objects.Tunnels.Put(key, bpf.KernelTunnel{Mtu: 1}) },
				"a tunnel is added":      func() error { return d.objects.Tunnels.Put(uint32(5), bpf.KernelTunnel{}) },
				"a place is deleted":     func() error { return clearMap[bpf.KernelPlace](d.objects.LocalEndpoints) },
				"services are deleted":   func() error { return clearMap[bpf.KernelEndpoint](d.objects.Services) },
				"policies are deleted":   func() error { return clearMap[bpf.KernelEndpoint](d.objects.Policies) },
				"proxies are deleted":    func() error { return clearMap[uint32](d.objects.Proxies) },
				"a pin is deleted":       func() error { return os.Remove(filepath.Join(w.gatewayPins, bpf.KernelMapTunnels)) },
				"all links are unpinned": func() error { return unpinLinks(w.gatewayPins) },
				"a filter is taken away": func() error {
					if hook == HookClsact {
						return deleteFilter(bpf.KernelAttachmentKey{Ifindex: uint32(proxy0), Hook: bpf.KernelHookHOOK_PROXY_INGRESS})
					}
					return detachLinks(d)
				},
				"the qdiscs are taken away": func() error {
					if hook != HookClsact {
						return detachLinks(d)
					}
					return errors.Join(netlink.QdiscDel(clsact(uint32(proxy0))), netlink.QdiscDel(clsact(uint32(eth0))))
				},
			} {
				must(t, w.gateway.Do(func() error {
					if err := damage(); err != nil {
						return err
					}
					mended, err := d.Repair()
					if err == nil && mended == 0 {
						t.Errorf("%s: nothing was mended", name)
					}
					return err
				}))
				if err := w.transfer(false, 64<<10); err != nil {
					t.Fatalf("%s: %v; dropped:%s", name, err, w.drops())
				}
				must(t, w.gateway.Do(func() error {
					mended, err := d.Repair()
					if mended != 0 {
						t.Errorf("%s: %d things were mended twice", name, mended)
					}
					return err
				}))
			}
		})
	}
}

func clearMap[K comparable](m *ebpf.Map) error {
	var key K
	var keys []K
	value := make([]byte, m.ValueSize())
	entries := m.Iterate()
	for entries.Next(&key, &value) {
		keys = append(keys, key)
	}
	return deleteMap(m, keys)
}

func unpinLinks(pins string) error {
	files, err := filepath.Glob(filepath.Join(pins, "links", "*"))
	for _, file := range files {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

// detachLinks does what "bpftool link detach" does.
func detachLinks(d *DataPlane) error {
	var errs []error
	for _, l := range d.attacher.links {
		if detacher, ok := l.(interface{ Detach() error }); ok {
			errs = append(errs, detacher.Detach())
		}
	}
	return errors.Join(errs...)
}

// A second process is told so; the first one is not disturbed.
func TestSecondProcess(t *testing.T) {
	options := Options{Role: RoleGateway, PinPath: filepath.Join(netlab.BPFFS(t), "epic")}
	first, err := Open(options)
	must(t, err)
	defer first.Close()
	if _, err := Open(options); !errors.Is(err, ErrInUse) {
		t.Errorf("opened twice: %v, want %v", err, ErrInUse)
	}
	options.PinPath += "2"
	other, err := Open(options)
	must(t, err)
	must(t, other.Remove())
}

// Removed, nothing is left: no pin, no program, no qdisc.
func TestRemove(t *testing.T) {
	for _, hook := range []Hook{HookTCX, HookClsact} {
		t.Run(string(hook), func(t *testing.T) {
			w := newWorld(t, 1500)
			w.nodeOptions.Hook, w.gatewayOptions.Hook = hook, hook
			w.open()
			w.connect(false)
			must(t, errors.Join(w.gateway.Do(w.gatewaySide.Remove), w.node.Do(w.nodeSide.Remove)))
			for _, path := range []string{w.gatewayPins, w.nodePins} {
				if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s is still there (%v)", path, err)
				}
			}
			for n, name := range map[*netlab.Namespace]string{w.gateway: "proxy0", w.node: "eth0"} {
				l, err := n.LinkByName(name)
				must(t, err)
				if l.Attrs().Xdp != nil && l.Attrs().Xdp.Attached {
					t.Errorf("%s still has an XDP program", name)
				}
				qdiscs, err := n.QdiscList(l)
				must(t, err)
				for _, qdisc := range qdiscs {
					if qdisc.Type() == "clsact" {
						t.Errorf("%s still has a clsact qdisc", name)
					}
				}
			}
			if err := w.transfer(false, 1); err == nil {
				t.Error("packets still get through")
			}
		})
	}
}

// A full map is an error that describes what did not fit, and the rest is in.
func TestFull(t *testing.T) {
	d, err := Open(Options{Role: RoleGateway, PinPath: filepath.Join(netlab.BPFFS(t), "epic"), MaxTunnels: 2, MaxServices: 4})
	must(t, err)
	defer d.Remove()
	tunnel := func(id uint32) Tunnel { return Tunnel{ID: id, Local: port("192.0.2.1", DefaultPort), MTU: 1400} }
	err = d.Tunnels().Put(tunnel(1), tunnel(2), tunnel(3))
	if !errors.Is(err, ErrMapFull) || !strings.Contains(err.Error(), "[3]") {
		t.Errorf("the third tunnel of two: %v", err)
	}
	must(t, d.Tunnels().Put(tunnel(2)))
	must(t, d.Tunnels().Delete(1))
	must(t, d.Tunnels().Put(tunnel(3)))
	service := func(n int) Service {
		return Service{Tunnel: 2, Endpoint: netip.AddrPortFrom(manyAddress(n), 80), Protocol: protoTCP, Interface: 5}
	}
	err = d.Services().Put(service(1), service(2), service(3))
	if !errors.Is(err, ErrMapFull) || !strings.Contains(err.Error(), service(3).Endpoint.String()) {
		t.Errorf("the third service: %v", err)
	}
	list, err := d.Services().List()
	must(t, err)
	if len(list) != 2 {
		t.Errorf("there are %d services, want 2", len(list))
	}
	must(t, d.Services().Delete(service(1), service(3)))
	must(t, d.Services().Put(service(3)))
}
