// SPDX-License-Identifier: Apache-2.0

package tunnelkey

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// Rotation is the progress of the replacement of a master key.
type Rotation int

const (
	// Settled means that there is one key.
	Settled Rotation = iota
	// Accepted means that there is a new key that every end accepts and none sends with.
	Accepted
	// Used means that there is a new key that ends send with, and the previous one, which
	// they accept.
	Used
)

// Wait returns how long the keys stay before the next step: a step for ends to fetch
// them, or the age at which a key is replaced.
func (r Rotation) Wait(step, age time.Duration) time.Duration {
	if r == Settled {
		return age
	}
	return step
}

// Rotation returns the progress, or an error for keys that no rotation produces.
func (m *Masters) Rotation() (Rotation, error) {
	switch len(m.keys) {
	case 1:
		return Settled, nil
	case 2:
		if m.keys[1].id == nextID(m.keys[0].id) {
			return Accepted, nil
		}
		return Used, nil
	default:
		return Settled, fmt.Errorf("there are %d master keys, but a rotation starts with one: remove those that no node uses anymore", len(m.keys))
	}
}

// nextID returns the next ID: IDs go from MinID to MaxID and start again.
func nextID(id int32) int32 { return id%MaxID + 1 }

// Rotate returns the keys after the next step: a new key is accepted, it is used, the
// previous one is removed. Between two steps, every end of a tunnel has to fetch its
// keys, or it encounters an unknown key.
func (m *Masters) Rotate() (*Masters, error) {
	state, err := m.Rotation()
	if err != nil {
		return nil, err
	}
	switch state {
	case Accepted:
		return &Masters{keys: []master{m.keys[1], m.keys[0]}}, nil
	case Used:
		return &Masters{keys: m.keys[:1:1]}, nil
	default:
		return &Masters{keys: []master{m.keys[0], newMaster(nextID(m.keys[0].id))}}, nil
	}
}

func newMaster(id int32) master {
	m := master{id: id, secret: make([]byte, MinMasterSize)}
	// It never fails: without random numbers, the program ends.
	_, _ = rand.Read(m.secret)
	return m
}

// Text returns the text of a file with the keys, for Parse.
func (m *Masters) Text() []byte {
	var b strings.Builder
	for _, k := range m.keys {
		fmt.Fprintf(&b, "%d %s\n", k.id, base64.StdEncoding.EncodeToString(k.secret))
	}
	return []byte(b.String())
}
