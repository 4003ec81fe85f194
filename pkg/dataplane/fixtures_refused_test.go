// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// reset is the answer to a segment that opens a connection to nowhere.
func reset(about []byte) []byte {
	at := 20
	var source, destination netip.Addr
	if about[0]>>4 == 6 {
		at, source, destination = 40, netip.AddrFrom16([16]byte(about[8:24])), netip.AddrFrom16([16]byte(about[24:40]))
	} else {
		source, destination = netip.AddrFrom4([4]byte(about[12:16])), netip.AddrFrom4([4]byte(about[16:20]))
	}
	segment := concat(about[at+2:at+4], about[at:at+2], be32(0), be32(binary.BigEndian.Uint32(about[at+4:])+1), []byte{5 << 4, flagRST | flagACK}, make([]byte, 6))
	if at == 40 {
		return ip6{}.packet(destination.String(), source.String(), protoTCP, segment)
	}
	return ip4{flags: dontFragment}.packet(destination.String(), source.String(), protoTCP, segment)
}

// isReset reports whether a packet is such an answer.
func isReset(packet []byte) bool {
	switch {
	case len(packet) == 40 && packet[0] == 0x45:
		return packet[9] == protoTCP && packet[33] == flagRST|flagACK
	case len(packet) == 60 && packet[0] == 0x60:
		return packet[6] == protoTCP && packet[53] == flagRST|flagACK
	}
	return false
}

// encapDrops are packets of a proxy that are dropped. Those that open a TCP connection are
// refused.
func encapDrops(drop DropReason, in ...[]byte) (steps []step) {
	answered := []DropReason{DropNotAnAnswer, DropNotRegistered, DropNoTunnel, DropNoRemote, DropNoRoute}
	for _, one := range in {
		s := step{program: "encap", in: one, verdict: shot, drop: drop}
		header, protocol := 20, one[9]
		if one[0]>>4 == 6 {
			header, protocol = 40, one[6]
		}
		if slices.Contains(answered, drop) && protocol == protoTCP && len(one) > header+13 && one[header+13]&(flagSYN|flagACK) == flagSYN {
			s.verdict, s.out = redirect, reset(one)
		}
		steps = append(steps, s)
	}
	return steps
}

// refusedFixtures are connections that a proxy opens to where none can be opened.
func (b *bench) refusedFixtures() (list []fixture) {
	for _, v6 := range []bool{false, true} {
		proxy := proxyAddress[v6]
		to := func(address string, flags byte, options []byte) []byte {
			return ip(proxy, address, protoTCP, tcp(40000, worldPort, flags, options, nil))
		}
		for id, drop := range map[int]DropReason{tunnelMissing: DropNoTunnel, tunnelNew: DropNoRemote, tunnelNowhere: DropNoRoute} {
			pod := endpointOf(id, v6)
			list = append(list, fixture{family(v6) + ": opened connections, " + string(drop), RoleGateway, append(
				encapDrops(drop, to(pod, flagSYN, nil), to(pod, flagSYN, mss(1460)), to(pod, flagSYN, make([]byte, 40))),
				// What is no start of a connection gets no answer.
				encapDrops(drop, to(pod, flagACK, nil), to(pod, flagSYN|flagACK, mss(1460)), ip(proxy, pod, protoUDP, udp(40000, worldPort, nil)))...,
			)})
		}
		gone := map[bool]string{false: "10.244.66.5", true: "fd00:244:66::5"}[v6]
		silent := step{program: "encap", verdict: shot, drop: DropNotAnAnswer}
		if v6 {
			silent.in = ip6{first: 60, fragment: true, extensions: []byte{protoTCP, 0, 1, 4, 0, 0, 0, 0}}.packet(proxy, gone, protoTCP, tcp(40000, worldPort, flagSYN, nil, nil))
		} else {
			silent.in = ip4{options: []byte{1, 1, 1, 0}}.packet(proxy, gone, protoTCP, tcp(40000, worldPort, flagSYN, nil, nil))
		}
		list = append(list, fixture{family(v6) + ": opened connections to an endpoint that is gone", RoleGateway, append(
			encapDrops(DropNotAnAnswer, to(gone, flagSYN, mss(1460))), silent)})
	}
	return list
}

// A proxy that connects to an endpoint that leaves, is gone, or has no tunnel that works
// learns that at once.
func TestConnectionsAreRefusedAtOnce(t *testing.T) {
	w := newWorld(t, 1500)
	w.open()
	w.connect(false)
	dials := func(v6 bool) error {
		// The first segment is sent again after a second.
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		conn, err := w.proxy.Dial(ctx, "tcp", port(podAddress[v6], worldPort).String())
		if err == nil {
			err = conn.Close()
		}
		return err
	}
	for _, v6 := range []bool{false, true} {
		listener, err := w.pod.Listen(t.Context(), "tcp", port(podAddress[v6], worldPort).String())
		must(t, err)
		defer listener.Close()
		until(t, func() error { return dials(v6) })
	}
	services, err := w.gatewaySide.Services().List()
	must(t, err)
	leaving := slices.Clone(services)
	for i := range leaving {
		leaving[i].Leaving = true
	}
	tunnels, err := w.gatewaySide.Tunnels().List()
	must(t, err)
	for _, c := range []struct {
		name string
		do   func() error
		drop DropReason
	}{
		{"it leaves", func() error { return w.gatewaySide.Services().Put(leaving...) }, DropNotRegistered},
		{"it is gone", func() error { return w.gatewaySide.Services().Delete(services...) }, DropNotAnAnswer},
		{"the tunnel has no remote", func() error {
			return errors.Join(w.gatewaySide.Services().Put(services...), w.gatewaySide.Tunnels().SetRemote(worldTunnel, netip.AddrPort{}))
		}, DropNoRemote},
		{"the tunnel is gone", func() error { return w.gatewaySide.Tunnels().Delete(worldTunnel) }, DropNoTunnel},
	} {
		must(t, c.do())
		for _, v6 := range []bool{false, true} {
			before := dropsOf(t, w.gatewaySide, c.drop)
			if err := dials(v6); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("%s, %s: %v", c.name, family(v6), err)
			}
			if n := dropsOf(t, w.gatewaySide, c.drop) - before; n != 1 {
				t.Errorf("%s, %s: %d segments are counted as %s, want 1", c.name, family(v6), n, c.drop)
			}
		}
	}
	must(t, w.gatewaySide.Tunnels().Put(tunnels...))
	for _, v6 := range []bool{false, true} {
		must(t, dials(v6))
	}
}
