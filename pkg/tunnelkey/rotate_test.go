// SPDX-License-Identifier: Apache-2.0

package tunnelkey

import (
	"slices"
	"testing"
)

// A rotation goes from one key to the next, and two of its states that follow each other always
// share the key that the ends send with: an end that has the one state understands an end that
// has the other.
func TestRotate(t *testing.T) {
	m, err := Parse(Generate())
	if err != nil {
		t.Fatal(err)
	}
	wrapped := false
	for i := range 3 * 300 {
		before, err := m.Rotation()
		if err != nil {
			t.Fatal(err)
		}
		next, err := m.Rotate()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Parse(next.Text()); err != nil || !again.Equal(next) {
			t.Fatalf("The text of %v is not understood: %v, %v", next, again, err)
		}
		if now, err := next.Rotation(); err != nil || now != (before+1)%3 {
			t.Fatalf("After %v comes %v, %v", before, now, err)
		}
		if !slices.Contains(next.IDs(), m.IDs()[0]) || !slices.Contains(m.IDs(), next.IDs()[0]) {
			t.Fatalf("Step %d from %v to %v: one end sends with a key that the other does not know", i, m, next)
		}
		wrapped = wrapped || next.IDs()[0] < m.IDs()[0]
		m = next
	}
	if !wrapped {
		t.Error("The IDs did not begin again")
	}
	three := &Masters{keys: []master{newMaster(1), newMaster(2), newMaster(3)}}
	if _, err := three.Rotate(); err == nil {
		t.Error("Three keys were rotated")
	}
}
