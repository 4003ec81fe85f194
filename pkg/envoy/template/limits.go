// SPDX-License-Identifier: Apache-2.0

package template

import (
	"context"
	"fmt"
	"time"
)

// Limits bound the rendering of one proxy's template.
type Limits struct {
	// Time is how long all of it may take.
	Time time.Duration
	// Output is how many bytes all values may yield together.
	Output int
	// Steps is how many rounds of loops and uses of templates there may be.
	Steps int
	// Text is how many bytes the functions that make text may make.
	Text int
	// Depth is how deep templates may use each other.
	Depth int
}

// DefaultLimits are what proxies get.
var DefaultLimits = Limits{Time: 5 * time.Second, Output: 4 << 20, Steps: 2_000_000, Text: 16 << 20, Depth: 100}

const (
	// maxActions is how many actions and parentheses one value may have.
	maxActions = 2000
	// maxRefusals is how many refusals are reported.
	maxRefusals = 32
	// maxPrint is how many bytes one call of a function may make.
	maxPrint = 1 << 20
	// maxWidth is the largest number in a format.
	maxWidth = 1000
)

// budget is what is left of the limits.
type budget struct {
	ctx    context.Context
	limits Limits
	// used is what was used so far; Time is not counted here.
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

// output counts bytes of the document.
func (b *budget) output(n int) error {
	if b.used.Output += n; b.used.Output > b.limits.Output {
		return fmt.Errorf("renders more than %d bytes: shorten it", b.limits.Output)
	}
	return nil
}

// text counts bytes that a function makes.
func (b *budget) text(n int) error {
	if n > maxPrint {
		return fmt.Errorf("a function creates a text of up to %d bytes, more than the maximum of %d: shorten it", n, maxPrint)
	}
	if b.used.Text += n; b.used.Text > b.limits.Text {
		return fmt.Errorf("its functions create more than %d bytes of text: shorten its loops", b.limits.Text)
	}
	return nil
}
