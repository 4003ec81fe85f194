// SPDX-License-Identifier: Apache-2.0

package gue

import "sync/atomic"

// Result is the result of a received control packet.
type Result uint8

// Values of Result. Only OK has an effect or an answer.
const (
	// OK is a message that was authentic, new, and handled.
	OK Result = iota
	// Malformed is not a control packet of this version.
	Malformed
	// UnknownTunnel is for a tunnel that does not end here.
	UnknownTunnel
	// UnknownKey is authenticated by a key that is not valid for its tunnel, or not known
	// here yet.
	UnknownKey
	// BadMAC is not authentic.
	BadMAC
	// Replay is authentic, but not newer than earlier messages, or answers a message that
	// was not sent.
	Replay
	// Unexpected has a type that this end does not handle.
	Unexpected
	// WrongAddress was sent to an address other than the tunnel's end here or, on the
	// client node, from an address other than its far end.
	WrongAddress
	// Limited is from a source that sends too much.
	Limited
	// Failed is authentic and new, but the data plane did not accept the new remote.
	Failed

	results
)

var resultNames = [results]string{
	"ok", "malformed", "unknown-tunnel", "unknown-key", "bad-mac", "replay", "unexpected", "wrong-address", "limited", "failed",
}

// String returns the label of the metric.
func (r Result) String() string {
	if r < results {
		return resultNames[r]
	}
	return "unknown"
}

// Results returns all results.
func Results() []Result {
	all := make([]Result, results)
	for i := range all {
		all[i] = Result(i)
	}
	return all
}

// Counts counts results.
type Counts struct{ n [results]atomic.Uint64 }

// Of returns the number of packets with a result.
func (c *Counts) Of(r Result) uint64 { return c.n[r].Load() }

func (c *Counts) add(r Result) Result {
	c.n[r].Add(1)
	return r
}
