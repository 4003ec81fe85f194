// SPDX-License-Identifier: Apache-2.0

package tunnelkey

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// MinID is the minimum ID of a master key. 0 is not an ID.
	MinID int32 = 1
	// MaxID is the maximum: control messages carry IDs in one byte.
	MaxID int32 = 255
	// MaxMasters is the maximum number of valid master keys. Two are enough to replace
	// one; more only make readers try more.
	MaxMasters = 4
	// MinMasterSize is the minimum number of bytes of a master key: as many as SHA-256
	// has, so a master key is no weaker than keys derived from it.
	MinMasterSize = 32
	// maxMasterSize limits a line. More bytes do not make a stronger key.
	maxMasterSize = 256
	// maxFileSize is far above the size of a valid file.
	maxFileSize = 64 << 10
)

// Masters holds the currently valid master keys, in the order in which readers should
// prefer them. It is immutable.
type Masters struct {
	keys []master
}

type master struct {
	id     int32
	secret []byte
}

// Parse parses master keys from the text of a file:
//
//	# comment
//	2 BASE64
//	1 BASE64
//
// Each line has the ID of a key, from 1 to 255, and at least 32 random bytes in standard
// base64. Tunnels' ends send with a key derived from the first and accept those derived
// from any. Errors name the line and the rule and never contain anything that may be a
// key.
func Parse(text []byte) (*Masters, error) {
	if len(text) > maxFileSize {
		return nil, fmt.Errorf("it has %d bytes, but master keys have at most %d: check that it is the right file", len(text), maxFileSize)
	}
	if !utf8.Valid(text) {
		return nil, errors.New("it is not text: write a line \"ID BASE64\" for each key")
	}
	m := &Masters{}
	lines := map[int32]int{}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if before, taken := lines[key.id]; taken {
			return nil, fmt.Errorf("line %d: the ID %d is also used in line %d: give each key a unique ID, so the two ends of a tunnel can distinguish them", number, key.id, before)
		}
		for _, other := range m.keys {
			if subtle.ConstantTimeCompare(other.secret, key.secret) == 1 {
				return nil, fmt.Errorf("line %d: the key is also used in line %d: use a new key for a new ID", number, lines[other.id])
			}
		}
		lines[key.id] = number
		m.keys = append(m.keys, key)
	}
	switch {
	case len(m.keys) == 0:
		return nil, errors.New("it has no key: write a line \"ID BASE64\" with at least 32 random bytes in base64, such as \"1 $(openssl rand -base64 32)\"")
	case len(m.keys) > MaxMasters:
		return nil, fmt.Errorf("it has %d keys, but at most %d may be valid at the same time: remove those that no node uses anymore", len(m.keys), MaxMasters)
	}
	return m, nil
}

func parseLine(line string) (master, error) {
	fields := strings.Fields(line)
	if len(fields) != 2 {
		return master{}, fmt.Errorf("has %d words: write \"ID BASE64\"", len(fields))
	}
	// A key in place of the ID must not be logged.
	id, err := strconv.ParseUint(fields[0], 10, 8)
	if err != nil || id == 0 || strconv.FormatUint(id, 10) != fields[0] {
		return master{}, fmt.Errorf("the first word must be the key's ID, a number from %d to %d", MinID, MaxID)
	}
	secret, err := base64.StdEncoding.Strict().DecodeString(fields[1])
	if err != nil {
		return master{}, errors.New("the second word must be the key in standard base64, like the output of \"openssl rand -base64 32\"")
	}
	switch {
	case len(secret) < MinMasterSize:
		return master{}, fmt.Errorf("the key has %d bytes: use at least %d random bytes", len(secret), MinMasterSize)
	case len(secret) > maxMasterSize:
		return master{}, fmt.Errorf("the key has %d bytes: use at most %d", len(secret), maxMasterSize)
	case bytes.Count(secret, secret[:1]) == len(secret):
		return master{}, errors.New("the key repeats one byte: use random bytes")
	}
	return master{id: int32(id), secret: secret}, nil
}

// Generate returns the text of a file with one new key, for Parse.
func Generate() []byte {
	return (&Masters{keys: []master{newMaster(MinID)}}).Text()
}

// IDs returns the IDs of the keys, in order.
func (m *Masters) IDs() []int32 {
	ids := make([]int32, 0, len(m.keys))
	for _, k := range m.keys {
		ids = append(ids, k.id)
	}
	return ids
}

// Equal reports whether both contain the same keys in the same order.
func (m *Masters) Equal(other *Masters) bool {
	if m == nil || other == nil {
		return m == other
	}
	return slices.EqualFunc(m.keys, other.keys, func(a, b master) bool {
		return a.id == b.id && subtle.ConstantTimeCompare(a.secret, b.secret) == 1
	})
}

// Format writes the IDs for any verb, so no log contains the keys.
func (m *Masters) Format(s fmt.State, _ rune) {
	fmt.Fprintf(s, "master keys %v", m.IDs())
}

// MarshalText is Format for encoders.
func (m *Masters) MarshalText() ([]byte, error) { return []byte(fmt.Sprint(m)), nil }
