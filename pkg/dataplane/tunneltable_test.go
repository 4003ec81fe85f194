// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"math/rand/v2"
	"testing"

	"github.com/acnodal/epic/bpf"
)

// An entry that is packed comes out as it was.
func TestTunnelTablePacks(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	table := &tunnelTable{kept: map[uint32]keptTunnel{}, others: map[uint32][MaxCookies - 1]uint64{}, places: map[localEnd]uint32{}}
	for range 2000 {
		value := bpf.KernelTunnel{
			LocalPort: uint16(random.IntN(3)), RemotePort: uint16(random.Uint32()), Mtu: uint16(random.Uint32()), Family6: uint8(random.IntN(2)),
			Slot: random.Uint32(), Flags: bpf.KernelTunnelFlags(random.IntN(8)), Cookie: random.Uint64(),
		}
		value.Local.Bytes[15], value.Remote.Bytes[3] = byte(random.IntN(4)), byte(random.Uint32())
		for i := range value.Accepts {
			value.Accepts[i] = uint64(random.IntN(2))
		}
		id := random.Uint32N(100)
		table.keep(id, &value)
		if got, ok := table.get(id); got != value || !ok {
			t.Fatalf("%+v came out as %+v", value, got)
		}
	}
	if n := len(table.locals); n > 3*4*2 {
		t.Errorf("%d ends on this node are kept", n)
	}
}
