// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"

	"github.com/acnodal/epic/pkg/dataplane"
)

// A plan that is packed comes out as it was.
func TestPack(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	addresses := []netip.Addr{
		{}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("10.0.0.1"),
	}
	end := func() netip.AddrPort {
		if address := addresses[random.IntN(len(addresses))]; address.IsValid() {
			return netip.AddrPortFrom(address, uint16(random.IntN(3)))
		}
		return netip.AddrPort{}
	}
	for range 500 {
		p := Plan{Problems: []string{"one"}, Openings: []dataplane.Opening{{Interface: 1, Protocol: 6, Port: 80}}}
		for range random.IntN(4) {
			p.Tunnels = append(p.Tunnels, dataplane.Tunnel{ID: random.Uint32(), Local: end(), Remote: end(), MTU: uint16(random.Uint32())})
		}
		for range random.IntN(4) {
			s := dataplane.Service{
				Tunnel: random.Uint32(), Endpoint: netip.AddrPortFrom(addresses[1+random.IntN(4)], uint16(random.Uint32())),
				Protocol: uint8(random.Uint32()), Interface: random.IntN(1 << 31),
			}
			if random.IntN(2) == 0 {
				s.Sources = addresses[1 : 2+random.IntN(3)]
			}
			p.Services = append(p.Services, s)
		}
		k := pack(p)
		if got := k.plan(); !reflect.DeepEqual(got, p) {
			t.Fatalf("%+v came out as %+v", p, got)
		}
	}
}
