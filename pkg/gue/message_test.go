// SPDX-License-Identifier: Apache-2.0

package gue

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

func testKey(id uint8) Key {
	k := Key{ID: id}
	for i := range k.Bytes {
		k.Bytes[i] = byte(i) + id
	}
	return k
}

// The layout is a contract with programs of other versions.
func TestEncodeLayout(t *testing.T) {
	key := testKey(7)
	m := Message{Tunnel: 0x01020304, Type: Ping, KeyID: 7, Sequence: 0x1112131415161718, RTT: 0x21222324 * time.Microsecond, Nonce: Nonce{0x31, 15: 0x3f}}
	var packet [PacketSize]byte
	m.Encode(&packet, &key.Bytes)
	want, _ := hex.DecodeString("21ff8000" + "01020304" + "45504943" + "01010700" + "1112131415161718" + "21222324" + "310000000000000000000000000000" + "3f")
	if !bytes.Equal(packet[:offsetMAC], want) {
		t.Errorf("packet\n%x\nwant\n%x", packet[:offsetMAC], want)
	}
	h := hmac.New(sha256.New, key.Bytes[:])
	h.Write(packet[:offsetMAC])
	if mac := h.Sum(nil)[:macSize]; !bytes.Equal(packet[offsetMAC:], mac) {
		t.Errorf("MAC %x, crypto/hmac says %x", packet[offsetMAC:], mac)
	}
	var back Message
	if err := back.Decode(packet[:]); err != nil || back != m {
		t.Errorf("decoded %+v, %v, want %+v", back, err, m)
	}
}

// Messages with flags are a contract too. A PING keeps the form of version 1, because an end
// that only knows that one has to take it.
func TestEncodeFlags(t *testing.T) {
	key := testKey(7)
	for name, c := range map[string]struct {
		m    Message
		want string
	}{
		"PING": {
			Message{Tunnel: 1, Type: Ping, KeyID: 7, Sequence: 2, Flags: AcceptsCookies | SendsCookies},
			"21ff8000" + "00000001" + "45504943" + "01010700" + "0000000000000002" + "00000000" + "455049432b636170" + "03" + "00000000000000",
		},
		"PONG": {
			Message{Tunnel: 1, Type: Pong, KeyID: 7, Sequence: 2, Flags: AcceptsCookies | SendsCookies | RequiresCookies},
			"21ff8000" + "00000001" + "45504943" + "02030707" + "0000000000000002" + "00000000" + "00000000000000000000000000000000",
		},
		"SOLICIT": {
			Message{Tunnel: 1, Type: Solicit, KeyID: 7, Sequence: 2},
			"21ff8000" + "00000001" + "45504943" + "01040700" + "0000000000000002" + "00000000" + "00000000000000000000000000000000",
		},
	} {
		var packet [PacketSize]byte
		c.m.Encode(&packet, &key.Bytes)
		if got := hex.EncodeToString(packet[:offsetMAC]); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
		var back Message
		if err := back.Decode(packet[:]); err != nil || back != c.m {
			t.Errorf("%s: decoded %+v, %v", name, back, err)
		}
	}
	// What only begins like an announcement is a nonce.
	for _, nonce := range []Nonce{{'E', 'P', 'I', 'C', '+', 'c', 'a', 'p'}, {'E', 'P', 'I', 'C', '+', 'c', 'a', 'p', 1, 15: 1}} {
		var packet [PacketSize]byte
		(&Message{Tunnel: 1, Type: Ping, KeyID: 7, Sequence: 2, Nonce: nonce}).Encode(&packet, &key.Bytes)
		var back Message
		if err := back.Decode(packet[:]); err != nil || back.Flags != 0 || back.Nonce != nonce {
			t.Errorf("decoded %+v, %v", back, err)
		}
	}
}

