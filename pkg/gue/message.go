// SPDX-License-Identifier: Apache-2.0

package gue

import (
	"encoding/binary"
	"errors"
	"time"
)

// Type is the type of a message.
type Type uint8

// Types of messages.
const (
	Ping Type = iota + 1
	Challenge
	Pong
	// Solicit requests a PING. Ends that do not support it drop it as malformed.
	Solicit
)

// String returns the name used in documents.
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

	// version is for messages without flags, version2 for messages with flags in the byte
	// that is reserved in version 1.
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
	// offsetAnnounced is the offset of a PING's flags, after the announcement. The rest
	// of the nonce is zero.
	offsetAnnounced = offsetNonce + 8

	// header is variant 0 with the control bit and a header length of one word; control
	// type 255, for experiments; and the group flag of the extensions draft, whose field
	// carries the tunnel ID.
	header uint32 = 0x21ff8000
	// experiment distinguishes EPIC's messages from experiments of others.
	experiment uint32 = 0x45504943
	// MaxTunnelID is the maximum tunnel ID.
	MaxTunnelID = 1<<31 - 1
)

// announcement is the beginning of the nonce of a PING that contains flags instead of a
// nonce. An end that only supports version 1 ignores a nonce that it has not issued.
const announcement uint64 = 0x455049432b636170 // "EPIC+cap"

// Flags are announcements of the sender of a message. A PING without flags is version 1,
// or answers a CHALLENGE and announces nothing; a PONG without flags is version 1.
// Unknown flags are ignored.
type Flags uint8

// Values of Flags.
const (
	// AcceptsCookies indicates that the sender accepts data packets with a cookie.
	AcceptsCookies Flags = 1 << iota
	// SendsCookies indicates that every data packet that the sender sends into the tunnel
	// from now on has a cookie.
	SendsCookies
	// RequiresCookies indicates that the sender refuses data packets without a cookie.
	RequiresCookies
	// AnswersSolicits indicates that the sender answers a SOLICIT with a PING.
	AnswersSolicits
)

// Nonce is a random value that, when returned, proves that its receiver is at the address to which it
// was sent.
type Nonce [NonceSize]byte

// Message is one control message with its tunnel.
type Message struct {
	Tunnel   uint32
	Type     Type
	KeyID    uint8
	Sequence uint64
	// RTT is the last round-trip time measured by the sender of a PING, 0 if none, stored
	// in microseconds.
	RTT   time.Duration
	Nonce Nonce
	// Flags are the flags of a PING without a nonce, or of a PONG.
	Flags Flags
}

// ErrMalformed indicates that bytes are not a control packet of version 1 or 2.
var ErrMalformed = errors.New("malformed control packet")

// Encode encodes a message with its MAC.
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

// Decode decodes a packet strictly: each packet has one encoding. It does not check the
// MAC; do not trust the message until Authentic has returned true.
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

// announced returns the flags in a PING's nonce, or none if it is a real nonce or zero.
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
