// SPDX-License-Identifier: Apache-2.0

package requestbounds

// shape is the structure of a JSON document that determines its decoding cost.
type shape struct {
	// top is the number of entries of the document if it is a list.
	top int
	// longest is the number of entries of the longest list in the document.
	longest int
}

// scan determines the shape of a JSON document in one pass. It only allocates memory
// proportional to the depth of the document and accepts anything: the decoder rejects a
// document that is not JSON.
func scan(text []byte) shape {
	var s shape
	// lists holds the number of commas of each open list, and -1 for an object.
	var lists []int
	// filled holds for each open list whether it has an entry.
	var filled []bool
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch c {
		case ' ', '\t', '\n', '\r', ':':
			continue
		case ']', '}':
			if n := len(lists); n > 0 {
				s.closed(lists[n-1], filled[n-1], n == 1)
				lists, filled = lists[:n-1], filled[:n-1]
			}
			continue
		case ',':
			if n := len(lists); n > 0 && lists[n-1] >= 0 {
				lists[n-1]++
			}
			continue
		}
		if n := len(filled); n > 0 {
			filled[n-1] = true
		}
		switch c {
		case '"':
			i = skipString(text, i)
		case '[':
			lists, filled = append(lists, 0), append(filled, false)
		case '{':
			lists, filled = append(lists, -1), append(filled, false)
		}
	}
	// Unclosed lists count, too.
	for n := len(lists); n > 0; n-- {
		s.closed(lists[n-1], filled[n-1], n == 1)
	}
	return s
}

// closed counts a list that ended.
func (s *shape) closed(commas int, filled, top bool) {
	if commas < 0 || !filled && commas == 0 {
		return
	}
	s.longest = max(s.longest, commas+1)
	if top {
		s.top = commas + 1
	}
}

// skipString returns the index of the quote that ends the string at i.
func skipString(text []byte, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return i
}
