// SPDX-License-Identifier: Apache-2.0

package model

import "net/netip"

// flowKey identifies the packets of a flow.
type flowKey struct {
	endpoint, proxy netip.Addr
	protocol        byte
	port, proxyPort uint16
}

// flow is a flow to an endpoint to which several tunnels lead. Tests are too short for
// flows to expire.
type flow struct {
	tunnel uint32
	// sent and answered are the TCP flags of both sides.
	sent, answered byte
}

// TCP flags.
const (
	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

// flow returns the key of the flow of a packet, or of the packet quoted in an error.
func (p *inner) flow() flowKey {
	if p.match == byPort || p.match == byQuote && p.port.Protocol != 0 {
		return flowKey{p.endpoint, p.proxy, p.port.Protocol, p.port.Port, p.proxyPort}
	}
	return flowKey{p.endpoint, p.proxy, icmpOf(p.v6), p.echo, p.echo}
}

// opens reports whether a packet opens a TCP connection.
func (p *inner) opens() bool {
	return p.match == byPort && p.protocol == protoTCP && p.flags&(flagSYN|flagACK) == flagSYN
}

// over reports whether a TCP connection has ended.
func (f *flow) over() bool {
	return (f.sent|f.answered)&flagRST != 0 || f.sent&f.answered&flagFIN != 0
}

// claim records, on a client node, which of several tunnels a flow uses. It returns false
// if the flow uses another tunnel.
func (w *World) claim(id uint32, p *inner) bool {
	if w.Gateway || len(w.tunnelsTo(p.at())) < 2 || p.match == byFirst || p.match == byQuote {
		return true
	}
	key := p.flow()
	had, noted := w.flows[key]
	if noted && had.tunnel != id {
		if p.protocol != protoTCP || p.opens() && !had.over() {
			return false
		}
		if p.flags&flagRST != 0 {
			return true
		}
	}
	if !noted || had.tunnel != id || p.opens() {
		had = &flow{tunnel: id}
	}
	had.sent |= p.flags
	if w.flows == nil {
		w.flows = map[flowKey]*flow{}
	}
	w.flows[key] = had
	return true
}

// tunnelOfFlow returns the tunnel of a flow, if it is known.
func (w *World) tunnelOfFlow(p *inner, otherwise uint32) uint32 {
	f, ok := w.flows[p.flow()]
	if !ok {
		return otherwise
	}
	if p.match != byQuote {
		f.answered |= p.flags
	}
	return f.tunnel
}
