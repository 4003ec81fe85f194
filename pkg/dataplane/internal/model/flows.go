// SPDX-License-Identifier: Apache-2.0

package model

import "net/netip"

// flowKey is what the packets of a flow have in common.
type flowKey struct {
	endpoint, proxy netip.Addr
	protocol        byte
	port, proxyPort uint16
}

// flow is a flow to an endpoint to which several tunnels lead. As much time as flows have
// passes in no test.
type flow struct {
	tunnel uint32
	// sent and answered are the TCP flags of both sides.
	sent, answered byte
}

// The TCP flags.
const (
	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

// flow is that of a packet, or of the packet that an error quotes.
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

// claim notes on a client node by which of several tunnels a flow comes. It returns false if
// the flow is another tunnel's.
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

// tunnelOfFlow returns the tunnel by which a flow came, if that is known.
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
