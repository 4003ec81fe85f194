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
	// Solicit asks for a PING. Ends that do not know it drop it as malformed.
	Solicit
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
	case Solicit:
		return "SOLICIT"
	}
	return "unknown"
}

const (
	// PacketSize is the size of every control packet in bytes, from the GUE header
	// to the MAC.
	PacketSize = offsetMAC + macSize
	// NonceSize is the size of a nonce in bytes.
	NonceSize = 16

	// version is that of messages without flags, version2 that of those that have
	// flags in the byte that is reserved in version 1.
	version  = 1
	version2 = 2
	macSize  = 16

	offsetTunnel     = 4
	offsetExperiment = 8
	offsetVersion    = 12
	offsetType       = 13
	offsetKey        = 14
	offsetFlags      = 15
	offsetSequence   = 16
	offsetRTT        = 24
	offsetNonce      = 28
	offsetMAC        = offsetNonce + NonceSize
	// offsetAnnounced is where a PING has its flags, behind the announcement. The rest
	// of the nonce is zero.
	offsetAnnounced = offsetNonce + 8

	// header is variant 0 with the control bit and a header length of one word;
	// control type 255, for experiments; and the group flag of the extensions
	// draft, whose field carries the tunnel ID.
	header uint32 = 0x21ff8000
	// experiment distinguishes EPIC's messages from others' experiments.
	experiment uint32 = 0x45504943
	// MaxTunnelID is the largest ID of a tunnel.
	MaxTunnelID = 1<<31 - 1
)

// announcement begins the nonce of a PING that has flags in place of a nonce. An end
// that only knows version 1 ignores a nonce that it has not issued.
const announcement uint64 = 0x455049432b636170 // "EPIC+cap"

// Flags are what the sender of a message says about itself. A PING without any is version
// 1, or answers a CHALLENGE and says nothing; a PONG without any is version 1. Flags that
// are not known are ignored.
type Flags uint8

// The flags.
const (
	// AcceptsCookies indicates that the sender takes data packets with a cookie.
	AcceptsCookies Flags = 1 << iota
	// SendsCookies indicates that every data packet that the sender sends into the tunnel
	// from now on has a cookie.
	SendsCookies
	// RequiresCookies indicates that the sender refuses data packets without a cookie.
	RequiresCookies
	// AnswersSolicits indicates that the sender answers a SOLICIT with a PING.
	AnswersSolicits
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
	// Flags are those of a PING without a nonce, or of a PONG.
	Flags Flags
}

// ErrMalformed indicates that bytes are no control packet of version 1 or 2.
var ErrMalformed = errors.New("malformed control packet")

// Encode writes the packet of a message, with its MAC.
func (m *Message) Encode(packet *[PacketSize]byte, key *[KeySize]byte) {
	b := packet[:]
	binary.BigEndian.PutUint32(b, header)
	binary.BigEndian.PutUint32(b[offsetTunnel:], m.Tunnel)
	binary.BigEndian.PutUint32(b[offsetExperiment:], experiment)
	b[offsetVersion], b[offsetFlags] = version, 0
	b[offsetType] = byte(m.Type)
	b[offsetKey] = m.KeyID
	binary.BigEndian.PutUint64(b[offsetSequence:], m.Sequence)
	binary.BigEndian.PutUint32(b[offsetRTT:], microseconds(m.RTT))
	copy(b[offsetNonce:], m.Nonce[:])
	if m.Flags != 0 {
		if m.Type == Ping {
			clear(b[offsetNonce:offsetMAC])
			binary.BigEndian.PutUint64(b[offsetNonce:], announcement)
			b[offsetAnnounced] = byte(m.Flags)
		} else {
			b[offsetVersion], b[offsetFlags] = version2, byte(m.Flags)
		}
	}
	mac := sum(key, (*[offsetMAC]byte)(b[:offsetMAC]))
	copy(b[offsetMAC:], mac[:])
}

// Decode reads a packet, and is strict: each packet has one encoding. It does not
// check the MAC; until Authentic does, trust nothing in the message.
func (m *Message) Decode(b []byte) error {
	if len(b) != PacketSize ||
		binary.BigEndian.Uint32(b) != header ||
		binary.BigEndian.Uint32(b[offsetExperiment:]) != experiment {
		return ErrMalformed
	}
	if b[offsetVersion] == version && b[offsetFlags] != 0 ||
		b[offsetVersion] == version2 && (b[offsetFlags] == 0 || Type(b[offsetType]) != Pong) ||
		b[offsetVersion] != version && b[offsetVersion] != version2 {
		return ErrMalformed
	}
	*m = Message{
		Tunnel:   binary.BigEndian.Uint32(b[offsetTunnel:]),
		Type:     Type(b[offsetType]),
		KeyID:    b[offsetKey],
		Sequence: binary.BigEndian.Uint64(b[offsetSequence:]),
		RTT:      time.Duration(binary.BigEndian.Uint32(b[offsetRTT:])) * time.Microsecond,
		Nonce:    Nonce(b[offsetNonce:offsetMAC]),
		Flags:    Flags(b[offsetFlags]),
	}
	if m.Tunnel == 0 || m.Tunnel > MaxTunnelID || m.KeyID == 0 || m.Sequence == 0 {
		return ErrMalformed
	}
	switch m.Type {
	case Ping:
		if f := m.Nonce.announced(); f != 0 {
			m.Flags, m.Nonce = f, Nonce{}
		}
		return nil
	case Challenge:
		if m.RTT == 0 && m.Nonce != (Nonce{}) {
			return nil
		}
	case Pong, Solicit:
		if m.RTT == 0 && m.Nonce == (Nonce{}) {
			return nil
		}
	}
	return ErrMalformed
}

// announced returns the flags in a PING's nonce, none if it is a real nonce or zero.
func (n *Nonce) announced() Flags {
	const at = offsetAnnounced - offsetNonce
	if binary.BigEndian.Uint64(n[:]) != announcement || [NonceSize - at - 1]byte(n[at+1:]) != ([NonceSize - at - 1]byte{}) {
		return 0
	}
	return Flags(n[at])
}

func microseconds(d time.Duration) uint32 {
	return uint32(min(max(d.Microseconds(), 0), 1<<32-1))
}
