// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// allowed reports whether an inner packet may come out of a tunnel at a gateway.
func allowed(inner []byte) bool {
	var source, destination netip.Addr
	switch {
	case len(inner) >= 20 && inner[0]>>4 == 4:
		source, destination = netip.AddrFrom4([4]byte(inner[12:16])), netip.AddrFrom4([4]byte(inner[16:20]))
	case len(inner) >= 40 && inner[0]>>4 == 6:
		source, destination = netip.AddrFrom16([16]byte(inner[8:24])), netip.AddrFrom16([16]byte(inner[24:40]))
	default:
		return false
	}
	v6 := source.Is6()
	if destination.String() != proxyAddress[v6] {
		return false
	}
	icmp := !v6 && inner[9] == protoICMP || v6
	return icmp || source.String() == endpointOf(tunnel4, v6) || source.String() == endpointOf(tunnel6, v6)
}

// check runs a frame through both programs that take packets out of tunnels. Nothing
// comes out that may not, and XDP lets through nothing that tc would not.
func (b *bench) fuzzDecap(t *testing.T, packet []byte) {
	t.Helper()
	if len(packet) < 40 {
		return // the kernel runs no program on less than an IP header
	}
	verdict, frame, err := b.run(RoleGateway, step{program: "decap", in: packet})
	must(t, err)
	switch verdict {
	case redirect:
		if marked := withCookie(packet, cookieUp); b.cookies && bytes.Equal(marked, packet) && !bytes.Contains(packet, cookieUp[:]) && !bytes.Contains(packet, cookieUpOld[:]) {
			t.Errorf("%x came out without a cookie", packet)
		}
		if !allowed(frame[14:]) {
			t.Errorf("%x came out of %x", frame[14:], packet)
		}
	case pass:
		if !bytes.Equal(frame[14:], packet) && !b.cookies {
			t.Errorf("%x was changed into %x and passed on", packet, frame[14:])
		}
	case shot:
	default:
		t.Errorf("verdict %d", verdict)
	}
	after := verdict
	verdict, frame, err = b.run(RoleGateway, step{program: "xdp", in: packet, out: nil})
	must(t, err)
	if verdict != xdpPass {
		t.Errorf("XDP: verdict %d", verdict)
	}
	left := packet
	if b.cookies {
		left = withCookie(packet, cookieUp)
	}
	if len(frame) >= 14 && bytes.Equal(frame[14:], left) {
		return // left to tc
	}
	if after != redirect || len(frame) < delivery+14 || !allowed(frame[delivery+14:]) {
		t.Errorf("XDP took %x out of %x, tc said %d", frame, packet, after)
	}
}

// seeds are packets from which random ones are made.
func (b *bench) seeds() [][]byte {
	var seeds [][]byte
	all := fixtures(b)
	if b.cookies {
		all = append(all, b.cookieFixtures()...)
	}
	for _, fixture := range all {
		for _, step := range fixture.steps {
			if fixture.role == RoleGateway && step.program == "decap" && len(step.in) < 300 {
				seeds = append(seeds, step.in)
			}
		}
	}
	return seeds
}

// TestRandomPackets changes good and bad packets a little, many times.
func TestRandomPackets(t *testing.T) {
	for _, cookies := range []bool{false, true} {
		randomPackets(t, newBenchOf(t, cookies))
	}
}

func randomPackets(t *testing.T, b *bench) {
	t.Helper()
	seeds := b.seeds()
	random := rand.New(rand.NewPCG(1, 2))
	rounds := 10_000
	if testing.Short() {
		rounds = 1000
	}
	for range rounds {
		packet := mutate(random, seeds[random.IntN(len(seeds))])
		b.fuzzDecap(t, packet)
		if t.Failed() {
			return
		}
	}
}

// FuzzDecap takes packets from the fuzzer.
func FuzzDecap(f *testing.F) {
	b := newBench(f)
	for _, seed := range b.seeds() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) == 0 || len(packet) > 2000 {
			return
		}
		b.fuzzDecap(t, packet)
	})
}

// A packet that goes into a tunnel at one end comes out at the other as it was.
func TestThereAndBack(t *testing.T) {
	for _, cookies := range []bool{false, true} {
		thereAndBack(t, newBenchOf(t, cookies))
	}
}

func thereAndBack(t *testing.T, b *bench) {
	t.Helper()
	random := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		v6, outer6 := random.IntN(2) == 0, random.IntN(2) == 0
		id := tunnelOver(outer6)
		payload := make([]byte, random.IntN(1300))
		for i := range payload {
			payload[i] = byte(random.Uint32())
		}
		protocol, port := byte(protoTCP), uint16(random.Uint32())
		var transport []byte
		if random.IntN(2) == 0 {
			transport = tcp(port, worldPort, byte(random.Uint32())&^flagSYN, make([]byte, random.IntN(11)*4), payload)
		} else {
			protocol, transport = protoUDP, udp(port, worldPort, payload)
		}
		tos := byte(random.Uint32())
		var inner []byte
		if v6 {
			inner = ip6{tos: tos, hop: byte(1 + random.IntN(255))}.packet(proxyAddress[true], endpointOf(id, true), protocol, transport)
		} else {
			options := make([]byte, random.IntN(3)*4)
			for i := range options {
				options[i] = 1
			}
			inner = ip4{tos: tos, id: uint16(random.Uint32()), flags: dontFragment, ttl: byte(1 + random.IntN(255)), options: options}.
				packet(proxyAddress[false], endpointOf(id, false), protocol, transport)
		}
		verdict, frame, err := b.run(RoleGateway, step{program: "encap", in: inner})
		must(t, err)
		if verdict != redirect || binary.BigEndian.Uint16(frame[12:]) == 0 {
			t.Fatalf("verdict %d on the way in", verdict)
		}
		verdict, frame, err = b.run(RoleClient, step{program: "decap", in: frame[14:]})
		must(t, err)
		if verdict != pass || !bytes.Equal(frame[14:], inner) {
			t.Fatalf("verdict %d: %x came out as %x", int32(verdict), inner, frame[14:])
		}
	}
}
