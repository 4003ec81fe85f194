// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Offsets in struct __sk_buff and in a frame with an IPv4 outer header.
const (
	skbData, skbDataEnd     = 76, 80
	frameProtocol, frameGUE = 14 + 9, 14 + 20 + 8
	outerLength             = 20 + 8 + 8
)

// newClassifier loads a tc program that lets every packet pass to the next one.
func newClassifier(b *testing.B, body asm.Instructions) *ebpf.Program {
	b.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "GPL",
		Instructions: append(body, asm.Mov.Imm(asm.R0, -1).WithSymbol("end"), asm.Return()),
	})
	must(b, err)
	b.Cleanup(func() { program.Close() })
	return program
}

// removesHeaders is a program that removes the outer header of a GUE data packet without a
// cookie, and does nothing else: the least that a program in the place of ours can do.
func removesHeaders(b *testing.B) *ebpf.Program {
	b.Helper()
	const roomMAC, fixedGSO = 1, 1
	return newClassifier(b, asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, skbData, asm.Word),
		asm.LoadMem(asm.R3, asm.R1, skbDataEnd, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, frameGUE+8),
		asm.JGT.Reg(asm.R4, asm.R3, "end"),
		asm.LoadMem(asm.R4, asm.R2, frameProtocol, asm.Byte),
		asm.JNE.Imm(asm.R4, protoUDP, "end"),
		// The second byte of a GUE header is the protocol of a data packet.
		asm.LoadMem(asm.R4, asm.R2, frameGUE+1, asm.Byte),
		asm.JNE.Imm(asm.R4, unix.IPPROTO_IPIP, "end"),
		asm.Mov.Imm(asm.R2, -outerLength),
		asm.Mov.Imm(asm.R3, roomMAC),
		asm.Mov.Imm(asm.R4, fixedGSO),
		asm.FnSkbAdjustRoom.Call(),
	})
}

// copiesHeaders is a program that pulls one byte more than is linear, so the kernel copies the
// headers of a packet that the sender's queue still holds.
func copiesHeaders(b *testing.B) *ebpf.Program {
	b.Helper()
	return newClassifier(b, asm.Instructions{
		asm.LoadMem(asm.R3, asm.R1, skbData, asm.Word),
		asm.LoadMem(asm.R2, asm.R1, skbDataEnd, asm.Word),
		asm.Sub.Reg(asm.R2, asm.R3),
		asm.Add.Imm(asm.R2, 1),
		asm.FnSkbPullData.Call(),
	})
}

// BenchmarkDecapsulation shows what of the cost of decapsulation is the kernel's: it measures the
// program on a client node alone, behind a program that has the kernel copy the headers of each
// packet first, and next to a program that does no more than remove the outer header. It measures
// once, whatever b.N is.
func BenchmarkDecapsulation(b *testing.B) {
	const rounds, length = 7, 800 * time.Millisecond
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	must(b, err)
	defer stats.Close()
	for _, offloads := range []bool{true, false} {
		b.Run(either(offloads, "whole segments", "as on a wire"), func(b *testing.B) {
			w := newBenchWorld(b, wayOurs, offloads)
			ours, nothing, removes, copies := w.nodeSide.objects.EpicDecap, newClassifier(b, nil), removesHeaders(b), copiesHeaders(b)
			ways := []struct {
				name     string
				front    *ebpf.Program
				measured *ebpf.Program
			}{
				{"a program that does nothing", nothing, nothing},
				{"only removes the outer header", removes, removes},
				{"decapsulation", nothing, ours},
				{"decapsulation of copied headers", copies, ours},
				{"only has headers copied", copies, copies},
			}
			costs := make([][]float64, len(ways))
			for range rounds {
				for i, way := range ways {
					costs[i] = append(costs[i], w.costBehind(b, way.front, way.measured, length))
				}
			}
			floor := median(costs[1])
			for i, way := range ways {
				b.Logf("%-32s %4.0f ns a packet (median of %d rounds; %4.0f in the best), %.2f of the removal alone", way.name, median(costs[i]), rounds, costs[i][0], median(costs[i])/floor)
			}
			b.ReportMetric(median(costs[2])/floor, "decap/removal")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// costBehind attaches a program in front of those on the client node's underlay, runs a stream
// of requests, and returns what a run of the measured one cost in nanoseconds.
func (w *world) costBehind(b *testing.B, front, measured *ebpf.Program, length time.Duration) float64 {
	b.Helper()
	var attached link.Link
	must(b, w.node.Do(func() (err error) {
		attached, err = link.AttachTCX(link.TCXOptions{Program: front, Interface: index(b, w.node, "eth0"), Attach: ebpf.AttachTCXIngress, Anchor: link.Head()})
		return err
	}))
	defer attached.Close()
	before, err := measured.Stats()
	must(b, err)
	rate, err := w.stream(length, false)
	must(b, err)
	after, err := measured.Stats()
	must(b, err)
	runs := after.RunCount - before.RunCount
	if rate == 0 || runs < 100 {
		b.Fatalf("%d runs at %.0f B/s", runs, rate)
	}
	return float64((after.Runtime - before.Runtime).Nanoseconds()) / float64(runs)
}
