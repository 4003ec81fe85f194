// SPDX-License-Identifier: Apache-2.0

// Package bgpcommunity parses BGP communities. The API server validates them with it, and
// gateway nodes announce the parsed values.
package bgpcommunity

import (
	"fmt"
	"strconv"
	"strings"
)

// Community is a community (RFC 1997) or a large community (RFC 8092).
type Community struct {
	// Large is set for a large community.
	Large bool
	// Value is the community.
	Value uint32
	// Parts are the three numbers of a large community.
	Parts [3]uint32
}

// wellKnown lists the registered communities that are meaningful on a route that a node
// originates.
var wellKnown = map[string]uint32{
	"no-export":         0xffffff01,
	"no-advertise":      0xffffff02,
	"graceful-shutdown": 0xffff0000,
}

// Parse parses a community: two 16-bit numbers such as 64512:100, three 32-bit numbers
// such as 64512:1:100, or the name of a well-known one.
func Parse(s string) (Community, error) {
	if value, ok := wellKnown[s]; ok {
		return Community{Value: value}, nil
	}
	texts := strings.Split(s, ":")
	bits := map[int]int{2: 16, 3: 32}[len(texts)]
	if bits == 0 {
		return Community{}, fmt.Errorf("must be two numbers such as 64512:100, three numbers such as 64512:1:100, or no-export, no-advertise or graceful-shutdown: use one of these")
	}
	var parts [3]uint32
	for i, text := range texts {
		n, err := strconv.ParseUint(text, 10, bits)
		if err != nil || strconv.FormatUint(n, 10) != text {
			return Community{}, fmt.Errorf("number %d must be from 0 to %d, in digits without leading zeros: correct it", i+1, uint64(1)<<bits-1)
		}
		parts[i] = uint32(n)
	}
	if len(texts) == 3 {
		return Community{Large: true, Parts: parts}, nil
	}
	return Community{Value: parts[0]<<16 | parts[1]}, nil
}

// String returns the community in the form that Parse reads.
func (c Community) String() string {
	if c.Large {
		return fmt.Sprintf("%d:%d:%d", c.Parts[0], c.Parts[1], c.Parts[2])
	}
	for name, value := range wellKnown {
		if value == c.Value {
			return name
		}
	}
	return fmt.Sprintf("%d:%d", c.Value>>16, c.Value&0xffff)
}