func TestSumIsHMAC(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		var key [KeySize]byte
		var text [offsetMAC]byte
		for i := range key {
			key[i] = byte(random.Uint32())
		}
		for i := range text {
			text[i] = byte(random.Uint32())
		}
		h := hmac.New(sha256.New, key[:])
		h.Write(text[:])
		if got, want := sum(&key, &text), h.Sum(nil)[:macSize]; !bytes.Equal(got[:], want) {
			t.Fatalf("key %x text %x: %x, want %x", key, text, got, want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	key := testKey(1)
	packet := func(m Message, change func(b []byte)) []byte {
		var p [PacketSize]byte
		m.Encode(&p, &key.Bytes)
		if change != nil {
			change(p[:])
		}
		return p[:]
	}
	ping := Message{Tunnel: 5, Type: Ping, KeyID: 1, Sequence: 9}
	set := func(offset int, value byte) func([]byte) { return func(b []byte) { b[offset] = value } }
	for name, b := range map[string][]byte{
		"empty":                   nil,
		"too short":               packet(ping, nil)[:PacketSize-1],
		"too long":                append(packet(ping, nil), 0),
		"data":                    packet(ping, set(0, 0x01)),
		"another variant":         packet(ping, set(0, 0x61)),
		"another header length":   packet(ping, set(0, 0x22)),
		"another control type":    packet(ping, set(1, 0xfe)),
		"another flag":            packet(ping, set(3, 0x01)),
		"without the group flag":  packet(ping, set(2, 0)),
		"another experiment":      packet(ping, set(offsetExperiment, 0)),
		"another version":         packet(ping, set(offsetVersion, 2)),
		"flags in version 1":      packet(ping, set(offsetFlags, 1)),
		"version 2 of a PING":     packet(ping, func(b []byte) { b[offsetVersion], b[offsetFlags] = 2, 1 }),
		"version 2, no flags":     packet(Message{Tunnel: 5, Type: Pong, KeyID: 1, Sequence: 9}, set(offsetVersion, 2)),
		"version 3":               packet(Message{Tunnel: 5, Type: Pong, KeyID: 1, Sequence: 9, Flags: 1}, set(offsetVersion, 3)),
		"flagged CHALLENGE":       packet(Message{Tunnel: 5, Type: Challenge, KeyID: 1, Sequence: 9, Nonce: Nonce{1}, Flags: 1}, nil),
		"type 0":                  packet(ping, set(offsetType, 0)),
		"type 5":                  packet(ping, set(offsetType, 5)),
		"tunnel 0":                packet(Message{Type: Ping, KeyID: 1, Sequence: 9}, nil),
		"tunnel too large":        packet(Message{Tunnel: 1 << 31, Type: Ping, KeyID: 1, Sequence: 9}, nil),
		"key 0":                   packet(Message{Tunnel: 5, Type: Ping, Sequence: 9}, nil),
		"sequence 0":              packet(Message{Tunnel: 5, Type: Ping, KeyID: 1}, nil),
		"challenge without nonce": packet(Message{Tunnel: 5, Type: Challenge, KeyID: 1, Sequence: 9}, nil),
		"challenge with RTT":      packet(Message{Tunnel: 5, Type: Challenge, KeyID: 1, Sequence: 9, RTT: 1000, Nonce: Nonce{1}}, nil),
		"SOLICIT with nonce":      packet(Message{Tunnel: 5, Type: Solicit, KeyID: 1, Sequence: 9, Nonce: Nonce{1}}, nil),
		"SOLICIT with RTT":        packet(Message{Tunnel: 5, Type: Solicit, KeyID: 1, Sequence: 9, RTT: time.Second}, nil),
		"flagged SOLICIT":         packet(Message{Tunnel: 5, Type: Solicit, KeyID: 1, Sequence: 9, Flags: 1}, nil),
		"pong with nonce":         packet(Message{Tunnel: 5, Type: Pong, KeyID: 1, Sequence: 9, Nonce: Nonce{1}}, nil),
		"pong with RTT":           packet(Message{Tunnel: 5, Type: Pong, KeyID: 1, Sequence: 9, RTT: time.Second}, nil),
	} {
		t.Run(name, func(t *testing.T) {
			var m Message
			if err := m.Decode(b); !errors.Is(err, ErrMalformed) {
				t.Errorf("error %v, want %v", err, ErrMalformed)
			}
		})
	}
}

// A change of any bit is noticed, by Decode or by the MAC.
func TestEveryBitCounts(t *testing.T) {
	key := testKey(1)
	m := Message{Tunnel: 5, Type: Ping, KeyID: 1, Sequence: 9, RTT: time.Millisecond, Nonce: Nonce{1}}
	var packet [PacketSize]byte
	m.Encode(&packet, &key.Bytes)
	for bit := range PacketSize * 8 {
		changed := packet
		changed[bit/8] ^= 1 << (bit % 8)
		if err := new(Message).Decode(changed[:]); err == nil && Authentic(changed[:], &key.Bytes) {
			t.Errorf("bit %d of byte %d changed, and the packet is still good", bit%8, bit/8)
		}
	}
	if !Authentic(packet[:], &key.Bytes) {
		t.Error("the packet itself is not good")
	}
	if other := testKey(2); Authentic(packet[:], &other.Bytes) {
		t.Error("it is good with another key")
	}
}

func TestNoGarbage(t *testing.T) {
	key := testKey(1)
	m := Message{Tunnel: 5, Type: Ping, KeyID: 1, Sequence: 9}
	var packet [PacketSize]byte
	if n := testing.AllocsPerRun(100, func() {
		m.Encode(&packet, &key.Bytes)
		if m.Decode(packet[:]) != nil || !Authentic(packet[:], &key.Bytes) {
			t.Fatal("not readable")
		}
	}); n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}

func FuzzDecode(f *testing.F) {
	key := testKey(1)
	for _, m := range []Message{
		{Tunnel: 1, Type: Ping, KeyID: 1, Sequence: 1},
		{Tunnel: MaxTunnelID, Type: Challenge, KeyID: 255, Sequence: 1 << 63, Nonce: Nonce{1}},
		{Tunnel: 3, Type: Pong, KeyID: 1, Sequence: 1},
		{Tunnel: 3, Type: Pong, KeyID: 1, Sequence: 1, Flags: 7},
		{Tunnel: 3, Type: Ping, KeyID: 1, Sequence: 1, Flags: 1},
		{Tunnel: 3, Type: Solicit, KeyID: 1, Sequence: 1},
	} {
		var p [PacketSize]byte
		m.Encode(&p, &key.Bytes)
		f.Add(p[:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Message
		if m.Decode(b) != nil {
			return
		}
		// Each packet has one encoding.
		var p [PacketSize]byte
		m.Encode(&p, &key.Bytes)
		if !bytes.Equal(p[:offsetMAC], b[:offsetMAC]) {
			t.Errorf("%x reads as %+v, which is written %x", b, m, p)
		}
		if Authentic(b, &key.Bytes) != bytes.Equal(p[offsetMAC:], b[offsetMAC:]) {
			t.Errorf("%x: Authentic is wrong", b)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	key := testKey(1)
	m := Message{Tunnel: 5, Type: Ping, KeyID: 1, Sequence: 9}
	var packet [PacketSize]byte
	b.ReportAllocs()
	for b.Loop() {
		m.Encode(&packet, &key.Bytes)
	}
}
