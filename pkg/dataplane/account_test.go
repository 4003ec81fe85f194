// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// mutate changes a packet a little.
func mutate(random *rand.Rand, packet []byte) []byte {
	packet = slices.Clone(packet)
	for range 1 + random.IntN(3) {
		switch random.IntN(4) {
		case 0:
			packet = packet[:random.IntN(len(packet))+1]
		case 1:
			packet = append(packet, make([]byte, random.IntN(40))...)
		case 2:
			packet[random.IntN(len(packet))] ^= 1 << random.IntN(8)
		default:
			packet[random.IntN(len(packet))] = byte(random.Uint32())
		}
	}
	return packet
}

// totalDrops adds up all drops of a side.
func totalDrops(t *testing.T, side *DataPlane) (total uint64) {
	t.Helper()
	drops, err := side.Drops()
	must(t, err)
	for _, n := range drops {
		total += n
	}
	return total
}

// Every packet that a program ends is counted under one reason, and none that continues is
// counted, whatever is in it.
func TestEveryPacketIsCounted(t *testing.T) {
	b := newBench(t)
	random := rand.New(rand.NewPCG(5, 6))
	rounds := 4000
	if testing.Short() {
		rounds = 400
	}
	all := fixtures(b)
	for _, role := range []Role{RoleGateway, RoleClient} {
		for _, program := range []string{"encap", "decap", "xdp", "guard"} {
			if program == "guard" && role == RoleGateway {
				continue // client nodes alone have it
			}
			side, _ := b.side(role)
			var seeds [][]byte
			for _, fixture := range all {
				for _, step := range fixture.steps {
					// Small ones are not cut into parts, nor answered because of their size.
					// Whatever the guard sees, the program before it saw first.
					like := step.program == program || program == "guard" && step.program == "encap"
					if fixture.role == role && like && len(step.in) < 500 && step.gso == 0 {
						seeds = append(seeds, step.in)
					}
				}
			}
			if len(seeds) == 0 {
				t.Fatalf("role %d has no seeds for %s", role, program)
			}
			var ended, went uint64
			before := totalDrops(t, side)
			for range rounds {
				packet := mutate(random, seeds[random.IntN(len(seeds))])
				if len(packet) < 40 {
					continue // the kernel runs no program on less than an IP header
				}
				verdict, frame, err := b.run(role, step{program: program, in: packet})
				must(t, err)
				answered := program == "encap" && verdict == redirect && isReset(frame[14:]) ||
					program == "decap" && role == RoleClient && verdict == redirect
				if program == "xdp" && verdict != xdpPass || program != "xdp" && verdict == shot || answered {
					ended++
				} else {
					went++
				}
				if counted := totalDrops(t, side) - before; counted != ended {
					t.Fatalf("role %d, %s, verdict %d: %d packets were ended and %d counted; the last is %x", role, program, int32(verdict), ended, counted, packet)
				}
			}
			t.Logf("role %d, %s: %d packets were ended and counted, %d went on", role, program, ended, went)
		}
	}
}
