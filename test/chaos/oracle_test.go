// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const testBound = 30 * time.Second

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)))
}

// story has a target "x" of tenant 1 at 192.0.2.1, with the backend t1-old from second 0 on.
func story() (*oracle, *target) {
	o := newOracle(testBound)
	x := &target{id: "x", tenant: 1, object: "epic-t1/lb/a#1", via: byTCP, address: "192.0.2.1:80"}
	o.expect(x, at(-1))
	o.adding("x", "t1-old", at(-1))
	o.added("x", "t1-old", at(0))
	return o, x
}

// steady has the target work from a time on.
func steady(o *oracle, t *target, from float64) {
	for n := range steadyStreak {
		i := float64(n)
		o.answer(t, "t1-old", true, at(from+i/10), at(from+i/10+0.05))
	}
}

func TestAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		before  func(o *oracle, x *target)
		backend string
		damaged bool
		began   float64
		want    string
	}{
		"its own":                           {nil, "t1-old", false, 5, right},
		"damaged":                           {nil, "t1-old", true, 5, "damaged"},
		"another tenant's":                  {nil, "t2-other", false, 5, "another tenant"},
		"one whose name begins like it":     {nil, "t11-other", false, 5, "another tenant"},
		"never its own":                     {nil, "t1-other", false, 5, "never was its own"},
		"asked for and not confirmed":       {func(o *oracle, _ *target) { o.adding("x", "t1-new", at(4)) }, "t1-new", false, 5, right},
		"before it was asked for":           {func(o *oracle, _ *target) { o.adding("x", "t1-new", at(9)) }, "t1-new", false, 5, "never was its own"},
		"while it is removed":               {func(o *oracle, _ *target) { o.removing("x", "t1-old", at(4)) }, "t1-old", false, 50, right},
		"soon after its removal":            {gone(4, 4.5), "t1-old", false, 30, lateEnd},
		"long after its removal":            {gone(4, 4.5), "t1-old", false, 40, "removed backend"},
		"long after, the operator stood":    {gone(4, 4.5, window{control: true, start: at(10), end: at(20)}), "t1-old", false, 40, lateEnd},
		"long after that too":               {gone(4, 4.5, window{control: true, start: at(10), end: at(20)}), "t1-old", false, 51, "removed backend"},
		"a fault before does not count":     {gone(30, 30.5, window{control: true, start: at(1), end: at(20)}), "t1-old", false, 61, "removed backend"},
		"a fault after does not count":      {gone(4, 4.5, window{control: true, start: at(36), end: at(50)}), "t1-old", false, 55, "removed backend"},
		"faults in a row":                   {gone(4, 4.5, window{control: true, start: at(30), end: at(40)}, window{control: true, start: at(69), end: at(80)}), "t1-old", false, 109, lateEnd},
		"one that lasts":                    {gone(4, 4.5, window{control: true, start: at(30)}), "t1-old", false, 900, lateEnd},
		"of the path, not of the programs":  {gone(4, 4.5, window{data: true, tenant: -1, start: at(30)}), "t1-old", false, 900, "removed backend"},
		"the address may be another's":      {func(o *oracle, _ *target) { o.expect(successor(), at(5)) }, "t2-other", false, 5, overtaken},
		"the address was not another's yet": {func(o *oracle, _ *target) { o.expect(successor(), at(9)) }, "t2-other", false, 5, "another tenant"},
	} {
		t.Run(name, func(t *testing.T) {
			o, x := story()
			if test.before != nil {
				test.before(o, x)
			}
			judged(t, o, o.answer(x, test.backend, !test.damaged, at(test.began), at(test.began+0.1)), test.want)
		})
	}
}

// gone removes t1-old, and has windows.
func gone(from, to float64, windows ...window) func(*oracle, *target) {
	return func(o *oracle, _ *target) {
		o.removing("x", "t1-old", at(from))
		o.removed("x", "t1-old", at(to))
		for _, w := range windows {
			o.open(&w)
		}
	}
}

func successor() *target {
	return &target{id: "y", tenant: 2, object: "epic-t2/lb/a#7", via: byTCP, address: "192.0.2.1:80"}
}

