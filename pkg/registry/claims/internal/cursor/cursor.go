// SPDX-License-Identifier: Apache-2.0

// Package cursor allocates the numbers of ranges in order, and wraps around at the end of
// a range.
//
// Each range has a cursor, which several servers share: the first position that nobody has
// reserved yet, counted through all wraps. A server reserves a block of positions by
// advancing the cursor past it, and allocates them in order from memory. If a server loses
// its memory, only the numbers of its block are skipped until the cursor wraps around.
//
// The package knows neither where cursors are stored nor what numbers are used for: Source
// hides both. Whether a number is actually free is decided elsewhere, by the write that
// takes it.
package cursor

import (
	"context"
	"time"
)

// Range describes a range of numbers.
type Range struct {
	// Name identifies the range.
	Name string
	// Size is the number of positions in one turn.
	Size uint64
	// MinBlock and MaxBlock are the sizes of the first and of the largest block that a
	// server reserves.
	MinBlock, MaxBlock uint64
	// Turns indicates that a number may be allocated again only after all others have had
	// their turn, even if a server held its block for a whole round.
	Turns bool
}

// Ranged is implemented by types from which numbers are allocated.
type Ranged interface {
	Range() Range
}

// Span is a half-open range of positions.
type Span struct{ From, To uint64 }

// Mark is the known state of a cursor.
type Mark struct {
	// End is the first position that is not reserved yet.
	End uint64
	// Created distinguishes the cursor from one that was deleted and created again. Mod
	// is the revision of its last change. Both are 0 if there is no cursor.
	Created, Mod int64
}

// Moved is the result of moving a cursor.
type Moved struct {
	// Done is false if the cursor was not at the expected position.
	Done bool
	// Mark is the current position of the cursor.
	Mark
	// Free holds the reserved positions whose numbers are available, in order.
	Free []Span
	// Later is when the first of the reserved but unavailable numbers becomes available,
	// or the zero time if there is none.
	Later time.Time
}

// Source stores cursors and knows which numbers are in use.
type Source[R Ranged] interface {
	// First returns the initial position of a cursor that does not exist yet.
	First(r R) uint64
	// Move moves a cursor from its known position to position to, or slightly further.
	Move(ctx context.Context, r R, known Mark, to uint64) (Moved, error)
	// Return moves the named cursor back to a position if mod is still its revision.
	Return(ctx context.Context, name string, mod int64, to uint64) error
}

// ExhaustedError reports that no number is left.
type ExhaustedError struct {
	// Until is when one becomes available again, or the zero time if that is unknown.
	Until time.Time
}

func (*ExhaustedError) Error() string { return "no number is left" }
