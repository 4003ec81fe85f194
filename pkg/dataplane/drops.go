// SPDX-License-Identifier: Apache-2.0

package dataplane

// DropReason says why a packet was dropped. Its text is the label of the metric
// and the word in "epic-node status".
type DropReason string

// TraceEvent is one packet of a traced tunnel.
type TraceEvent struct {
	// Tunnel is its ID.
	Tunnel uint32
	// Text is one line that says what came, what was decided, and why.
	Text string
}