func TestFailures(t *testing.T) {
	with := func(windows ...window) func(*oracle, *target) {
		return func(o *oracle, x *target) {
			steady(o, x, 1)
			for _, w := range windows {
				w.reason = "fault"
				o.open(&w)
			}
		}
	}
	for name, test := range map[string]struct {
		before       func(o *oracle, x *target)
		began, ended float64
		want         string
	}{
		"new":                    {nil, 5, 6, lateBegin},
		"no longer new":          {nil, 31, 32, "without a reason"},
		"it worked already":      {with(), 5, 6, "without a reason"},
		"before it is there":     {nil, -0.5, 0.5, notServed},
		"removed":                {gone(4, 5), 6, 7, notServed},
		"being removed":          {gone(4, 9), 3, 5, notServed},
		"replaced without a gap": {func(o *oracle, x *target) { steady(o, x, 1); replace(o, 5, 6) }, 5.5, 7, endpointBegins},
		"replaced, the new one works": {func(o *oracle, x *target) {
			steady(o, x, 1)
			replace(o, 5, 6)
			o.answer(x, "t1-new", true, at(7), at(7.1))
		}, 8, 9, endpointEnds},
		"replaced long ago": {func(o *oracle, x *target) {
			steady(o, x, 1)
			replace(o, 5, 6)
			o.answer(x, "t1-new", true, at(7), at(7.1))
		}, 18, 19, "without a reason"},
		"replaced, the new one never works": {func(o *oracle, x *target) { steady(o, x, 1); replace(o, 5, 6) }, 40, 41, "without a reason"},
		"replaced with a gap":               {func(o *oracle, x *target) { steady(o, x, 1); replace(o, 6, 5) }, 5, 7, notServed},
		"during a fault":                    {with(window{data: true, tenant: 1, start: at(10), end: at(20)}), 12, 13, "fault"},
		"a fault that begins":               {with(window{data: true, tenant: 1, start: at(10), end: at(20)}), 9, 11, "fault"},
		"a fault that lasts":                {with(window{data: true, tenant: -1, start: at(10)}), 300, 301, "fault"},
		"before a fault":                    {with(window{data: true, tenant: 1, start: at(10), end: at(20)}), 8, 9, "without a reason"},
		"shortly after a fault":             {with(window{data: true, tenant: 1, start: at(10), end: at(20)}), 40, 41, "fault, shortly after"},
		"long after a fault":                {with(window{data: true, tenant: 1, start: at(10), end: at(20)}), 51, 52, "without a reason"},
		"another tenant's fault":            {with(window{data: true, tenant: 2, start: at(10), end: at(20)}), 12, 13, "without a reason"},
		"another object's fault":            {with(window{data: true, tenant: -1, object: "epic-t1/lb/b#1", start: at(10), end: at(20)}), 12, 13, "without a reason"},
		"the object's fault":                {with(window{data: true, tenant: -1, object: "epic-t1/lb/a#1", start: at(10), end: at(20)}), 12, 13, "fault"},
		"a fault of programs alone":         {with(window{control: true, tenant: -1, start: at(10), end: at(20)}), 12, 13, "without a reason"},
		"it had worked after it": {func(o *oracle, x *target) {
			with(window{data: true, tenant: 1, start: at(10), end: at(20)})(o, x)
			steady(o, x, 22)
		}, 25, 26, "without a reason"},
		"it had not worked for long": {func(o *oracle, x *target) {
			with(window{data: true, tenant: 1, start: at(10), end: at(20)})(o, x)
			o.answer(x, "t1-old", true, at(22), at(22.1))
		}, 25, 26, "fault, shortly after"},
		"it worked before its end": {func(o *oracle, x *target) {
			with(window{data: true, tenant: 1, start: at(10), end: at(20)})(o, x)
			steady(o, x, 15)
		}, 25, 26, "fault, shortly after"},
		"the address is another's": {func(o *oracle, x *target) { steady(o, x, 1); o.expect(successor(), at(5)) }, 4, 6, overtaken},
	} {
		t.Run(name, func(t *testing.T) {
			o, x := story()
			if test.before != nil {
				test.before(o, x)
			}
			judged(t, o, o.failure(x, "refused", at(test.began), at(test.ended)), test.want)
		})
	}
}

// replace adds a backend that is there at a time, and removes the former one at another.
func replace(o *oracle, added, removing float64) {
	o.adding("x", "t1-new", at(added-1))
	o.added("x", "t1-new", at(added))
	o.removing("x", "t1-old", at(removing))
	o.removed("x", "t1-old", at(removing+1))
}

// judged compares an outcome with a part of what it should be, and checks that violations, and they
// alone, are noted.
func judged(t *testing.T, o *oracle, got, want string) {
	t.Helper()
	excused := slices.Contains([]string{right, notServed, lateEnd, lateBegin, overtaken, endpointBegins, endpointEnds}, want) || strings.HasPrefix(want, "fault")
	if excused && got != want || !excused && !strings.HasPrefix(got, "VIOLATION: ") || !strings.Contains(got, want) {
		t.Errorf("judged %q, want %q", got, want)
	}
	if excused == (len(o.violations) > 0) || o.counts[got] == 0 {
		t.Errorf("judged %q with %d violations, counted %d times", got, len(o.violations), o.counts[got])
	}
}

// Violations of one kind at one target in a row are one.
func TestViolationsTogether(t *testing.T) {
	o, x := story()
	steady(o, x, 1)
	for n := range 10 {
		i := float64(n)
		o.failure(x, fmt.Sprintf("failure %v", i), at(100+i), at(100.5+i))
	}
	o.failure(x, "later", at(200), at(200.5))
	o.answer(x, "t2-b", true, at(201), at(201.5))
	var got []string
	for _, v := range o.violations {
		got = append(got, fmt.Sprintf("%d %s", v.times, v.detail))
	}
	if want := `10 failure 0, 1 later, 1 by "t2-b"`; strings.Join(got, ", ") != want {
		t.Errorf("%q, want %q", strings.Join(got, ", "), want)
	}
}

// Visitors ask what was removed for a while, and forget what was for long.
func TestTargets(t *testing.T) {
	o, _ := story()
	if n := len(o.all(at(1))); n != 1 {
		t.Errorf("%d targets", n)
	}
	gone(10, 11)(o, nil)
	if n := len(o.all(at(60))); n != 1 {
		t.Errorf("a removed target is no longer asked")
	}
	if n := len(o.all(at(72))); n != 0 {
		t.Errorf("a target is asked long after its removal")
	}
	// One that nothing serves yet is not asked.
	o.expect(&target{id: "z", tenant: 1, object: "epic-t1/lb/z#1", via: byTCP, address: "192.0.2.9:80"}, at(80))
	if n := len(o.all(at(80))); n != 0 {
		t.Errorf("%d targets that nothing serves", n)
	}
}
