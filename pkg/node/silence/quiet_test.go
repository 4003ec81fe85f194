// SPDX-License-Identifier: Apache-2.0

package silence

import (
	"slices"
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/dataplane"
)

func TestQuietTunnels(t *testing.T) {
	start := time.Now()
	type look struct {
		after          int // ms, as is seen
		received, sent uint64
		seen           int
		want           bool
	}
	for name, looks := range map[string][]look{
		"nothing goes on":         {{0, 5, 5, 0, false}, {60000, 5, 5, 0, false}},
		"answers come":            {{0, 5, 5, 0, false}, {600, 6, 6, 0, false}, {1200, 7, 7, 0, false}, {1800, 8, 8, 0, false}},
		"no answer for a second":  {{0, 5, 5, 0, false}, {500, 5, 6, 0, false}, {1000, 5, 7, 0, false}, {1500, 5, 8, 0, true}, {1750, 5, 9, 0, false}, {2749, 5, 9, 0, false}, {2750, 5, 9, 0, true}},
		"nothing more is sent":    {{0, 5, 5, 0, false}, {500, 5, 6, 0, false}, {1600, 5, 6, 0, true}, {2000, 5, 6, 0, false}, {9000, 5, 6, 0, false}},
		"no more requests come":   {{0, 5, 5, 0, false}, {500, 6, 6, 0, false}, {1400, 6, 6, 0, false}, {1500, 6, 6, 0, true}, {2600, 6, 6, 0, false}},
		"the far end is there":    {{0, 5, 5, 0, false}, {500, 5, 6, 0, false}, {1400, 5, 8, 1300, false}, {1500, 5, 9, 1300, false}, {2499, 5, 10, 1300, false}, {2500, 5, 11, 1300, true}},
		"an answer after a while": {{0, 5, 5, 0, false}, {500, 5, 6, 0, false}, {1500, 5, 7, 0, true}, {1600, 6, 8, 0, false}, {1700, 6, 9, 0, false}, {2600, 6, 10, 0, true}},
		"a counter starts over":   {{0, 5, 900, 0, false}, {500, 0, 0, 0, false}, {1400, 0, 1, 0, false}, {1500, 0, 3, 0, true}},
	} {
		var q quietTunnels
		for i, l := range looks {
			at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
			reading := false
			now, seen := at(l.after), func(uint32) time.Time {
				if reading {
					t.Errorf("%s: the far end is asked for while the data plane is locked, which is a deadlock", name)
				}
				return at(l.seen)
			}
			got, err := q.look(now, func(see func(uint32, dataplane.Counters)) error {
				reading = true
				defer func() { reading = false }()
				see(7, dataplane.Counters{ReceivedPackets: l.received, SentPackets: l.sent})
				return nil
			}, seen)
			if err != nil {
				t.Fatal(err)
			}
			if slices.Contains(got, 7) != l.want {
				t.Errorf("%s: look %d finds %v, want %v", name, i, got, l.want)
			}
		}
		none := func(func(uint32, dataplane.Counters)) error { return nil }
		if _, err := q.look(start, none, nil); err != nil || len(q.tunnels) != 0 {
			t.Errorf("%s: a tunnel that is gone is remembered", name)
		}
	}
}
