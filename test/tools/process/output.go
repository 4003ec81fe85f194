// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"sync"
)

// Output has what programs have written to it so far.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer, for several writers at once.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *Output) String() string { return o.Last(-1) }

// Last returns the last n bytes, or all if n is negative.
func (o *Output) Last(n int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.b.Bytes()
	if n >= 0 {
		all = all[max(0, len(all)-n):]
	}
	return string(all)
}
