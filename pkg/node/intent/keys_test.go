// SPDX-License-Identifier: Apache-2.0

package intent

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/acnodal/epic/pkg/gue"
)

// Keys have for each tunnel what the map has from which they were made.
func TestKeys(t *testing.T) {
	for range 1000 {
		of := map[uint32][]gue.Key{}
		for range rand.IntN(20) {
			id := rand.Uint32N(30)
			of[id] = append(of[id], gue.Key{ID: uint8(rand.IntN(255) + 1), Bytes: [gue.KeySize]byte{byte(rand.IntN(256))}})
		}
		keys, n := NewKeys(of), 0
		for id := range uint32(30) {
			n += len(of[id])
			if got := keys.Of(id); len(got)+len(of[id]) > 0 && !reflect.DeepEqual(got, of[id]) {
				t.Fatalf("Tunnel %d of %v has %v", id, of, got)
			}
		}
		if got := maps.Collect(keys.All()); !reflect.DeepEqual(got, of) || keys.Len() != n {
			t.Fatalf("All of %v are %v, %d keys", of, got, keys.Len())
		}
	}
	if none := (Keys{}); none.Len() != 0 || len(none.Of(1)) != 0 {
		t.Errorf("The zero value has %v", none)
	}
}
