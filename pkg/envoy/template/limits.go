// SPDX-License-Identifier: Apache-2.0

package template

import (
	"context"
	"fmt"
	"time"
)

// Limits limits the rendering of one proxy's template.
type Limits struct {
	// Time is the time limit.
	Time time.Duration
	// Output is the total number of bytes that all values may produce.
	Output int
	// Steps is the number of loop iterations and template calls.
	Steps int
	// Text is the number of bytes that text functions may produce.
	Text int
	// Depth is the maximum nesting depth of template calls.
	Depth int
}

// DefaultLimits are the limits for proxies.
var DefaultLimits = Limits{Time: 5 * time.Second, Output: 4 << 20, Steps: 2_000_000, Text: 16 << 20, Depth: 100}

const (
	// maxActions is the maximum number of actions and parentheses in one value.
	maxActions = 2000
	// maxRefusals is the maximum number of refusals that are reported.
	maxRefusals = 32
	// maxPrint is the maximum number of bytes that one function call may produce.
	maxPrint = 1 << 20
	// maxWidth is the largest number in a format.
	maxWidth = 1000
)

// budget is the remainder of the limits.
type budget struct {
	ctx    context.Context
	limits Limits
	// used is the usage so far, without Time.
	used Limits
}

func (b *budget) step() (string, error) {
	b.used.Steps++
	switch {
	case b.used.Steps > b.limits.Steps:
		return "", fmt.Errorf("takes more than %d steps: shorten its loops", b.limits.Steps)
	case b.ctx.Err() != nil:
		return "", b.late()
	}
	return "", nil
}

func (b *budget) late() error {
	return fmt.Errorf("takes longer than %v: shorten its loops", b.limits.Time)
}

func (b *budget) enter() (string, error) {
	if b.used.Depth++; b.used.Depth > b.limits.Depth {
		return "", fmt.Errorf("nests templates more than %d levels deep: use a range", b.limits.Depth)
	}
	return b.step()
}

func (b *budget) leave() string {
	b.used.Depth--
	return ""
}

// output counts output bytes.
func (b *budget) output(n int) error {
	if b.used.Output += n; b.used.Output > b.limits.Output {
		return fmt.Errorf("renders more than %d bytes: shorten it", b.limits.Output)
	}
	return nil
}

// text counts bytes that a function produces.
func (b *budget) text(n int) error {
	if n > maxPrint {
		return fmt.Errorf("a function creates a text of up to %d bytes, more than the maximum of %d: shorten it", n, maxPrint)
	}
	if b.used.Text += n; b.used.Text > b.limits.Text {
		return fmt.Errorf("its functions create more than %d bytes of text: shorten its loops", b.limits.Text)
	}
	return nil
}
