// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// Flood is a stream of frames that differ in a few bytes.
type Flood struct {
	// Frame is the template of the frames, from the Ethernet header on.
	Frame []byte
	// Random are the places of two bytes each that are random in every frame. The sum of
	// the two bytes at Balance, if it is not zero, and those of the first place stays
	// the same, and with it the checksum.
	Random  []int
	Balance int
	// Rate is the maximum number of frames sent per second.
	Rate int
}

// Flood constants of the kernel.
const (
	liveFrames = 1 << 1 // BPF_F_TEST_XDP_LIVE_FRAMES
	floodBatch = 64
	floodPause = 5 * time.Millisecond
	// floodHeaders is how much of a frame a receiver may have changed.
	floodHeaders = 128
)

// Flood sends frames by one end of a veth pair until the context ends, much faster than a
// socket could, and returns the number of frames sent. GRO must be enabled at the far
// end.
func (n *Namespace) Flood(ctx context.Context, device string, f Flood) (sent uint64, err error) {
	index, err := n.Index(device)
	if err != nil {
		return 0, err
	}
	program, err := f.program(int32(index))
	if err != nil {
		return 0, fmt.Errorf("flood %s: %w", device, err)
	}
	defer func() { _ = program.Close() }()
	err = n.Do(func() error {
		// struct xdp_md
		meta := make([]byte, 24)
		binary.NativeEndian.PutUint32(meta[4:], uint32(len(f.Frame)))
		begin := time.Now()
		for ctx.Err() == nil {
			due := uint64(time.Since(begin).Seconds()*float64(f.Rate)) + 1
			if sent >= due {
				time.Sleep(floodPause)
				continue
			}
			repeat := min(uint32(due-sent), uint32(f.Rate)/50+1)
			if _, err := program.Run(&ebpf.RunOptions{Data: f.Frame, Context: meta, Repeat: repeat, Flags: liveFrames, BatchSize: floodBatch}); err != nil {
				return fmt.Errorf("flood %s: %w", device, err)
			}
			sent += uint64(repeat)
		}
		return nil
	})
	return sent, err
}

// program changes a frame and sends it.
func (f Flood) program(index int32) (*ebpf.Program, error) {
	code := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R2, asm.R6, 0, asm.Word),
		asm.LoadMem(asm.R3, asm.R6, 4, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, int32(min(len(f.Frame), floodHeaders)&^7)),
		asm.JGT.Reg(asm.R4, asm.R3, "out"),
	}
	// The kernel reuses the memory of frames as their receiver left it.
	for at := 0; at+8 <= min(len(f.Frame), floodHeaders); at += 8 {
		code = append(code,
			asm.LoadImm(asm.R1, int64(binary.NativeEndian.Uint64(f.Frame[at:])), asm.DWord),
			asm.StoreMem(asm.R2, int16(at), asm.R1, asm.DWord),
		)
	}
	for i, at := range f.Random {
		last := at + 2
		if i == 0 && f.Balance != 0 {
			last = max(last, f.Balance+2)
		}
		code = append(code,
			asm.FnGetPrandomU32.Call(),
			asm.LoadMem(asm.R2, asm.R6, 0, asm.Word),
			asm.LoadMem(asm.R3, asm.R6, 4, asm.Word),
			asm.Mov.Reg(asm.R4, asm.R2),
			asm.Add.Imm(asm.R4, int32(last)),
			asm.JGT.Reg(asm.R4, asm.R3, "out"),
			asm.StoreMem(asm.R2, int16(at), asm.R0, asm.Half),
		)
		if i == 0 && f.Balance != 0 {
			code = append(code,
				asm.Xor.Imm(asm.R0, 0xffff),
				asm.StoreMem(asm.R2, int16(f.Balance), asm.R0, asm.Half),
			)
		}
	}
	code = append(code,
		asm.Mov.Imm(asm.R1, index),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
		asm.Mov.Imm(asm.R0, 1).WithSymbol("out"), // XDP_DROP
		asm.Return(),
	)
	return ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, Name: "flood", License: "GPL", Instructions: code})
}
