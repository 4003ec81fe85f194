// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// socketKey identifies a receiving socket.
type socketKey struct {
	four bool
	port uint16
}

// socket receives packets of one family and port.
type socket struct {
	conn net.PacketConn
	done chan struct{}
}

func (s *socket) close() {
	_ = s.conn.Close()
	<-s.done
}

// listen opens a socket and passes packets to take.
func listen(ctx context.Context, key socketKey, take func(from netip.Addr, port uint16, ttl int, b []byte)) (*socket, error) {
	network := "udp6"
	if key.four {
		network = "udp4"
	}
	conn, err := (&net.ListenConfig{}).ListenPacket(ctx, network, fmt.Sprintf(":%d", key.port))
	if err != nil {
		return nil, err
	}
	read, err := reader(conn, key.four)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	s := &socket{conn: conn, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		buffer := make([]byte, 2*packetSize)
		for {
			n, ttl, from, err := read(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			udp, ok := from.(*net.UDPAddr)
			if err != nil || !ok {
				continue
			}
			take(udp.AddrPort().Addr().Unmap().WithZone(""), key.port, ttl, buffer[:n])
		}
	}()
	return s, nil
}

// reader returns a function that reads a packet with its time to live.
func reader(conn net.PacketConn, four bool) (func([]byte) (n, ttl int, from net.Addr, err error), error) {
	if four {
		p := ipv4.NewPacketConn(conn)
		return func(b []byte) (int, int, net.Addr, error) {
			n, control, from, err := p.ReadFrom(b)
			if control == nil {
				return n, 0, from, err
			}
			return n, control.TTL, from, err
		}, p.SetControlMessage(ipv4.FlagTTL, true)
	}
	p := ipv6.NewPacketConn(conn)
	return func(b []byte) (int, int, net.Addr, error) {
		n, control, from, err := p.ReadFrom(b)
		if control == nil {
			return n, 0, from, err
		}
		return n, control.HopLimit, from, err
	}, p.SetControlMessage(ipv6.FlagHopLimit, true)
}
