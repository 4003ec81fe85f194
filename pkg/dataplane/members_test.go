// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Scopes hold what was added and not dropped, each service once and in the order in which it came.
func TestScopes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s, want := newScopes(), map[scope][]member{}
	for range 5000 {
		in := scope{of: random.Uint32N(5)}
		m := member{other: random.Uint32N(2), port: uint16(random.IntN(3)), protocol: uint8(6)}
		switch at := slices.Index(want[in], m); {
		case at < 0 && random.IntN(2) == 0:
			s.add(in, m)
			want[in] = append(want[in], m)
		case at < 0 || random.IntN(2) == 0:
			s.drop(in, m)
			want[in] = slices.DeleteFunc(want[in], func(one member) bool { return one == m })
		}
		if got := slices.Collect(s.each(in)); !slices.Equal(got, want[in]) || s.empty(in) != (len(want[in]) == 0) {
			t.Fatalf("in %v there are %v, want %v", in, got, want[in])
		}
	}
	count, entries := 0, 0
	for range s.all {
		count++
	}
	for _, all := range want {
		ports := map[uint16]bool{}
		for _, m := range all {
			ports[m.port] = true
			count--
		}
		if len(all) > 0 {
			entries += 1 + len(ports)
		}
	}
	if count != 0 || s.entries != entries {
		t.Errorf("%d services too many, and %d entries, want %d", count, s.entries, entries)
	}
}
