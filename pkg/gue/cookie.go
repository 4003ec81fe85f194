// SPDX-License-Identifier: Apache-2.0

package gue

import (
	"crypto/hkdf"
	"crypto/sha256"
	"slices"
	"time"
)

const (
	// CookieSize is the size of a data packet's cookie in bytes.
	CookieSize = 8
	// MaxCookies is the maximum number of cookies of a tunnel that are accepted at a
	// time: one for each key that can be valid.
	MaxCookies = 4

	// cookieDomain separates cookies from other values that are derived from a tunnel's
	// key.
	cookieDomain = "epic.acnodal.io/tunnel-cookie/v1"
	// cookieGrace is how long packets without a cookie are still accepted after the far
	// end has announced that it sends none: some may have been in flight.
	cookieGrace = 3 * time.Second
)

// Direction is a direction through a tunnel. Each has its own cookie, so an end's own
// cookie can't be sent back to it.
type Direction byte

// Values of Direction.
const (
	// ToGateway is from the client node to the gateway node.
	ToGateway Direction = 1
	// ToClient is from the gateway node to the client node.
	ToClient Direction = 2
)

// Cookie derives the cookie of a tunnel's data packets in one direction. It is the first
// eight bytes of HKDF-Expand with SHA-256 (RFC 5869) with the tunnel's key as the
// pseudorandom key. The info is the text epic.acnodal.io/tunnel-cookie/v1, a zero byte,
// and the direction in one byte. The key, which belongs to one tunnel, is itself an
// output of HKDF, so the extract step is omitted.
func (k *Key) Cookie(d Direction) [CookieSize]byte {
	out, err := hkdf.Expand(sha256.New, k.Bytes[:], cookieDomain+"\x00"+string([]byte{byte(d)}), CookieSize)
	if err != nil {
		// The length is far below HKDF's limit, and HKDF can't fail for any other reason.
		panic(err)
	}
	return [CookieSize]byte(out)
}

// CookiePolicy defines how an end uses cookies.
type CookiePolicy uint8

// Values of CookiePolicy.
const (
	// CookiesAuto uses cookies in a tunnel as soon as both ends support them, and then
	// rejects packets without.
	CookiesAuto CookiePolicy = iota
	// CookiesRequired rejects packets without a cookie from the beginning.
	CookiesRequired
	// CookiesOff uses version 1 of the control protocol, like programs without support
	// for cookies. Packets with a valid cookie are still accepted, so no packet is lost
	// when an end starts with another policy.
	CookiesOff
)

// Cookies defines how an end marks the data packets of a tunnel, and checks received
// ones.
type Cookies struct {
	// Accept holds the valid cookies of received packets. Unused elements repeat the
	// first one.
	Accept [MaxCookies][CookieSize]byte
	// Send is the cookie of sent packets, if Sent is true.
	Send [CookieSize]byte
	// Sent indicates that sent packets have a cookie.
	Sent bool
	// Required indicates that packets without a cookie are rejected.
	Required bool
}

// CookieUse is the state of a tunnel's cookies that has to survive a restart.
type CookieUse struct {
	// Sent and Required are those of Cookies.
	Sent, Required bool
}

// negotiation is what one end of a tunnel knows about the cookies of the far end. It only
// changes by messages that are authentic and certainly new, and it follows the last one:
// a far end that was rolled back to a version without cookies shows that by omitting them
// from a message that nobody else can create.
type negotiation struct {
	// said is the flags of the far end's last message.
	said Flags
	// settled indicates that the grace period has passed.
	settled bool
	// since is since when the far end has announced without interruption that it sends
	// cookies, in nanoseconds of its end's clock.
	since int64
	// proven is the key of the far end's last message. Packets are sent with its cookie.
	// It is accepted even if it is no longer valid, until the far end uses another one: a
	// node program that was down while keys were replaced can still carry packets.
	proven *Key
}

// resume returns the negotiation of a tunnel with the state from before a restart.
func resume(use CookieUse) negotiation {
	var n negotiation
	if use.Sent {
		n.said |= AcceptsCookies | RequiresCookies
	}
	if use.Sent && use.Required {
		n.said |= SendsCookies
		n.settled = true
	}
	return n
}

// heard returns the negotiation after a message with flags that was authenticated by a
// key.
func (n negotiation) heard(flags Flags, key *Key, now int64) negotiation {
	switch {
	case flags&SendsCookies == 0:
		n.settled = false
	case n.said&SendsCookies == 0:
		n.since, n.settled = now, false
	case now-n.since >= int64(cookieGrace):
		n.settled = true
	}
	n.said, n.proven = flags, key
	return n
}

// use returns which cookies an end with a policy uses. An end that should stop using them
// keeps sending them until the far end has been informed and no longer rejects packets
// without.
func (n *negotiation) use(p CookiePolicy) CookieUse {
	sent := n.said & AcceptsCookies
	if p == CookiesOff {
		sent = n.said & RequiresCookies
	}
	return CookieUse{
		Sent:     sent != 0,
		Required: p == CookiesRequired || p == CookiesAuto && n.settled && n.said&SendsCookies != 0,
	}
}

// cookies derives the cookies of an end that sends in one direction. keys are the valid
// keys, of which there is at least one.
func (n *negotiation) cookies(p CookiePolicy, keys []Key, send Direction) Cookies {
	use := n.use(p)
	c := Cookies{Sent: use.Sent, Required: use.Required}
	if c.Sent {
		c.Send = n.sendKey(keys).Cookie(send)
	}
	receive := ToGateway ^ ToClient ^ send
	accept := make([]*Key, 0, MaxCookies+1)
	for i := range keys {
		accept = append(accept, &keys[i])
		if n.proven != nil && *n.proven == keys[i] {
			// Compare the cookie that packets currently have first.
			last := len(accept) - 1
			accept[0], accept[last] = accept[last], accept[0]
		}
	}
	if n.retired(keys) {
		accept = append(accept, n.proven)
	}
	for i := range c.Accept {
		if i < len(accept) {
			c.Accept[i] = accept[i].Cookie(receive)
		} else {
			c.Accept[i] = c.Accept[0]
		}
	}
	return c
}

// retired reports whether the far end's last message was authenticated by a key that is
// no longer valid.
func (n *negotiation) retired(keys []Key) bool {
	return n.proven != nil && !slices.Contains(keys, *n.proven)
}

// sendKey returns the key of the cookie to send: one that the far end certainly has.
func (n *negotiation) sendKey(keys []Key) *Key {
	if n.proven != nil {
		return n.proven
	}
	return &keys[0]
}

// flags returns the flags that an end with a policy announces. Version 1 has none.
func (n *negotiation) flags(p CookiePolicy) Flags {
	if p == CookiesOff {
		return 0
	}
	f := AcceptsCookies
	use := n.use(p)
	if use.Sent {
		f |= SendsCookies
	}
	if use.Required {
		f |= RequiresCookies
	}
	return f
}

// complete reports whether both ends reject packets without cookies, or no further change
// is expected.
func (n *negotiation) complete(p CookiePolicy) bool {
	return p == CookiesOff || n.said&AcceptsCookies == 0 || n.said&RequiresCookies != 0 && n.use(p).Required
}
