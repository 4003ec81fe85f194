// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"testing"
)

// An ID that an object brings along counts as assigned: after its release it waits
// a whole turn, however soon the cursor would have come to it.
func TestKeptIDsHaveHadTheirTurn(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	small := Space{name: "tunnel", size: 8, minBlock: 1, maxBlock: 2, turns: true}
	take := func(brought int32) int32 {
		t.Helper()
		p := newPlan(b, false, true)
		id, err := p.KeepOrAssignID(t.Context(), small, brought)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	var got []int32
	for _, brought := range []int32{0, 5, 0, 3, 9, 0} {
		got = append(got, take(brought))
	}
	// 5 is kept, and numbering continues at 6; 3 is kept, being free and passed; 9 is
	// none of the space.
	want := []int32{1, 5, 6, 3, 9, 8}
	want[4] = 7
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("assigned %v, want %v", got, want)
		}
	}
}

// A preview describes what would be kept, and moves nothing.
func TestPreviewOfKeptIDs(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	before := len(dump(t, b))
	p := newPlan(b, true, true)
	for brought, want := range map[int32]int32{0: 0, 7: 7, MaxID: 0} {
		if id, err := p.KeepOrAssignID(t.Context(), GroupIDs, brought); err != nil || id != want {
			t.Errorf("brought %d: %d, %v", brought, id, err)
		}
	}
	if after := len(dump(t, b)); after != before {
		t.Errorf("%d keys after, %d before", after, before)
	}
}
