// SPDX-License-Identifier: Apache-2.0

package gue

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// bucket is a token bucket that starts full.
type bucket struct {
	tokens float32
	// at is when tokens were counted, in nanoseconds since the start; 0 means full.
	at int64
}

func (b *bucket) take(at int64, rate, burst float32) bool {
	if b.at == 0 {
		b.tokens = burst
	} else if at > b.at {
		b.tokens = min(burst, b.tokens+rate*float32(at-b.at)/float32(time.Second))
	}
	b.at = max(at, 1)
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

const (
	limiterBuckets = 8192
	// sourceRate is the number of packets per second that one source may send: enough for
	// some thousands of nodes behind one NAT, at a PING each ten seconds, with room for
	// retries.
	sourceRate, sourceBurst = 1000, 2000
)

// limiter limits packets from addresses other than the verified remote of the tunnel that
// they name: a flood from a NAT's address does not affect the tunnels that are open
// behind it. Its memory does not grow with the number of sources. A source is an IPv4
// address or an IPv6 /64, because a host controls a whole /64. Sources that share a
// bucket share its rate.
type limiter struct {
	seed    maphash.Seed
	buckets [limiterBuckets]bucket
}

func newLimiter() *limiter { return &limiter{seed: maphash.MakeSeed()} }

func (l *limiter) allow(source netip.Addr, at int64) bool {
	key := source.As16()
	n := len(key)
	if source.Is6() {
		n = 8
	}
	i := maphash.Bytes(l.seed, key[:n]) % limiterBuckets
	return l.buckets[i].take(at, sourceRate, sourceBurst)
}
