// SPDX-License-Identifier: Apache-2.0

package tunnelkey

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// Size is the number of bytes of a tunnel's key: that of an output of HMAC-SHA256,
	// for which the key is used.
	Size = sha256.Size
	// domain separates these keys from other values derived from the same master keys.
	// Another layout of the context needs another number.
	domain = "epic.acnodal.io/tunnel-key/v1"
)

// Key is one key of a tunnel.
type Key struct {
	// ID is the ID of the master key from which it was derived.
	ID int32
	// Secret has Size bytes.
	Secret []byte
}

// Derive derives the keys of one tunnel, one from each master key and in their order. uid
// is the UID of the object that has the tunnel.
//
// A key is HKDF-SHA256 (RFC 5869) of the master key, without salt. Its context is the
// text epic.acnodal.io/tunnel-key/v1, a zero byte, the master key's ID in one byte, the
// tunnel's ID in four bytes, big endian, and the UID; parts of fixed length come first,
// so no two contexts are equal.
func (m *Masters) Derive(uid types.UID, tunnelID int32) ([]Key, error) {
	if uid == "" {
		return nil, errors.New("the object has no UID, which its tunnels' keys are derived from")
	}
	if tunnelID <= 0 {
		return nil, fmt.Errorf("%d is not a tunnel ID", tunnelID)
	}
	keys := make([]Key, 0, len(m.keys))
	for _, master := range m.keys {
		context := make([]byte, 0, len(domain)+6+len(uid))
		context = append(context, domain...)
		context = append(context, 0, byte(master.id))
		context = binary.BigEndian.AppendUint32(context, uint32(tunnelID))
		context = append(context, uid...)
		secret, err := hkdf.Key(sha256.New, master.secret, nil, string(context), Size)
		if err != nil {
			return nil, fmt.Errorf("can't derive a key from master key %d: %w", master.id, err)
		}
		keys = append(keys, Key{ID: master.id, Secret: secret})
	}
	return keys, nil
}
