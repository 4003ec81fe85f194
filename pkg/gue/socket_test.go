// SPDX-License-Identifier: Apache-2.0

package gue

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func open(t *testing.T) *Socket {
	t.Helper()
	s, err := Listen(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Both ends on real sockets: tunnels of both families open, are measured, and
// survive that the far end is away for a while.
func TestOverUDP(t *testing.T) {
	epic, node := open(t), open(t)
	addresses := map[uint32]string{5: "127.0.0.1", 6: "::1"}
	if len(epic.families) < 2 {
		delete(addresses, 6)
	}
	responder := func(s *Socket) (*Responder, func()) {
		r := NewResponder(ResponderOptions{Move: func(uint32, netip.AddrPort) error { return nil }})
		for id, a := range addresses {
			if err := r.Set(ResponderTunnel{ID: id, Local: netip.AddrPortFrom(netip.MustParseAddr(a), s.Port()), Keys: []Key{testKey(1)}}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Serve(ctx, s) }()
		return r, func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("the responder ended with %v", err)
			}
		}
	}
	r, stop := responder(epic)
	var sequence atomic.Uint64
	i := NewInitiator(InitiatorOptions{Interval: 50 * time.Millisecond, Sequence: func() uint64 { return sequence.Add(1) }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- i.Serve(ctx, node) }()
	for id, a := range addresses {
		end := func(s *Socket) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(a), s.Port()) }
		if err := i.Set(InitiatorTunnel{ID: id, Local: end(node), Remote: end(epic), Keys: []Key{testKey(1)}}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: not within 20 seconds", what)
			}
		}
	}
	all := func(up bool) func() bool {
		return func() bool {
			n := 0
			i.Each(func(_ uint32, s PeerState) {
				if s.Up == up {
					n++
				}
			})
			return n == len(addresses)
		}
	}
	check("open", all(true))
	r.Each(func(id uint32, s PeerState) {
		if want := netip.AddrPortFrom(netip.MustParseAddr(addresses[id]), node.Port()); s.Remote != want || s.Seen.IsZero() {
			t.Errorf("tunnel %d: %+v, want %s", id, s, want)
		}
	})
	check("the round trip told", func() bool { s, _ := r.State(5); return s.RTT > 0 })

	port := epic.Port()
	stop()
	check("down", all(false))
	again, err := Listen(t.Context(), port)
	if err != nil {
		t.Fatal(err)
	}
	_, stop = responder(again)
	check("open again", all(true))
	stop()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("the initiator ended with %v", err)
	}
}

func TestPortInUse(t *testing.T) {
	taken, err := net.ListenPacket("udp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := netip.MustParseAddrPort(taken.LocalAddr().String()).Port()
	_, err = Listen(t.Context(), port)
	if err == nil || !strings.Contains(err.Error(), "used by another program") {
		t.Errorf("error %v", err)
	}
}

// Packets of a wrong size are counted, not cut to fit.
func TestSizes(t *testing.T) {
	s := open(t)
	r := NewResponder(ResponderOptions{})
	go func() { _ = r.Serve(t.Context(), s) }()
	conn, err := net.Dial("udp4", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.Port()).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	key := testKey(1)
	var p [PacketSize]byte
	(&Message{Tunnel: 5, Type: Ping, KeyID: 1, Sequence: 1}).Encode(&p, &key.Bytes)
	for _, b := range [][]byte{{}, p[:PacketSize-1], append(p[:], 0), make([]byte, 9000)} {
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(20 * time.Second); r.Counts.Of(Malformed) != 4; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d are counted as malformed, %d as of an unknown tunnel", r.Counts.Of(Malformed), r.Counts.Of(UnknownTunnel))
		}
	}
}
