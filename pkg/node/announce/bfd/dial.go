// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// dial opens a socket that sends to a peer. RFC 5881 defines from which ports, and with
// which time to live.
func dial(p Peer) (*net.UDPConn, error) {
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.Address, p.port()))
	var conn *net.UDPConn
	var err error
	const tries = 8
	for range tries {
		// A port that another socket has is not the only one.
		from := &net.UDPAddr{Port: firstPort + rand.IntN(lastPort-firstPort+1)} //nolint:gosec // any will do
		if conn, err = net.DialUDP("udp", from, to); !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if p.Address.Is4() {
		c := ipv4.NewConn(conn)
		err = errors.Join(c.SetTTL(fullTTL), c.SetTOS(controlTraffic))
	} else {
		c := ipv6.NewConn(conn)
		err = errors.Join(c.SetHopLimit(fullTTL), c.SetTrafficClass(controlTraffic))
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// controlTraffic is the class of routing protocols (CS6), so a full link does not end
// sessions.
const controlTraffic = 0xc0

// isRefused reports whether the peer does not listen. It may soon.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
