// SPDX-License-Identifier: Apache-2.0

package idset

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSet(t *testing.T) {
	for _, test := range []struct {
		ids  []uint32
		text string
		n    int
	}{
		{nil, "", 0},
		{[]uint32{7}, "7", 1},
		{[]uint32{0, MaxID + 1}, "", 0},
		{[]uint32{3, 1, 2, 2, 9, 8, 5}, "1-3,5,8-9", 6},
		{[]uint32{MaxID - 1, MaxID}, "2147483646-2147483647", 2},
	} {
		s := Of(test.ids...)
		if s.String() != test.text || s.Len() != test.n || s.Empty() != (test.n == 0) {
			t.Errorf("%v: %s has %d IDs, want %s with %d", test.ids, s, s.Len(), test.text, test.n)
		}
		back, err := Decode(s.Encode())
		if err != nil || !back.Equal(s) {
			t.Errorf("%s came back as %s, %v", s, back, err)
		}
	}
	var scattered []uint32
	for id := uint32(1); id < 100; id += 2 {
		scattered = append(scattered, id)
	}
	if got := Of(scattered...).String(); len(got) > 100 {
		t.Errorf("a long set is shown as %s", got)
	}
	// A reader may stop.
	for first := range Of(scattered...).Ranges() {
		if first > 1 {
			t.Fatal("the loop went on")
		}
		break
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"the ID 0":            {0, 0},
		"half a range":        {1},
		"half a varint":       {1, 0x80},
		"adjacent ranges":     {1, 0, 1, 0},
		"no distance":         {1, 0, 0, 0},
		"a long form":         {0x81, 0x00, 0},
		"an ID too high":      {0xff, 0xff, 0xff, 0xff, 0x0f, 0},
		"a range too long":    {1, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"a number of 11 byte": {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0},
		"the largest number":  {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
	} {
		if s, err := Decode(b); !errors.Is(err, ErrEncoding) {
			t.Errorf("%s: %s, %v", name, s, err)
		}
	}
}

// Every operation is that of a set, and no set costs more than its ranges.
func TestOperations(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func() (Set, map[uint32]bool) {
		of := map[uint32]bool{}
		for range r.IntN(40) {
			of[1+r.Uint32N(60)] = true
		}
		return Of(slices.Collect(maps.Keys(of))...), of
	}
	for range 2000 {
		a, inA := random()
		b, inB := random()
		union, minus, differ := a.Union(b), a.Minus(b), a.Differ(b)
		overlaps := false
		for id := range uint32(63) {
			overlaps = overlaps || inA[id] && inB[id]
			if a.Has(id) != inA[id] || union.Has(id) != (inA[id] || inB[id]) || minus.Has(id) != (inA[id] && !inB[id]) || differ.Has(id) != (inA[id] != inB[id]) {
				t.Fatalf("%d: %s and %s: union %s, minus %s, differ %s", id, a, b, union, minus, differ)
			}
		}
		if a.Overlaps(b) != overlaps {
			t.Fatalf("%s and %s overlap: %v", a, b, !overlaps)
		}
		for _, s := range []Set{a, union, minus, differ} {
			if back, err := Decode(s.Encode()); err != nil || !back.Equal(s) {
				t.Fatalf("%s came back as %s, %v", s, back, err)
			}
		}
	}
	all, err := Decode([]byte{1, 0xfe, 0xff, 0xff, 0xff, 0x07})
	if err != nil || all.Len() != int(MaxID) || !all.Has(MaxID) || all.Minus(Of(5)).Len() != int(MaxID)-1 || !all.Minus(all).Empty() {
		t.Errorf("all IDs: %s, %v", all, err)
	}
}

// A hundred thousand tunnels of a node whose IDs do not follow each other fit into
// an object.
func TestSize(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	ids := make([]uint32, 100_000)
	for i := range ids {
		ids[i] = 1 + r.Uint32N(MaxID)
	}
	all := Of(ids...)
	if n := len(all.Encode()); n > 420_000 {
		t.Errorf("%d bytes", n)
	}
	// Of what does not fit, the first part does.
	for _, most := range []int{0, 1, 1000, 100_000} {
		part, err := Decode(all.EncodeAtMost(most))
		if err != nil || len(part.Encode()) > most || most > 9 && len(part.Encode()) < most-9 || !part.Minus(all).Empty() {
			t.Errorf("at most %d bytes: %d, %v", most, len(part.Encode()), err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(Of(1, 2, 5, 1000).Encode())
	f.Add([]byte{0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Decode(b)
		if err != nil {
			return
		}
		if string(s.Encode()) != string(b) {
			t.Errorf("%x is encoded as %x", b, s.Encode())
		}
		before := uint32(0)
		for first, last := range s.Ranges() {
			if first <= before || last < first || last > MaxID || !s.Has(first) || !s.Has(last) {
				t.Errorf("%x has the range %d-%d", b, first, last)
			}
			before = last
		}
	})
}
