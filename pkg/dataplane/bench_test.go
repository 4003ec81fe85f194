// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/test/netlab"
)

// The ways from the proxy to the pod that are compared.
const (
	wayRaw   = "raw"
	wayVXLAN = "VXLAN"
	wayOurs  = "GUE"
)

// cubic makes a socket use the congestion control that the figures are for.
func cubic(_, _ string, c syscall.RawConn) error {
	var err error
	return errors.Join(c.Control(func(fd uintptr) {
		err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "cubic")
	}), err)
}

// stream sends from the pod to the proxy, or the other way, for a while, and returns
// how many bytes a second arrived.
func (w *world) stream(length time.Duration, fromPod bool) (float64, error) {
	return streamBetween(w.proxy, w.pod, podAddress[false], length, fromPod)
}

// streamBetween sends from the host that listens at an address to another, or the other way.
func streamBetween(near, far *netlab.Namespace, host string, length time.Duration, fromFar bool) (float64, error) {
	address := port(host, worldPort).String()
	ctx := context.Background()
	var listener net.Listener
	err := far.Do(func() (err error) {
		listener, err = (&net.ListenConfig{Control: cubic}).Listen(ctx, "tcp", address)
		return err
	})
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, _ := listener.Accept()
		accepted <- conn
	}()
	var client net.Conn
	err = near.Do(func() (err error) {
		client, err = (&net.Dialer{Control: cubic, Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
		return err
	})
	if err != nil {
		return 0, err
	}
	defer client.Close()
	server := <-accepted
	if server == nil {
		return 0, errors.New("nothing was accepted")
	}
	defer server.Close()
	from, to := client, server
	if fromFar {
		from, to = server, client
	}
	go func() {
		block := make([]byte, 128<<10)
		for {
			if _, err := from.Write(block); err != nil {
				return
			}
		}
	}()
	block := make([]byte, 256<<10)
	// Packets that are sent while the window opens do not count.
	warm := time.Now().Add(length / 4)
	_ = to.SetReadDeadline(warm.Add(length))
	var bytes int64
	begin := time.Now()
	for time.Now().Before(warm.Add(length)) {
		n, err := to.Read(block)
		if begin.Before(warm) {
			begin = time.Now()
			continue
		}
		bytes += int64(n)
		if err != nil {
			if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) || errors.Is(err, io.EOF) {
				break
			}
			return 0, err
		}
	}
	return float64(bytes) / time.Since(begin).Seconds(), nil
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// newBenchWorld makes a world for each way: the same hosts and wires, and packets of
// 1400 bytes inside.
func newBenchWorld(b *testing.B, way string, offloads bool) *world {
	b.Helper()
	return newBenchWorldOf(b, way, offloads, XDPAuto)
}

func newBenchWorldOf(b *testing.B, way string, offloads bool, xdp XDP) *world {
	b.Helper()
	w := newWorld(b, 1500)
	w.gatewayOptions.XDP, w.nodeOptions.XDP = xdp, xdp
	w.open()
	for _, n := range []*netlab.Namespace{w.gateway, w.node} {
		must(b, n.SetOffload("eth0", offloads, netlab.TSO, netlab.GSO))
		// The card's driver merges packets from a wire. Off, whole segments come.
		must(b, n.SetOffload("eth0", !offloads, netlab.GRO))
	}
	for _, end := range []struct {
		n    *netlab.Namespace
		name string
	}{{w.proxy, "net1"}, {w.pod, "eth0"}} {
		l, err := end.n.LinkByName(end.name)
		must(b, err)
		must(b, end.n.LinkSetMTU(l, 1400))
	}
	switch way {
	case wayRaw:
		must(b, errors.Join(w.gateway.Route(podAddress[false]+"/32", nodeAddress[false], "eth0")))
	case wayVXLAN:
		for _, end := range []struct {
			n            *netlab.Namespace
			local, group string
			inside, next string
		}{{w.gateway, gatewayAddress[false], nodeAddress[false], "10.99.0.1/24", "10.99.0.2"}, {w.node, nodeAddress[false], gatewayAddress[false], "10.99.0.2/24", "10.99.0.1"}} {
			attrs := netlink.NewLinkAttrs()
			attrs.Name, attrs.MTU = "vxlan0", 1400
			must(b, end.n.LinkAdd(&netlink.Vxlan{
				LinkAttrs: attrs, VxlanId: 7, SrcAddr: net.ParseIP(end.local), Group: net.ParseIP(end.group),
				Port: 4789, VtepDevIndex: index(b, end.n, "eth0"), Learning: true,
			}))
			must(b, errors.Join(end.n.Addr("vxlan0", end.inside), end.n.Up("vxlan0"), end.n.Sysctl("ipv4.conf.vxlan0.rp_filter", "0"), end.n.Sysctl("ipv4.conf.all.rp_filter", "0")))
		}
		must(b, w.gateway.Route(podAddress[false]+"/32", "10.99.0.2", "vxlan0"))
		must(b, w.node.Route(proxyAddress[false]+"/32", "10.99.0.1", "vxlan0"))
	default:
		w.connect(false)
		w.setTunnelMTU(b, 1400)
	}
	return w
}

// setTunnelMTU sets the MTU of both ends of the tunnel, without cookies.
func (w *world) setTunnelMTU(b *testing.B, mtu uint16) {
	b.Helper()
	must(b, w.gatewaySide.Tunnels().Put(Tunnel{ID: worldTunnel, Local: port(gatewayAddress[false], DefaultPort), MTU: mtu}))
	must(b, w.nodeSide.Tunnels().Put(Tunnel{ID: worldTunnel, Local: port(nodeAddress[false], DefaultPort), MTU: mtu}))
}

// requireCookies has both ends of the tunnel send cookies and refuse packets without, and
// leaves the size of inner packets as it is.
func (w *world) requireCookies(b *testing.B) {
	b.Helper()
	w.setTunnelMTU(b, 1400+CookieSize)
	set := func(side *DataPlane, send, accept [CookieSize]byte) {
		c := Cookies{Send: send, Sent: true, Required: true}
		for i := range c.Accept {
			c.Accept[i] = accept
		}
		must(b, side.Tunnels().SetCookies(worldTunnel, c))
	}
	set(w.gatewaySide, cookieDown, cookieUp)
	set(w.nodeSide, cookieUp, cookieDown)
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// BenchmarkThroughput compares one TCP stream over a routed path without a tunnel, in
// a VXLAN of the kernel and in a tunnel, in turn, and prints the ratios. It measures
// once, whatever b.N is.
func BenchmarkThroughput(b *testing.B) {
	const rounds, length = 5, 1500 * time.Millisecond
	for _, offloads := range []bool{true, false} {
		for _, fromPod := range []bool{false, true} {
			name := map[bool]string{true: "whole segments", false: "as on a wire"}[offloads] +
				map[bool]string{true: ", replies", false: ", requests"}[fromPod]
			b.Run(name, func(b *testing.B) {
				ways := []string{wayRaw, wayVXLAN, wayOurs}
				worlds := map[string]*world{}
				for _, way := range ways {
					worlds[way] = newBenchWorld(b, way, offloads)
				}
				rates := map[string][]float64{}
				for range rounds {
					for _, way := range ways {
						rate, err := worlds[way].stream(length, fromPod)
						if err != nil {
							b.Fatalf("%s: %v; dropped:%s", way, err, worlds[way].drops())
						}
						rates[way] = append(rates[way], rate)
					}
				}
				raw := median(rates[wayRaw])
				for _, way := range ways {
					rate := median(rates[way])
					b.Logf("%-6s %7.2f Gbit/s, of raw %.2f", way, rate*8/1e9, rate/raw)
					b.ReportMetric(rate/raw, way+"/raw")
				}
				attached, err := worlds[wayOurs].nodeSide.Underlay().Attached()
				must(b, err)
				b.Logf("taken out by %v", attached)
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkPrograms prints what one run of each program costs in the kernel
// (run_time_ns / run_cnt), under traffic of one TCP stream and of small packets.
func BenchmarkPrograms(b *testing.B) {
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	must(b, err)
	defer stats.Close()
	type variant struct{ offloads, cookies bool }
	for _, v := range []variant{{true, false}, {true, true}, {false, false}, {false, true}} {
		b.Run(map[bool]string{true: "whole segments", false: "as on a wire"}[v.offloads]+map[bool]string{true: ", with cookies", false: ""}[v.cookies], func(b *testing.B) {
			w := newBenchWorld(b, wayOurs, v.offloads)
			if v.cookies {
				w.requireCookies(b)
			}
			programs := map[string]*ebpf.Program{
				"gateway encap": w.gatewaySide.objects.EpicGatewayEncap, "gateway decap": w.gatewaySide.objects.EpicDecap,
				"gateway xdp": w.gatewaySide.objects.EpicXdp, "node encap": w.nodeSide.objects.EpicClientEncap,
				"node decap": w.nodeSide.objects.EpicDecap, "node xdp": w.nodeSide.objects.EpicXdp,
			}
			// Other work on the machine makes single moments slow, so there are many.
			costs := map[string][]float64{}
			done := make(chan error, 1)
			go func() {
				_, err := w.stream(4*time.Second, false)
				done <- err
			}()
			last := map[string]*ebpf.ProgramStats{}
			for running := true; running; {
				select {
				case err := <-done:
					must(b, err)
					running = false
				case <-time.After(20 * time.Millisecond):
				}
				for name, program := range programs {
					stats, err := program.Stats()
					must(b, err)
					if before := last[name]; before != nil && stats.RunCount > before.RunCount+20 {
						costs[name] = append(costs[name], float64((stats.Runtime-before.Runtime).Nanoseconds())/float64(stats.RunCount-before.RunCount))
					}
					last[name] = stats
				}
			}
			for name, values := range costs {
				b.Logf("%-14s %4.0f ns a packet (median of %d moments; %4.0f in the best)", name, median(values), len(values), values[0])
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkLookups prints what a packet costs in each program (run_time_ns / run_cnt), with
// cookies, when 10, 10,000 and 100,000 tunnels are busy: each packet is another one's. The
// numbers of tunnels take turns, and each is compared with 10. A program that does no more
// than find a packet's tunnel in the same map shows what of the difference is the memory's.
// It measures once, whatever b.N is.
func BenchmarkLookups(b *testing.B) {
	const first, rounds = 1000, 15
	w := newBenchOf(b, true)
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	must(b, err)
	defer stats.Close()
	gateway, node := port(gatewayAddress[false], DefaultPort), port(nodeAddress[false], DefaultPort)
	sources := []netip.Addr{netip.MustParseAddr(proxyAddress[false])}
	sizes := []int{10, 10_000, 100_000}
	var here, there []Tunnel
	var services, clients []Service
	for n := range sizes[len(sizes)-1] {
		id, endpoint := uint32(first+n), netip.AddrPortFrom(manyAddress(n), worldPort)
		here = append(here, Tunnel{ID: id, Local: gateway, Remote: node, MTU: 1464})
		there = append(there, Tunnel{ID: id, Local: node, Remote: gateway, MTU: 1464})
		services = append(services, Service{Tunnel: id, Endpoint: endpoint, Protocol: protoTCP, Interface: w.proxy0})
		clients = append(clients, Service{Tunnel: id, Endpoint: endpoint, Protocol: protoTCP, Sources: sources})
	}
	must(b, errors.Join(w.gatewaySide.Tunnels().Put(here...), w.gatewaySide.Services().Put(services...),
		w.nodeSide.Tunnels().Put(there...), w.nodeSide.Services().Put(clients...)))
	w.setCookies(b)
	for _, c := range []struct {
		name string
		role Role
		prog *ebpf.Program
	}{
		{"gateway encap", RoleGateway, w.gatewaySide.objects.EpicGatewayEncap}, {"gateway decap", RoleGateway, w.gatewaySide.objects.EpicDecap},
		{"client decap", RoleClient, w.nodeSide.objects.EpicDecap}, {"client encap", RoleClient, w.nodeSide.objects.EpicClientEncap},
		{"one lookup", RoleGateway, lookupProgram(b, w.gatewaySide.objects.Tunnels)},
	} {
		b.Run(c.name, func(b *testing.B) {
			frames := map[int][][]byte{}
			for _, size := range sizes {
				for i := range 10_000 {
					n := (i * 7919) % size
					frames[size] = append(frames[size], w.busyFrame(c.role, strings.HasSuffix(c.name, "encap"), uint32(first+n), manyAddress(n).String()))
				}
			}
			ifindex := w.uplink[c.role]
			if c.name == "gateway encap" {
				ifindex = w.proxy0
			}
			_, n := w.side(c.role)
			costs := map[int][]float64{}
			must(b, n.Do(func() error {
				for range rounds {
					for _, size := range sizes {
						// Tunnels that are busy have sent a moment ago.
						_, err := costOf(c.prog, skbContext(ifindex, 0), frames[size])
						if err != nil {
							return err
						}
						cost, err := costOf(c.prog, skbContext(ifindex, 0), frames[size])
						if err != nil {
							return err
						}
						costs[size] = append(costs[size], cost)
					}
				}
				return nil
			}))
			few := median(costs[sizes[0]])
			for _, size := range sizes {
				middle := median(costs[size])
				b.Logf("%-14s %6d busy tunnels: %4.0f ns a packet (best of %d rounds: %4.0f), %.2f of %d", c.name, size, middle, rounds, costs[size][0], middle/few, sizes[0])
				b.ReportMetric(middle, fmt.Sprintf("ns/%d", size))
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// lookupProgram only looks up the tunnel of a packet and reads the beginning of its entry.
func lookupProgram(b *testing.B, tunnels *ebpf.Map) *ebpf.Program {
	b.Helper()
	const tunnelAt, key = frameGUE + 4, -4
	return newClassifier(b, asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, skbData, asm.Word),
		asm.LoadMem(asm.R3, asm.R1, skbDataEnd, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, tunnelAt+4),
		asm.JGT.Reg(asm.R4, asm.R3, "end"),
		asm.LoadMem(asm.R5, asm.R2, tunnelAt, asm.Word),
		asm.HostTo(asm.BE, asm.R5, asm.Word),
		asm.StoreMem(asm.RFP, key, asm.R5, asm.Word),
		asm.LoadMapPtr(asm.R1, tunnels.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, key),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "end"),
		asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord),
	})
}

// busyFrame is a packet of an endpoint that goes into its tunnel, or comes out of it.
func (b *bench) busyFrame(role Role, encap bool, tunnel uint32, pod string) []byte {
	gateway, node := ends(false)
	request := ip(proxyAddress[false], pod, protoTCP, tcp(40000, worldPort, flagACK, nil, []byte("data")))
	reply := ip(pod, proxyAddress[false], protoTCP, tcp(worldPort, 40000, flagACK, nil, []byte("data")))
	packet := request
	switch {
	case role == RoleGateway && !encap:
		packet = withCookie(outer(node, gateway, tunnel, reply), cookieUp)
	case role == RoleClient && encap:
		packet = reply
	case role == RoleClient:
		packet = withCookie(outer(gateway, node, tunnel, request), cookieDown)
	}
	to := b.fixtureMAC[map[Role]string{RoleGateway: "gateway", RoleClient: "node"}[role]]
	return ether(to, b.fixtureMAC["net1"], packet)
}

// costOf runs a program on frames and returns what one costs.
func costOf(prog *ebpf.Program, context []byte, frames [][]byte) (float64, error) {
	before, err := prog.Stats()
	if err != nil {
		return 0, err
	}
	for _, frame := range frames {
		if verdict, err := prog.Run(&ebpf.RunOptions{Data: frame, Context: context, Repeat: 1}); err != nil || verdict == shot {
			return 0, fmt.Errorf("verdict %d: %w", verdict, err)
		}
	}
	after, err := prog.Stats()
	if err != nil {
		return 0, err
	}
	return float64((after.Runtime - before.Runtime).Nanoseconds()) / float64(after.RunCount-before.RunCount), nil
}

func manyAddress(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(100 + n>>16), byte(n >> 8), byte(n)})
}

// BenchmarkStart prints how long it takes to program many tunnels, each with one
// service: into an empty data plane, and into one that has them already.
func BenchmarkStart(b *testing.B) {
	const tunnels = 100_000
	var list []Tunnel
	var services []Service
	for i := range tunnels {
		list = append(list, Tunnel{ID: uint32(i + 1), Local: port("192.0.2.1", DefaultPort), Remote: port("192.0.2.2", DefaultPort), MTU: 1464})
		services = append(services, Service{Tunnel: uint32(i + 1), Endpoint: netip.AddrPortFrom(manyAddress(i), worldPort), Protocol: protoTCP, Interface: 3})
	}
	for b.Loop() {
		options := Options{Role: RoleGateway, PinPath: netlab.BPFFS(b) + "/start"}
		for _, state := range []string{"empty", "restart"} {
			begin := time.Now()
			d, err := Open(options)
			must(b, err)
			opened := time.Since(begin)
			must(b, d.Tunnels().Put(list...))
			must(b, d.Services().Put(services...))
			took := time.Since(begin)
			begin = time.Now()
			mended, err := d.Repair()
			must(b, err)
			b.ReportMetric(took.Seconds(), "s/"+state)
			b.Logf("%s: %d tunnels in %v, of which opening took %v; looking for what to mend (%d) took %v", state, tunnels, took, opened, mended, time.Since(begin))
			if state == "restart" {
				must(b, d.Remove())
			} else {
				must(b, d.Close())
			}
		}
	}
	b.ReportMetric(0, "ns/op")
}
