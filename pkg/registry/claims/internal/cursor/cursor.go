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
	// Name tells ranges apart.
	Name string
	// Size is how many numbers there are.
	Size uint64
	// MinBlock and MaxBlock are the sizes of the first block that a server reserves and
	// of the largest.
	MinBlock, MaxBlock uint64
	// Turns indicates that a number may come again only when all others have had their
	// turn, even if a server slept on its block for a whole round.
	Turns bool
}

// Ranged is what numbers are taken from.
type Ranged interface {
	Range() Range
}

// Span is a half-open range of positions.
type Span struct{ From, To uint64 }

// Mark is what is known of a cursor.
type Mark struct {
	// End is the position that nobody has reserved yet.
	End uint64
	// Created tells the cursor from one that was deleted and made again. Mod is the
	// revision of its last change. Both are 0 if there is no cursor.
	Created, Mod int64
}

// Moved is what came of moving a cursor.
type Moved struct {
	// Done is false if the cursor was not where it was thought to be.
	Done bool
	// Mark is where the cursor is now.
	Mark
	// Free are the reserved positions whose numbers can be taken, in order.
	Free []Span
	// Later is when the first of the reserved numbers can be taken that can't be taken
	// yet; zero if there is none.
	Later time.Time
}

// Source has cursors, and knows which numbers are in use.
type Source[R Ranged] interface {
	// First returns where a cursor begins that does not exist yet.
	First(r R) uint64
	// Move moves a cursor from where it is known to be to a position, or a bit further.
	Move(ctx context.Context, r R, known Mark, to uint64) (Moved, error)
	// Return moves the cursor of a name back to a position, if Mod is still its
	// revision.
	Return(ctx context.Context, name string, mod int64, to uint64) error
}

// ExhaustedError reports that no number is left.
type ExhaustedError struct {
	// Until is when one can be taken again; zero if nobody knows.
	Until time.Time
}

func (*ExhaustedError) Error() string { return "no number is left" }
