// SPDX-License-Identifier: Apache-2.0

// Package pulse schedules the passes of a reconciliation loop. It does no work of its
// own.
package pulse

import (
	"context"
	"time"
)

// Cause is the cause of a pass.
type Cause int

// Values of Cause.
const (
	// Ended means that the context has ended: there are no more passes.
	Ended Cause = iota
	// Tick means that the regular interval has passed.
	Tick
	// Kick means that something changed.
	Kick
)

// Next waits for the next pass. A kick waits for settle, so changes in quick succession
// share one pass.
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
