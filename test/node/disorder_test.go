// SPDX-License-Identifier: Apache-2.0

package node

import "testing"

// A way on which packets, of control and of data, overtake others or come twice
// neither ends a tunnel nor changes a byte.
func disorderedWay(t *testing.T, v *service) {
	restore, err := v.s.world.Internet.Disorder("gateway", "nat1")
	v.s.must(err)
	v.s.exchange(v.connect())
	for range 20 {
		v.answers(account(0))
	}
	sum, err := restore()
	v.s.must(err)
	if sum.Overtaken == 0 || sum.Twice == 0 {
		t.Errorf("%+v", sum)
	}
	v.answers(account(0))
}
