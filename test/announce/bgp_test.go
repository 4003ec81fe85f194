// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"testing"
)

// Two nodes announce the same addresses, and visitors are spread over both. A node whose
// proxy ends is left alone.
func TestBIRD(t *testing.T) {
	l := newLab(t, 2)
	l.bird(birdOptions{})
	for _, n := range l.nodes {
		n.start()
	}
	l.routed(1, 2)
	for _, n := range l.nodes {
		n.up()
	}
	l.nodes[0].setReady(false)
	l.routed(2)
	l.nodes[0].setReady(true)
	l.routed(1, 2)
}
