// SPDX-License-Identifier: Apache-2.0

package gue

import (
	"crypto/sha256"
	"crypto/subtle"
)

// KeySize is the size of a tunnel's key in bytes.
const KeySize = 32

// Key is one key of a tunnel.
type Key struct {
	// ID is 1 to 255.
	ID    uint8
	Bytes [KeySize]byte
}

// Authentic reports whether a packet that Decode accepted is authenticated by the key.
func Authentic(packet []byte, key *[KeySize]byte) bool {
	if len(packet) != PacketSize {
		return false
	}
	want := sum(key, (*[offsetMAC]byte)(packet[:offsetMAC]))
	return subtle.ConstantTimeCompare(want[:], packet[offsetMAC:]) == 1
}

// sum returns HMAC-SHA256 (RFC 2104) of an input of fixed size, truncated to its first
// half. A test compares it with crypto/hmac, which allocates memory for each message;
// every packet of a flood costs one sum.
func sum(key *[KeySize]byte, text *[offsetMAC]byte) (mac [macSize]byte) {
	var inner [sha256.BlockSize + offsetMAC]byte
	var outer [sha256.BlockSize + sha256.Size]byte
	for i := range sha256.BlockSize {
		var k byte
		if i < KeySize {
			k = key[i]
		}
		inner[i], outer[i] = k^0x36, k^0x5c
	}
	copy(inner[sha256.BlockSize:], text[:])
	digest := sha256.Sum256(inner[:])
	copy(outer[sha256.BlockSize:], digest[:])
	digest = sha256.Sum256(outer[:])
	copy(mac[:], digest[:])
	return mac
}
