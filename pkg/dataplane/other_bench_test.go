// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/acnodal/epic/test/netlab"
)

// wayEmpty is the raw path with programs attached that do nothing.
const wayEmpty = "empty programs"

// emptyPrograms attaches such programs where the data plane has its own.
func emptyPrograms(b *testing.B, w *world) {
	b.Helper()
	program := newClassifier(b, nil)
	attach := func(n *netlab.Namespace, hook ebpf.AttachType) {
		must(b, n.Do(func() error {
			attached, err := link.AttachTCX(link.TCXOptions{Program: program, Interface: index(b, n, "eth0"), Attach: hook})
			if err == nil {
				b.Cleanup(func() { attached.Close() })
			}
			return err
		}))
	}
	attach(w.gateway, ebpf.AttachTCXIngress)
	attach(w.node, ebpf.AttachTCXIngress)
	attach(w.node, ebpf.AttachTCXEgress)
}

// BenchmarkOtherTraffic compares the traffic of a gateway node and a client node that is in no
// tunnel, with the data plane attached, without, and
// with programs attached that do nothing, in turn and in every setting of the interfaces'
// offloads, and prints the ratios. It measures once, whatever b.N is.
func BenchmarkOtherTraffic(b *testing.B) {
	const rounds, length = 7, 700 * time.Millisecond
	for _, segments := range []bool{true, false} {
		for _, merges := range []bool{true, false} {
			worlds := map[string]*world{}
			for _, way := range []string{wayRaw, wayEmpty, wayOurs} {
				w := newWorld(b, 1500)
				w.open()
				for _, n := range []*netlab.Namespace{w.gateway, w.node} {
					must(b, errors.Join(n.SetOffload("eth0", segments, netlab.TSO, netlab.GSO), n.SetOffload("eth0", merges, netlab.GRO)))
				}
				switch way {
				case wayEmpty:
					emptyPrograms(b, w)
				case wayOurs:
					w.connect(false)
				}
				worlds[way] = w
			}
			for _, fromNode := range []bool{false, true} {
				name := fmt.Sprintf("TSO and GSO %s, GRO %s, %s", onOff(segments), onOff(merges), either(fromNode, "client to gateway", "gateway to client"))
				b.Run(name, func(b *testing.B) {
					rates := map[string][]float64{}
					for range rounds {
						for way, w := range worlds {
							rate, err := streamBetween(w.gateway, w.node, nodeAddress[false], length, fromNode)
							must(b, err)
							rates[way] = append(rates[way], rate)
						}
					}
					raw, empty, ours := median(rates[wayRaw]), median(rates[wayEmpty]), median(rates[wayOurs])
					b.Logf("without %.2f Gbit/s, with %.2f, ratio %.2f; with empty programs %.2f", raw*8/1e9, ours*8/1e9, ours/raw, empty/raw)
					b.ReportMetric(ours/raw, "attached/raw")
					b.ReportMetric(empty/raw, "empty/raw")
					b.ReportMetric(0, "ns/op")
				})
			}
		}
	}
}

func onOff(on bool) string { return either(on, "on", "off") }

// The ways of packets as on a wire that BenchmarkSegmented compares.
const (
	wayRawXDP  = "raw, XDP attached"
	wayOursTC  = "GUE, taken out by tc"
	wayOursXDP = "GUE, taken out by XDP"
)

// BenchmarkSegmented compares one TCP stream of segments as on a wire, merged where they arrive
// (GRO), over a routed path, in a VXLAN and in a tunnel, and shows what XDP costs on a veth by
// itself: the driver copies each packet before the program sees it, which a network card's does
// not. It measures once, whatever b.N is.
func BenchmarkSegmented(b *testing.B) {
	const rounds, length = 5, time.Second
	ways := []string{wayRaw, wayRawXDP, wayVXLAN, wayOursTC, wayOursXDP}
	for _, fromPod := range []bool{false, true} {
		b.Run(either(fromPod, "replies", "requests"), func(b *testing.B) {
			worlds := map[string]*world{}
			for _, way := range ways {
				xdp, base := XDPAuto, way
				switch way {
				case wayRawXDP:
					base = wayRaw
				case wayOursTC:
					base = wayOurs
				case wayOursXDP:
					xdp, base = XDPNative, wayOurs
				}
				worlds[way] = newBenchWorldOf(b, base, false, xdp)
			}
			passXDP(b, worlds[wayRawXDP])
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
			raw, copied, vxlan := median(rates[wayRaw]), median(rates[wayRawXDP]), median(rates[wayVXLAN])
			for _, way := range ways {
				rate := median(rates[way])
				b.Logf("%-22s %6.2f Gbit/s, of raw %.2f, of raw with XDP %.2f, of VXLAN %.2f", way, rate*8/1e9, rate/raw, rate/copied, rate/vxlan)
			}
			b.ReportMetric(median(rates[wayOursXDP])/vxlan, "XDP/VXLAN")
			b.ReportMetric(median(rates[wayOursXDP])/copied, "XDP/raw-with-XDP")
			b.ReportMetric(vxlan/raw, "VXLAN/raw")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// passXDP attaches a program to both ends of a world's underlay that lets everything pass.
func passXDP(b *testing.B, w *world) {
	b.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()}})
	must(b, err)
	b.Cleanup(func() { program.Close() })
	for _, n := range []*netlab.Namespace{w.gateway, w.node} {
		must(b, n.Do(func() error {
			attached, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: index(b, n, "eth0"), Flags: link.XDPDriverMode})
			if err == nil {
				b.Cleanup(func() { attached.Close() })
			}
			return err
		}))
	}
}
