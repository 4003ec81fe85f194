// SPDX-License-Identifier: Apache-2.0

package layer2

import (
	"net/netip"
	"testing"
)

var (
	alice, bob  = MAC{2, 0, 0, 0, 0, 1}, MAC{2, 0, 0, 0, 0, 2}
	public6     = netip.MustParseAddr("2001:db8:5::5")
	visitor4    = netip.MustParseAddr("203.0.113.9")
	visitor6    = netip.MustParseAddr("fe80::9")
	visitorsMAC = MAC{2, 0, 0, 0, 0, 9}
)

func TestFrames(t *testing.T) {
	question6 := func() []byte {
		group, to := solicited(public6)
		return neighbor(to, visitorsMAC, visitor6, group, solicitation, 0, public6, optionSource)
	}
	for name, test := range map[string]struct {
		frame []byte
		want  Message
	}{
		"an IPv4 probe":              {probeFrame(alice, public), Message{Want, public, alice, netip.Addr{}}},
		"an IPv6 probe":              {probeFrame(alice, public6), Message{Want, public6, alice, netip.Addr{}}},
		"an IPv4 question":           {arp(broadcast, visitorsMAC, arpRequest, visitor4, MAC{}, public), Message{Question, public, visitorsMAC, visitor4}},
		"an IPv6 question":           {question6(), Message{Question, public6, visitorsMAC, visitor6}},
		"a request that announces":   {announceFrames(alice, public)[0], Message{Claim, public, alice, public}},
		"a reply that announces":     {announceFrames(alice, public)[1], Message{Claim, public, alice, public}},
		"an IPv6 announcement":       {announceFrames(alice, public6)[0], Message{Claim, public6, alice, netip.Addr{}}},
		"an answer to a probe":       {answerFrame(bob, Message{Want, public, alice, netip.Addr{}}), Message{Claim, public, bob, public}},
		"an answer to an IPv6 probe": {answerFrame(bob, Message{Want, public6, alice, netip.Addr{}}), Message{Claim, public6, bob, netip.Addr{}}},
		"an answer":                  {answerFrame(bob, Message{Question, public, visitorsMAC, visitor4}), Message{Claim, public, bob, public}},
		"an IPv6 answer":             {answerFrame(bob, Message{Question, public6, visitorsMAC, visitor6}), Message{Claim, public6, bob, netip.Addr{}}},
	} {
		got, ok := Parse(test.frame)
		if !ok || got != test.want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, ok, test.want)
		}
		// Nothing shorter is read beyond its end, nor taken for the same. Ethernet pads
		// frames.
		if again, ok := Parse(append(test.frame, make([]byte, 18)...)); !ok || again != test.want {
			t.Errorf("%s: padded: %+v, %v", name, again, ok)
		}
		for n := range test.frame {
			if m, ok := Parse(test.frame[:n:n]); ok {
				t.Errorf("%s: %d bytes: %+v", name, n, m)
			}
		}
	}
	// A router may have forwarded it, or a bit may be wrong.
	for name, change := range map[string]func([]byte){
		"hops": func(b []byte) { b[etherSize+7] = 254 }, "checksum": func(b []byte) { b[len(b)-1] ^= 1 }, "sender": func(b []byte) { b[6] |= 1 },
	} {
		b := question6()
		change(b)
		if m, ok := Parse(b); ok {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func FuzzParseFrame(f *testing.F) {
	f.Add(probeFrame(alice, public))
	f.Add(probeFrame(alice, public6))
	f.Add(announceFrames(alice, public6)[0])
	f.Fuzz(func(t *testing.T, b []byte) {
		m, ok := Parse(b)
		if !ok {
			return
		}
		if !m.Target.IsValid() || m.Kind == 0 || m.From[0]&1 != 0 {
			t.Errorf("%+v", m)
		}
		if back, ok := Parse(answerFrame(bob, m)); !m.Target.IsUnspecified() && (!ok || back.Kind != Claim || back.Target != m.Target || back.From != bob) {
			t.Errorf("the answer to %+v is %+v, %v", m, back, ok)
		}
	})
}
