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
	// MaxCookies is how many cookies of a tunnel are accepted at a time: one for each
	// key that can be valid.
	MaxCookies = 4

	// cookieDomain separates cookies from whatever else is derived from a tunnel's key.
	cookieDomain = "epic.acnodal.io/tunnel-cookie/v1"
	// cookieGrace is how long packets without a cookie are still accepted after the far
	// end has said that it sends none: some may have been on the way.
	cookieGrace = 3 * time.Second
)

// Direction is a direction through a tunnel. Each has a cookie of its own, so nobody can
// send an end's own cookie back to it.
type Direction byte

// The directions.
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
// output of HKDF, so the extract step is left out.
func (k *Key) Cookie(d Direction) [CookieSize]byte {
	out, err := hkdf.Expand(sha256.New, k.Bytes[:], cookieDomain+"\x00"+string([]byte{byte(d)}), CookieSize)
	if err != nil {
		// The length is far below HKDF's limit, and there is no other reason to fail.
		panic(err)
	}
	return [CookieSize]byte(out)
}

// CookiePolicy is what an end does about cookies.
type CookiePolicy uint8

// The policies.
const (
	// CookiesAuto uses cookies in a tunnel as soon as both ends can, and then refuses
	// packets without.
	CookiesAuto CookiePolicy = iota
	// CookiesRequired refuses packets without a cookie from the beginning.
	CookiesRequired
	// CookiesOff speaks version 1 of the control protocol, like programs that know no
	// cookies. Packets with a valid cookie are accepted all the same, so no packet is
	// lost when an end starts with another policy.
	CookiesOff
)

// Cookies is how an end marks the data packets of a tunnel, and checks those that come.
type Cookies struct {
	// Accept are the valid cookies of packets that come in. Places that are not needed
	// repeat the first one.
	Accept [MaxCookies][CookieSize]byte
	// Send is the cookie of packets that go out, if Sent is true.
	Send [CookieSize]byte
	// Sent indicates that packets that go out have a cookie.
	Sent bool
	// Required indicates that packets without a cookie are refused.
	Required bool
}

// CookieUse is what of a tunnel's cookies has to survive a restart.
type CookieUse struct {
	// Sent and Required are those of Cookies.
	Sent, Required bool
}

// negotiation is what one end of a tunnel knows about the cookies of the far end. It only
// changes by messages that are authentic and certainly new, and it follows the last one:
// a far end that was rolled back to a version without cookies says so by leaving them out
// of a message that nobody else can make.
type negotiation struct {
	// said are the flags of the far end's last message.
	said Flags
	// settled indicates that the grace has passed.
	settled bool
	// since is when the far end said first, without a break, that it sends cookies, in
	// nanoseconds of its end's clock.
	since int64
	// proven is the key of the far end's last message. Packets go out with its cookie.
	// It is accepted even if it is no longer valid, until the far end uses another one:
	// a node program that was away while keys were replaced can still carry packets.
	proven *Key
}

// resume returns the negotiation of a tunnel of which this is known from before a restart.
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

// heard returns the negotiation after a message with flags that was made with a key.
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

// use reports which cookies an end of a policy uses. One that is to use none any more keeps
// sending them until the far end has heard so and no longer refuses packets without.
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

// cookies derives the cookies of an end that sends in one direction. The keys are those
// that are valid, of which there is at least one.
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
			// The one that packets have now is compared first.
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

// retired reports whether the far end's last message was made with a key that is no longer
// valid.
func (n *negotiation) retired(keys []Key) bool {
	return n.proven != nil && !slices.Contains(keys, *n.proven)
}

// sendKey is the key of the cookie that goes out: one that the far end certainly has.
func (n *negotiation) sendKey(keys []Key) *Key {
	if n.proven != nil {
		return n.proven
	}
	return &keys[0]
}

// flags are what an end of a policy says about itself. Version 1 has none.
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

// complete reports whether both ends refuse packets without cookies, or there is nothing to
// wait for.
func (n *negotiation) complete(p CookiePolicy) bool {
	return p == CookiesOff || n.said&AcceptsCookies == 0 || n.said&RequiresCookies != 0 && n.use(p).Required
}
