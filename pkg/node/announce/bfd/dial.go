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

// dial opens a socket for sending to a peer. RFC 5881 defines the source ports and the
// time to live.
func dial(p Peer) (*net.UDPConn, error) {
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.Address, p.port()))
	var conn *net.UDPConn
	var err error
	const tries = 8
	for range tries {
		// If a port is in use, another one may be free.
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

// controlTraffic is the traffic class of routing protocols (CS6), so congestion does not
// end sessions.
const controlTraffic = 0xc0

// isRefused reports whether the peer does not listen, which may change soon.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
