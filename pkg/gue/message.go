// SPDX-License-Identifier: Apache-2.0

package gue

import (
	"encoding/binary"
	"errors"
	"time"
)

// Type is what a message is.
type Type uint8

// The types of messages.
const (
	Ping Type = iota + 1
	Challenge
	Pong
)

// String returns the name that documents use.
func (t Type) String() string {
	switch t {
	case Ping:
		return "PING"
	case Challenge:
		return "CHALLENGE"
	case Pong:
		return "PONG"
	}
	return "unknown"
}

const (
	// PacketSize is the size of every control packet in bytes, from the GUE header
	// to the MAC.
	PacketSize = offsetMAC + macSize
	// NonceSize is the size of a nonce in bytes.
	NonceSize = 16

	version = 1
	macSize = 16

	offsetTunnel     = 4
	offsetExperiment = 8
	offsetVersion    = 12
	offsetType       = 13
	offsetKey        = 14
	offsetReserved   = 15
	offsetSequence   = 16
	offsetRTT        = 24
	offsetNonce      = 28
	offsetMAC        = offsetNonce + NonceSize

	// header is variant 0 with the control bit and a header length of one word;
	// control type 255, for experiments; and the group flag of the extensions
	// draft, whose field carries the tunnel ID.
	header uint32 = 0x21ff8000
	// experiment tells EPIC's messages from others' experiments.
	experiment uint32 = 0x45504943
	// MaxTunnelID is the largest ID of a tunnel.
	MaxTunnelID = 1<<31 - 1
)

// Nonce proves, sent back, that its receiver is where it was sent to.
type Nonce [NonceSize]byte

// Message is one control message with its tunnel.
type Message struct {
	Tunnel   uint32
	Type     Type
	KeyID    uint8
	Sequence uint64
	// RTT is the round trip that the sender of a PING measured last, 0 if none,
	// kept in microseconds.
	RTT   time.Duration
	Nonce Nonce
}

// ErrMalformed says that bytes are no control packet of this version.
var ErrMalformed = errors.New("malformed control packet")

// Encode writes the packet of a message, with its MAC.
func (m *Message) Encode(packet *[PacketSize]byte, key *[KeySize]byte) {
	b := packet[:]
	binary.BigEndian.PutUint32(b, header)
	binary.BigEndian.PutUint32(b[offsetTunnel:], m.Tunnel)
	binary.BigEndian.PutUint32(b[offsetExperiment:], experiment)
	b[offsetVersion] = version
	b[offsetType] = byte(m.Type)
	b[offsetKey] = m.KeyID
	b[offsetReserved] = 0
	binary.BigEndian.PutUint64(b[offsetSequence:], m.Sequence)
	binary.BigEndian.PutUint32(b[offsetRTT:], microseconds(m.RTT))
	copy(b[offsetNonce:], m.Nonce[:])
	mac := sum(key, (*[offsetMAC]byte)(b[:offsetMAC]))
	copy(b[offsetMAC:], mac[:])
}

// Decode reads a packet, and is strict: each packet has one encoding. It does not
// check the MAC; until Authentic does, nothing in the message is to be believed.
func (m *Message) Decode(b []byte) error {
	if len(b) != PacketSize ||
		binary.BigEndian.Uint32(b) != header ||
		binary.BigEndian.Uint32(b[offsetExperiment:]) != experiment ||
		b[offsetVersion] != version || b[offsetReserved] != 0 {
		return ErrMalformed
	}
	*m = Message{
		Tunnel:   binary.BigEndian.Uint32(b[offsetTunnel:]),
		Type:     Type(b[offsetType]),
		KeyID:    b[offsetKey],
		Sequence: binary.BigEndian.Uint64(b[offsetSequence:]),
		RTT:      time.Duration(binary.BigEndian.Uint32(b[offsetRTT:])) * time.Microsecond,
		Nonce:    Nonce(b[offsetNonce:offsetMAC]),
	}
	if m.Tunnel == 0 || m.Tunnel > MaxTunnelID || m.KeyID == 0 || m.Sequence == 0 {
		return ErrMalformed
	}
	switch m.Type {
	case Ping:
		return nil
	case Challenge:
		if m.RTT == 0 && m.Nonce != (Nonce{}) {
			return nil
		}
	case Pong:
		if m.RTT == 0 && m.Nonce == (Nonce{}) {
			return nil
		}
	}
	return ErrMalformed
}

func microseconds(d time.Duration) uint32 {
	return uint32(min(max(d.Microseconds(), 0), 1<<32-1))
}
