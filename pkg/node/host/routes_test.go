// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"net/netip"
	"testing"
)

// Visitors' packets go to proxies that are ready, and to others only if there is none.
func TestStandby(t *testing.T) {
	ready := func(index int) End { return End{Index: index} }
	standby := func(index int) End { return End{Index: index, Standby: true} }
	ended := func(index int) End { return End{Index: index, Standby: true, Served: true} }
	for name, test := range map[string]struct {
		ends []End
		want []int
	}{
		"all ready":                {[]End{ready(1), ready(2)}, []int{1, 2}},
		"one starts":               {[]End{ready(1), standby(2)}, []int{1}},
		"one ends":                 {[]End{standby(1), ready(2), ready(3)}, []int{2, 3}},
		"none ready":               {[]End{standby(1), standby(2)}, []int{1, 2}},
		"one of them served":       {[]End{standby(1), ended(2)}, []int{2}},
		"served, but one is ready": {[]End{ended(1), ready(2)}, []int{2}},
		"all served":               {[]End{ended(1), ended(2)}, []int{1, 2}},
		"the one end":              {[]End{standby(1)}, []int{1}},
		"no end":                   {nil, nil},
	} {
		got := active(test.ends)
		var indexes []int
		for _, e := range got {
			indexes = append(indexes, e.Index)
		}
		if fmt.Sprint(indexes) != fmt.Sprint(test.want) {
			t.Errorf("%s: %v, want %v", name, indexes, test.want)
		}
		if len(got) == 0 {
			continue
		}
		route := deliveryRoute(netip.MustParsePrefix("192.0.2.1/32"), Table, 7, got)
		if n := max(1, len(route.MultiPath)); n != len(test.want) {
			t.Errorf("%s: the route has %d ways", name, n)
		}
	}
}
