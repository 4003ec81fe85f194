// SPDX-License-Identifier: Apache-2.0

package holdback

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// step is what an object needs from a time on.
type step struct {
	at   time.Duration
	need Need
}

func TestWaits(t *testing.T) {
	starts := Need{}
	alone, shared := Need{Ready: true}, Need{Ready: true, Elsewhere: true}
	with := func(n Need, c Carries) Need { n.Carries = c; return n }
	const never = -1
	for name, test := range map[string]struct {
		steps []step
		// want is when the addresses are announced.
		want time.Duration
	}{
		"its endpoints need no tunnels":              {[]step{{0, with(alone, All)}}, 0},
		"its tunnels are open before it is ready":    {[]step{{0, with(starts, All)}, {9 * time.Second, with(shared, All)}}, 9 * time.Second},
		"its tunnels open afterwards":                {[]step{{0, shared}, {7 * time.Second, with(shared, All)}}, 7 * time.Second},
		"its tunnels never open":                     {[]step{{0, shared}}, Longest},
		"nobody else serves, and they never open":    {[]step{{0, alone}}, Alone},
		"it starts slowly":                           {[]step{{0, starts}, {time.Minute, shared}}, time.Minute + Longest},
		"it never starts":                            {[]step{{0, starts}}, never},
		"some tunnels open":                          {[]step{{0, shared}, {3 * time.Second, with(shared, Some)}}, 3*time.Second + Rest},
		"some tunnels open, then all":                {[]step{{0, shared}, {3 * time.Second, with(shared, Some)}, {4 * time.Second, with(shared, All)}}, 4 * time.Second},
		"some were open before it is ready":          {[]step{{0, with(starts, Some)}, {9 * time.Second, with(shared, Some)}}, 9 * time.Second},
		"some open at the last moment":               {[]step{{0, shared}, {Longest - time.Second, with(shared, Some)}}, Longest},
		"some open, and close again":                 {[]step{{0, shared}, {3 * time.Second, with(shared, Some)}, {4 * time.Second, shared}}, Longest},
		"the other one ends early":                   {[]step{{0, shared}, {2 * time.Second, alone}}, Alone},
		"the other one ends late":                    {[]step{{0, shared}, {20 * time.Second, alone}}, 20 * time.Second},
		"another one comes":                          {[]step{{0, alone}, {2 * time.Second, shared}}, Longest},
		"its last endpoint goes":                     {[]step{{0, shared}, {2 * time.Second, with(shared, All)}}, 2 * time.Second},
		"it is no longer ready, and ready once more": {[]step{{0, shared}, {20 * time.Second, starts}, {25 * time.Second, shared}}, Longest},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Unix(1000, 0)
			tracker, uid := New(), types.UID("a")
			need, left, due := Need{}, test.steps, time.Time{}
			for at := time.Duration(0); at < 5*time.Minute; at += 100 * time.Millisecond {
				changed := false
				for len(left) > 0 && left[0].at <= at {
					need, left, changed = left[0].need, left[1:], true
				}
				now := begin.Add(at)
				// Nothing is decided but when something changes, or is due.
				if !changed && (due.IsZero() || now.Before(due)) {
					continue
				}
				tracker.Begin()
				waits, waited := tracker.Waits(uid, need, now)
				due = tracker.End()
				if waits && due.IsZero() {
					t.Fatalf("after %s it waits for nothing", at)
				}
				if waits || !need.Ready {
					continue
				}
				if at != test.want {
					t.Fatalf("it is announced after %s, want %s", at, test.want)
				}
				if (waited > 0) != (need.Carries == None) {
					t.Errorf("it is announced with %d, and is said to have waited %s", need.Carries, waited)
				}
				return
			}
			if test.want != never {
				t.Error("it is never announced")
			}
		})
	}
}

// Whatever happens to whichever objects: what was announced is never withdrawn, what carries
// everything does not wait, nothing waits longer than it may, and a wait has an end of which the
// caller learns.
func TestProperties(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		tracker, now := New(), time.Unix(1000, 0)
		type model struct {
			here, announced bool
			since           time.Time
		}
		models := make([]model, 4)
		for range 200 {
			now = now.Add(time.Duration(r.IntN(3000)) * time.Millisecond)
			tracker.Begin()
			waiting := false
			for i := range models {
				m := &models[i]
				if m.here = r.IntN(20) > 0; !m.here {
					*m = model{}
					continue
				}
				uid := types.UID(fmt.Sprint(i))
				n := Need{Ready: r.IntN(4) > 0, Elsewhere: r.IntN(2) > 0, Carries: Carries(r.IntN(8))}
				if n.Carries > All {
					n.Carries = None
				}
				if n.Ready && m.since.IsZero() {
					m.since = now
				}
				if r.IntN(50) == 0 {
					tracker.Announced(uid)
					m.announced = true
				}
				open := tracker.Open(uid)
				waits, _ := tracker.Waits(uid, n, now)
				switch {
				case open && !m.announced:
					t.Fatalf("seed %d: object %d is announced by nobody", seed, i)
				case waits && m.announced:
					t.Fatalf("seed %d: object %d is withdrawn", seed, i)
				case waits && (n.Carries == All || !n.Ready):
					t.Fatalf("seed %d: object %d waits with %+v", seed, i, n)
				case waits && now.Sub(m.since) >= Longest, waits && !n.Elsewhere && now.Sub(m.since) >= Alone:
					t.Fatalf("seed %d: object %d waits for %s with %+v", seed, i, now.Sub(m.since), n)
				}
				waiting = waiting || waits
				m.announced = m.announced || n.Ready && !waits
			}
			if due := tracker.End(); due.IsZero() == waiting || waiting && (!due.After(now) || due.Sub(now) > Longest) {
				t.Fatalf("seed %d: waiting %t, and the next decision is due after %s", seed, waiting, due.Sub(now))
			}
			for i := range models {
				if _, known := tracker.objects[types.UID(fmt.Sprint(i))]; known != models[i].here {
					t.Fatalf("seed %d: object %d is known: %t", seed, i, known)
				}
			}
		}
	}
}
