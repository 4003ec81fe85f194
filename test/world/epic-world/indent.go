// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"strings"
)

// indent writes lines with two spaces before each.
type indent struct {
	to io.Writer
	// within indicates that the last write ended within a line.
	within bool
}

func (w *indent) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		if !w.within {
			line = "  " + line
		}
		w.within = !strings.HasSuffix(line, "\n")
		if _, err := io.WriteString(w.to, line); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
