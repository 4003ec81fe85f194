// SPDX-License-Identifier: Apache-2.0

// Package pulse reports when a loop that keeps something equal to what is wanted has
// its next turn. It does no work of its own.
package pulse

import (
	"context"
	"time"
)

// Cause is why a turn comes.
type Cause int

// The causes.
const (
	// Ended means that the context has ended: there are no more turns.
	Ended Cause = iota
	// Tick means that it is time to look again.
	Tick
	// Kick means that something changed.
	Kick
)

// Next waits for the next turn. A kick waits for settle, so changes that come
// together are one turn.
func Next(ctx context.Context, tick <-chan time.Time, kick <-chan struct{}, settle time.Duration) Cause {
	select {
	case <-ctx.Done():
		return Ended
	case <-tick:
		return Tick
	case <-kick:
	}
	select {
	case <-ctx.Done():
		return Ended
	case <-time.After(settle):
		return Kick
	}
}
