// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"
)

func TestPacket(t *testing.T) {
	p := Packet{Diagnostic: NeighborDown, State: Up, Poll: true, Multiplier: 3, Mine: 0x01020304, Yours: 0xfffffffe, Transmit: 100 * time.Millisecond, Receive: 50 * time.Millisecond}
	b := p.Append(nil)
	const want = "23e0031801020304fffffffe000186a00000c35000000000"
	if hex.EncodeToString(b) != want {
		t.Errorf("%x, want %s", b, want)
	}
	if again, err := Parse(b); err != nil || again != p {
		t.Errorf("%+v, %v", again, err)
	}
	// RFC 5880 section 6.8.6 defines which to discard.
	for name, test := range map[string]struct {
		change func([]byte)
		want   string
	}{
		"version":             {func(b []byte) { b[0] = 0x40 }, "version 2"},
		"authentication":      {func(b []byte) { b[1] |= 4 }, "authenticated"},
		"multipoint":          {func(b []byte) { b[1] |= 1 }, "multipoint"},
		"multiplier":          {func(b []byte) { b[2] = 0 }, "multiplier"},
		"a short length":      {func(b []byte) { b[3] = 23 }, "length"},
		"a long length":       {func(b []byte) { b[3] = 25 }, "length"},
		"no sender":           {func(b []byte) { copy(b[4:8], make([]byte, 4)) }, "discriminator"},
		"no receiver when up": {func(b []byte) { copy(b[8:12], make([]byte, 4)) }, "state Up"},
	} {
		b := p.Append(nil)
		test.change(b)
		if _, err := Parse(b); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := range packetSize {
		if _, err := Parse(b[:n]); err == nil {
			t.Errorf("%d bytes were read", n)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Packet{State: Down, Multiplier: 3, Mine: 1}.Append(nil))
	f.Add(Packet{State: Up, Multiplier: 255, Mine: 1, Yours: 2, Transmit: time.Minute, Receive: time.Hour}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		if again, err := Parse(p.Append(nil)); err != nil || again != p {
			t.Errorf("%+v became %+v, %v", p, again, err)
		}
		// No packet makes a session panic, or wait forever.
		now := time.Unix(0, 0)
		s := NewSession(Config{Transmit: time.Second, Receive: time.Second, Multiplier: 3}, 2, func() float64 { return 1 }, now)
		for range 3 {
			s.Receive(p, now)
			s.Tick(now)
			if s.Next().Before(now) {
				t.Errorf("next is before now after %+v", p)
			}
			if wait := s.Next().Sub(now); wait > time.Duration(1<<32)*time.Microsecond {
				t.Errorf("a wait of %s after %+v", wait, p)
			}
		}
	})
}
