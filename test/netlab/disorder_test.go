// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"
)

// All packets arrive, some after later ones and some twice; and afterwards none.
func TestDisorder(t *testing.T) {
	lab := Test(t)
	a, r, b := host(t, lab, "a"), host(t, lab, "r"), host(t, lab, "b")
	must(t, errors.Join(Veth(a, "eth0", r, "a", 1500), Veth(b, "eth0", r, "b", 1500), r.Forward()))
	must(t, errors.Join(
		a.Addr("eth0", "192.0.2.2/24"), r.Addr("a", "192.0.2.1/24"), a.Route("0.0.0.0/0", "192.0.2.1", ""),
		b.Addr("eth0", "198.51.100.2/24"), r.Addr("b", "198.51.100.1/24"), b.Route("0.0.0.0/0", "198.51.100.1", ""),
	))
	to, err := b.ListenPacket(t.Context(), "udp4", "198.51.100.2:7")
	must(t, err)
	defer to.Close()
	from, err := a.ListenPacket(t.Context(), "udp4", "192.0.2.2:7")
	must(t, err)
	defer from.Close()
	const packets = 200
	// exchange sends packets whose numbers begin with the given one, and returns how
	// many came after a later one, and how many again.
	exchange := func(first uint16) (overtaken, twice int) {
		t.Helper()
		for i := range uint16(packets) {
			_, err := from.WriteTo(binary.BigEndian.AppendUint16(nil, first+i), to.LocalAddr())
			must(t, err)
		}
		seen, last, message := map[uint16]int{}, uint16(0), make([]byte, 16)
		must(t, to.SetReadDeadline(time.Now().Add(10*time.Second)))
		for len(seen) < packets {
			_, _, err := to.ReadFrom(message)
			must(t, err)
			i := binary.BigEndian.Uint16(message)
			if i < first {
				// An exchange before sent it twice.
				continue
			}
			if seen[i]++; seen[i] > 1 {
				twice++
			} else if i < last {
				overtaken++
			}
			last = max(last, i)
		}
		return overtaken, twice
	}
	restore, err := r.Disorder("a")
	must(t, err)
	wire, err := b.Wire("eth0")
	must(t, err)
	defer wire.Close()
	overtaken, twice := exchange(0)
	said, err := restore()
	must(t, err)
	if overtaken == 0 || said.Overtaken < overtaken || twice == 0 || said.Twice < twice {
		t.Errorf("%d were overtaken and %d came twice; it says %+v", overtaken, twice, said)
	}
	frames, err := wire.Frames()
	must(t, err)
	in := 0
	for _, f := range frames {
		if !f.Out {
			in++
		}
	}
	if in < packets {
		t.Errorf("%d frames were watched coming in", in)
	}
	if overtaken, twice := exchange(packets); overtaken+twice != 0 {
		t.Errorf("afterwards %d were overtaken and %d came twice", overtaken, twice)
	}
}
