// SPDX-License-Identifier: Apache-2.0

// Package idset implements compact sets of tunnel IDs, which are often consecutive:
// sorted ranges in memory, and two varints per range on the wire. The cost of every
// operation depends on the number of ranges and never on the number of IDs, so a received
// set may contain every possible ID.
package idset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sort"
	"strings"
)

// MaxID is the maximum ID in a set.
const MaxID uint32 = math.MaxInt32

// ErrEncoding is the error for bytes that are not an encoded set.
var ErrEncoding = errors.New("not a set of tunnel IDs: it must be pairs of varints, each the distance to the first ID of a range and the number of IDs in the range less 1, in ascending order without adjacent ranges")

// Set is a set of IDs from 1 to MaxID. The zero value is empty. A Set is immutable
// and may be shared.
type Set struct {
	// ranges are sorted, do not overlap and are not adjacent.
	ranges []idRange
}

type idRange struct{ first, last uint32 }

// Of returns the set of some IDs, in any order. It omits IDs that a set can't contain.
func Of(ids ...uint32) Set {
	if !slices.IsSorted(ids) {
		ids = slices.Clone(ids)
		slices.Sort(ids)
	}
	var s Set
	for _, id := range ids {
		if id == 0 || id > MaxID {
			continue
		}
		s.push(idRange{id, id})
	}
	s.ranges = slices.Clip(s.ranges)
	return s
}

// push adds a range that begins no earlier than the last one.
func (s *Set) push(r idRange) {
	if n := len(s.ranges); n > 0 && r.first <= s.ranges[n-1].last+1 {
		s.ranges[n-1].last = max(s.ranges[n-1].last, r.last)
		return
	}
	s.ranges = append(s.ranges, r)
}

// Encode returns the encoding of the set, which is empty for the empty set.
func (s Set) Encode() []byte { return s.EncodeAtMost(math.MaxInt) }

// EncodeAtMost is like Encode for the first ranges of the set that fit into a number of
// bytes.
func (s Set) EncodeAtMost(most int) []byte {
	var out []byte
	var before uint32
	for _, r := range s.ranges {
		longer := binary.AppendUvarint(out, uint64(r.first-before))
		longer = binary.AppendUvarint(longer, uint64(r.last-r.first))
		if len(longer) > most {
			break
		}
		out, before = longer, r.last
	}
	return out
}

// Decode decodes the result of Encode, and nothing else: a set has one encoding.
func Decode(b []byte) (Set, error) {
	var s Set
	var before uint64
	for len(b) > 0 {
		gap, rest, ok := uvarint(b)
		if !ok {
			return Set{}, ErrEncoding
		}
		more, rest, ok := uvarint(rest)
		// A gap of 1 continues the previous range, except at the beginning.
		if !ok || gap == 0 || gap == 1 && len(s.ranges) > 0 {
			return Set{}, ErrEncoding
		}
		first := before + gap
		last := first + more
		if gap > uint64(MaxID) || more > uint64(MaxID) || last > uint64(MaxID) {
			return Set{}, fmt.Errorf("%w: an ID is higher than %d", ErrEncoding, MaxID)
		}
		s.ranges = append(s.ranges, idRange{uint32(first), uint32(last)})
		before, b = last, rest
	}
	s.ranges = slices.Clip(s.ranges)
	return s, nil
}

// uvarint reads a varint in its shortest form.
func uvarint(b []byte) (uint64, []byte, bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

// Has reports whether an ID is in the set.
func (s Set) Has(id uint32) bool {
	i := sort.Search(len(s.ranges), func(i int) bool { return s.ranges[i].last >= id })
	return i < len(s.ranges) && s.ranges[i].first <= id
}

// Len returns the number of IDs.
func (s Set) Len() int {
	n := 0
	for _, r := range s.ranges {
		n += int(r.last-r.first) + 1
	}
	return n
}

// Empty reports whether the set is empty.
func (s Set) Empty() bool { return len(s.ranges) == 0 }

// Ranges yields the first and the last ID of each range, in ascending order.
func (s Set) Ranges() iter.Seq2[uint32, uint32] {
	return func(yield func(uint32, uint32) bool) {
		for _, r := range s.ranges {
			if !yield(r.first, r.last) {
				return
			}
		}
	}
}

// Equal reports whether two sets have the same IDs.
func (s Set) Equal(o Set) bool { return slices.Equal(s.ranges, o.ranges) }

// Union returns the IDs that are in either set.
func (s Set) Union(o Set) Set {
	var out Set
	a, b := s.ranges, o.ranges
	for len(a) > 0 || len(b) > 0 {
		if len(b) == 0 || len(a) > 0 && a[0].first <= b[0].first {
			out.push(a[0])
			a = a[1:]
		} else {
			out.push(b[0])
			b = b[1:]
		}
	}
	return out
}

// Minus returns the IDs of s that are not in o.
func (s Set) Minus(o Set) Set {
	var out Set
	b := o.ranges
	for _, r := range s.ranges {
		for len(b) > 0 && b[0].last < r.first {
			b = b[1:]
		}
		for i := 0; i < len(b) && b[i].first <= r.last; i++ {
			if b[i].first > r.first {
				out.push(idRange{r.first, b[i].first - 1})
			}
			r.first = b[i].last + 1
			if r.first > r.last {
				break
			}
		}
		if r.first <= r.last {
			out.push(r)
		}
	}
	return out
}

// Differ returns the IDs that are in exactly one of the two sets.
func (s Set) Differ(o Set) Set { return s.Minus(o).Union(o.Minus(s)) }

// Overlaps reports whether any ID is in both sets.
func (s Set) Overlaps(o Set) bool {
	a, b := s.ranges, o.ranges
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].last < b[0].first:
			a = a[1:]
		case b[0].last < a[0].first:
			b = b[1:]
		default:
			return true
		}
	}
	return false
}

// shown is the number of ranges that String includes.
const shown = 20

// String formats the set as 1-3,7. It only includes the first ranges of a long one.
func (s Set) String() string {
	var parts []string
	for i, r := range s.ranges {
		switch {
		case i == shown:
			return strings.Join(append(parts, fmt.Sprintf("… (%d ranges)", len(s.ranges))), ",")
		case r.first == r.last:
			parts = append(parts, fmt.Sprint(r.first))
		default:
			parts = append(parts, fmt.Sprintf("%d-%d", r.first, r.last))
		}
	}
	return strings.Join(parts, ",")
}
