// SPDX-License-Identifier: Apache-2.0

package intent

import (
	"iter"
	"maps"
	"slices"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/gue"
)

// Keys holds the keys of tunnels. The first key of each tunnel is used to send. The zero
// value is empty.
type Keys struct {
	// A node may have 100,000 tunnels, most with one key: the two lists, sorted by
	// tunnel, take a fifth of the memory of a map.
	tunnels []uint32
	keys    []gue.Key
}

// NewKeys returns the keys of a map from tunnel IDs.
func NewKeys(of map[uint32][]gue.Key) Keys {
	n := 0
	for _, keys := range of {
		n += len(keys)
	}
	k := Keys{tunnels: make([]uint32, 0, n), keys: make([]gue.Key, 0, n)}
	for _, id := range slices.Sorted(maps.Keys(of)) {
		for _, key := range of[id] {
			k.tunnels, k.keys = append(k.tunnels, id), append(k.keys, key)
		}
	}
	return k
}

// Of returns the keys of a tunnel. The caller must not modify them.
func (k Keys) Of(tunnel uint32) []gue.Key {
	from, _ := slices.BinarySearch(k.tunnels, tunnel)
	to := from
	for to < len(k.tunnels) && k.tunnels[to] == tunnel {
		to++
	}
	return k.keys[from:to:to]
}

// All yields each tunnel with its keys, ordered by ID.
func (k Keys) All() iter.Seq2[uint32, []gue.Key] {
	return func(yield func(uint32, []gue.Key) bool) {
		for at := 0; at < len(k.tunnels); {
			keys := k.Of(k.tunnels[at])
			if !yield(k.tunnels[at], keys) {
				return
			}
			at += len(keys)
		}
	}
}

// Len returns the number of keys.
func (k Keys) Len() int { return len(k.keys) }

// KeysOf returns the keys in the server's response, by tunnel. It omits invalid ones.
func KeysOf(answer *epicv1.TunnelKeys) map[uint32][]gue.Key {
	out := map[uint32][]gue.Key{}
	for _, t := range answer.Tunnels {
		for _, k := range t.Keys {
			if k.ID < 1 || k.ID > 255 || len(k.Key) != gue.KeySize || t.TunnelID <= 0 {
				continue
			}
			id := uint32(t.TunnelID)
			out[id] = append(out[id], gue.Key{ID: uint8(k.ID), Bytes: [gue.KeySize]byte(k.Key)})
		}
	}
	return out
}
