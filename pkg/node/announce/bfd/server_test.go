// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"net/netip"
	"testing"
)

// Packets from beyond the next hop, from strangers and at another port reach no session.
func TestReceive(t *testing.T) {
	near, far := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	good := Packet{State: Down, Multiplier: 3, Mine: 1}.Append(nil)
	for name, test := range map[string]struct {
		from netip.Addr
		port uint16
		ttl  int
		b    []byte
		want bool
	}{
		"a neighbor":             {near, neighborPort, 255, good, true},
		"one hop more":           {near, neighborPort, 254, good, false},
		"no TTL":                 {near, neighborPort, 0, good, false},
		"the other port":         {near, multihopPort, 255, good, false},
		"a stranger":             {netip.MustParseAddr("192.0.2.2"), neighborPort, 255, good, false},
		"rubbish":                {near, neighborPort, 255, good[:20], false},
		"far away":               {far, multihopPort, 252, good, true},
		"farther than it may be": {far, multihopPort, 251, good, false},
	} {
		s := NewServer(Options{})
		for _, p := range []Peer{{Address: near, Hops: 1}, {Address: far, Hops: 4}} {
			s.sessions[p.Address] = &running{peer: p, in: make(chan Packet, 1)}
		}
		s.receive(test.from, test.port, test.ttl, test.b)
		got := false
		for _, r := range s.sessions {
			got = got || len(r.in) > 0
		}
		if got != test.want {
			t.Errorf("%s: taken %v", name, got)
		}
	}
}
