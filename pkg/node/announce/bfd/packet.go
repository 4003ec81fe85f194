// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// State is the state of a session.
type State uint8

// States, with the values in packets.
const (
	AdminDown State = iota
	Down
	Init
	Up
)

// String returns the name of a state.
func (s State) String() string {
	return [...]string{"AdminDown", "Down", "Init", "Up"}[s&3]
}

// Diagnostic is the reason why a session went down.
type Diagnostic uint8

// Diagnostics that this package sends.
const (
	NoDiagnostic      Diagnostic = 0
	DetectionExpired  Diagnostic = 1
	NeighborDown      Diagnostic = 3
	AdministratedDown Diagnostic = 7
)

const (
	version    = 1
	packetSize = 24
	// Bits of the second byte.
	bitPoll, bitFinal, bitAuthentication, bitMultipoint = 0x20, 0x10, 0x04, 0x01
)

// Packet is a control packet.
type Packet struct {
	Diagnostic  Diagnostic
	State       State
	Poll, Final bool
	Multiplier  uint8
	// Mine and Yours are the discriminators of the sender and of the receiver.
	Mine, Yours uint32
	// Transmit is the minimum interval at which the sender wants to send, and Receive the
	// minimum interval at which it can receive. 0 in Receive asks the peer to send
	// nothing.
	Transmit, Receive time.Duration
}

// Parse parses a packet. It returns an error for packets that have to be discarded
// regardless of the state of a session.
func Parse(b []byte) (Packet, error) {
	if len(b) < packetSize {
		return Packet{}, fmt.Errorf("the packet has only %d bytes", len(b))
	}
	p := Packet{
		Diagnostic: Diagnostic(b[0] & 0x1f), State: State(b[1] >> 6), Poll: b[1]&bitPoll != 0, Final: b[1]&bitFinal != 0, Multiplier: b[2],
		Mine: binary.BigEndian.Uint32(b[4:]), Yours: binary.BigEndian.Uint32(b[8:]),
		Transmit: microseconds(b[12:]), Receive: microseconds(b[16:]),
	}
	length := int(b[3])
	switch {
	case b[0]>>5 != version:
		return Packet{}, fmt.Errorf("version %d", b[0]>>5)
	case b[1]&bitAuthentication != 0:
		return Packet{}, errors.New("it is authenticated, but this session is not")
	case length < packetSize || length > len(b):
		return Packet{}, fmt.Errorf("the length is %d of %d bytes", length, len(b))
	case p.Multiplier == 0:
		return Packet{}, errors.New("the multiplier is 0")
	case b[1]&bitMultipoint != 0:
		return Packet{}, errors.New("it is of a multipoint session")
	case p.Mine == 0:
		return Packet{}, errors.New("the sender's discriminator is 0")
	case p.Yours == 0 && p.State != Down && p.State != AdminDown:
		return Packet{}, fmt.Errorf("it identifies no session but has the state %s", p.State)
	}
	return p, nil
}

func microseconds(b []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b)) * time.Microsecond
}

// Append appends a packet to b.
func (p Packet) Append(b []byte) []byte {
	flags := byte(p.State) << 6
	if p.Poll {
		flags |= bitPoll
	}
	if p.Final {
		flags |= bitFinal
	}
	b = append(b, version<<5|byte(p.Diagnostic&0x1f), flags, p.Multiplier, packetSize)
	b = binary.BigEndian.AppendUint32(b, p.Mine)
	b = binary.BigEndian.AppendUint32(b, p.Yours)
	b = binary.BigEndian.AppendUint32(b, uint32(p.Transmit/time.Microsecond))
	b = binary.BigEndian.AppendUint32(b, uint32(p.Receive/time.Microsecond))
	return binary.BigEndian.AppendUint32(b, 0)
}
