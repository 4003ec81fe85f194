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
	// at is when tokens were counted, in nanoseconds since the start; 0 is full.
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
	// sourceRate is the packets a second that one source may send: some thousands
	// of nodes behind one NAT, at a PING each ten seconds, with room for retries.
	sourceRate, sourceBurst = 1000, 2000
)

// limiter limits what sources send that are not the verified remote of the tunnel
// that they name: who floods from a NAT's address does not silence the tunnels that
// are open behind it. It works in memory that does not grow with the
// sources. A
// source is an IPv4 address or an IPv6 /64, because a host commands a whole /64.
// Sources that fall into one bucket share its rate.
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
