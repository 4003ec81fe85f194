// SPDX-License-Identifier: Apache-2.0

package node

import "testing"

// A way that loses packets, of control and of data, and so has them sent again and out
// of order, delays requests and bytes but neither ends a tunnel nor changes a byte.
func lossyWay(t *testing.T, v *service) {
	restore, err := v.s.world.Internet.Lose(3)
	v.s.must(err)
	v.s.exchange(v.connect())
	for range 20 {
		v.answers(account(0))
	}
	lost, err := restore()
	v.s.must(err)
	if lost == 0 {
		t.Error("no packet was lost")
	}
	v.answers(account(0))
}
