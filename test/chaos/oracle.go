// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// via is how a visitor sends a request.
type via string

const (
	// byTCP is a connection that Envoy passes on, byHTTP a request that it routes, byUDP a
	// datagram.
	byTCP  via = "tcp"
	byHTTP via = "http"
	byUDP  via = "udp"
)

// span is the time in which a backend belongs to a target. Zero times are yet to come.
type span struct {
	// The write that adds it began at asked and was done at added; the write that removes it
	// began at leaving and was done at removed.
	asked, added, leaving, removed time.Time
	// worked is when it first answered.
	worked time.Time
}

// target is an address and port that visitors send requests to, for HTTP with a hostname and a path.
type target struct {
	id     string
	tenant int
	// object names the load balancer or gateway proxy.
	object     string
	via        via
	address    string
	host, path string

	spans map[string]*span
	// void is when another object may have been given the address.
	void time.Time

	// streak has when the requests began that were answered rightly last, in a row: at most
	// steadyStreak of them.
	streak []time.Time
	// steadyFrom is when the first request of the last such streak began, steadyAt when its last
	// one ended.
	steadyFrom, steadyAt time.Time
	// recovered is when the target worked again after a window.
	recovered map[int]time.Time
}

// steadyStreak is the number of consecutive correct responses after which a target
// counts as recovered.
const steadyStreak = 3

// window is the time of a fault, and what it excuses.
type window struct {
	id     int
	reason string
	start  time.Time
	// end is zero while the fault lasts.
	end time.Time
	// control excuses that changes take longer. data excuses that requests fail: of a tenant, or
	// of all if that is -1; of an object, or of all if that is empty.
	control, data bool
	tenant        int
	object        string
}

func (w *window) covers(t *target) bool {
	return w.data && (w.tenant < 0 || w.tenant == t.tenant) && (w.object == "" || w.object == t.object)
}

// oracle knows what each request should get. It is told of every write before and after, and of
// every fault. Nothing in it waits or reads the clock.
type oracle struct {
	// bound is how long a change may take to reach the Envoys, and a path to work again.
	bound time.Duration

	mu         sync.Mutex
	targets    map[string]*target
	windows    []*window
	counts     map[string]int
	violations []*violation
	timeline   []remark
	// took are how long after the write new targets worked, and windows' ends until all worked.
	newTook, recoverTook []time.Duration
}

// violation is what no reason excuses. Those of the same kind at the same target are one.
type violation struct {
	kind, target string
	first, last  time.Time
	times        int
	detail       string
}

func newOracle(bound time.Duration) *oracle {
	return &oracle{bound: bound, targets: map[string]*target{}, counts: map[string]int{}}
}

// Outcomes that are no violation.
const (
	right     = "right"
	notServed = "rightly not served"
	lateEnd   = "answered shortly after its removal"
	lateBegin = "not answered yet shortly after its creation"
	overtaken = "the address changed hands in the meantime"
	// The nodes and the Envoys learn of endpoints independently of each other.
	endpointBegins = "failed while an endpoint was new, before its first answer"
	endpointEnds   = "failed shortly after an endpoint was removed"
)

// expect adds a target that nothing serves yet. Another target at the same place is void since the
// write began that made this one.
func (o *oracle) expect(t *target, began time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, other := range o.targets {
		if other.object != t.object && other.address == t.address && (other.via == byUDP) == (t.via == byUDP) {
			other.void = began
			delete(o.targets, id)
		}
	}
	t.spans, t.recovered = map[string]*span{}, map[int]time.Time{}
	o.targets[t.id] = t
}

// adding, added, removing and removed are called around writes that change which backends serve a
// target.
func (o *oracle) adding(id, backend string, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if t := o.targets[id]; t != nil && t.spans[backend] == nil {
		t.spans[backend] = &span{asked: at}
	}
}

func (o *oracle) added(id, backend string, at time.Time) {
	o.change(id, backend, func(s *span) {
		if s.added.IsZero() {
			s.added = at
		}
	})
}

func (o *oracle) removing(id, backend string, at time.Time) {
	o.change(id, backend, func(s *span) {
		if s.leaving.IsZero() {
			s.leaving = at
		}
	})
}

func (o *oracle) removed(id, backend string, at time.Time) {
	o.change(id, backend, func(s *span) {
		if s.removed.IsZero() {
			s.removed = at
		}
	})
}

func (o *oracle) change(id, backend string, f func(*span)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if t := o.targets[id]; t != nil && t.spans[backend] != nil {
		f(t.spans[backend])
	}
}

// open begins a window, and shut ends it.
func (o *oracle) open(w *window) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w.id = len(o.windows)
	o.windows = append(o.windows, w)
}

func (o *oracle) shut(w *window, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w.end = at
}

// all returns the targets to ask at a time. It forgets those that have been gone for long enough.
func (o *oracle) all(now time.Time) []*target {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []*target
	for id, t := range o.targets {
		gone := len(t.spans) > 0
		for _, s := range t.spans {
			gone = gone && !s.removed.IsZero() && now.After(o.deadline(s.removed, now).Add(o.bound))
		}
		if gone {
			delete(o.targets, id)
		} else if len(t.spans) > 0 {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b *target) int { return strings.Compare(a.id, b.id) })
	return out
}

// deadline is when a change that was written at a time must have been carried out, as far as is
// known now. Each fault in the meantime starts the bound again. The lock is held.
func (o *oracle) deadline(written, now time.Time) time.Time { return o.within(o.bound, written, now) }

// within is deadline for a change that may take so long. The lock is held.
func (o *oracle) within(bound time.Duration, written, now time.Time) time.Time {
	d := written.Add(bound)
	for again := true; again; {
		again = false
		for _, w := range o.windows {
			if !w.control || w.start.After(d) {
				continue
			}
			end := w.end
			if end.IsZero() {
				end = now
			}
			if later := end.Add(bound); !end.Before(written) && later.After(d) {
				d, again = later, true
			}
		}
	}
	return d
}

// answer judges what a backend answered to a request that began and ended at the times.
func (o *oracle) answer(t *target, backend string, intact bool, began, ended time.Time) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := t.spans[backend]
	switch {
	case !t.void.IsZero() && !ended.Before(t.void):
		return o.count(overtaken)
	case !strings.HasPrefix(backend, tenantPrefix(t.tenant)):
		return o.violate(t, "answered by another tenant", ended, fmt.Sprintf("by %q", backend))
	case s == nil || ended.Before(s.asked):
		return o.violate(t, "answered by a backend that never was its own", ended, fmt.Sprintf("by %q", backend))
	case !intact:
		return o.violate(t, "answered with damaged content", ended, fmt.Sprintf("by %q", backend))
	case s.removed.IsZero() || !began.After(s.removed):
		if s.worked.IsZero() {
			s.worked = ended
		}
		o.works(t, began, ended)
		return o.count(right)
	case began.After(o.deadline(s.removed, ended)):
		return o.violate(t, "answered by a removed backend", ended, fmt.Sprintf("by %q, %s after its removal", backend, began.Sub(s.removed).Round(time.Millisecond)))
	default:
		return o.count(lateEnd)
	}
}

// works records a correct response. The lock is held.
func (o *oracle) works(t *target, began, ended time.Time) {
	if t.streak = append(t.streak, began); len(t.streak) < steadyStreak {
		return
	}
	t.streak = t.streak[len(t.streak)-steadyStreak:]
	from := slices.MinFunc(t.streak, time.Time.Compare)
	if since, ok := t.served(began); ok && !t.steadyFrom.After(since) && from.After(since) {
		o.newTook = append(o.newTook, ended.Sub(since))
	}
	if from.After(t.steadyFrom) {
		t.steadyFrom, t.steadyAt = from, ended
	}
	for _, w := range o.windows {
		if _, known := t.recovered[w.id]; !known && w.covers(t) && !w.end.IsZero() && from.After(w.end) {
			t.recovered[w.id] = ended
			if took := ended.Sub(w.end); took < 10*o.bound {
				o.recoverTook = append(o.recoverTook, took)
			}
		}
	}
}

// served returns since when a target has had, without a gap, a backend that serves at a time.
func (t *target) served(at time.Time) (since time.Time, ok bool) {
	since = at
	for again := true; again; {
		again = false
		for _, s := range t.spans {
			if s.added.IsZero() || s.added.After(since) || s.added.Equal(since) && ok {
				continue
			}
			if s.leaving.IsZero() || !s.leaving.Before(since) {
				again = again || s.added.Before(since)
				since, ok = s.added, true
			}
		}
	}
	return since, ok
}

// failure judges that a request got an error or a status instead of a response from a backend.
func (o *oracle) failure(t *target, what string, began, ended time.Time) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	t.streak = nil
	if !t.void.IsZero() && !ended.Before(t.void) {
		return o.count(overtaken)
	}
	since, ok := t.served(ended)
	if !ok || since.After(began) {
		return o.count(notServed)
	}
	// Once it has worked for a while, being new excuses nothing.
	if !t.steadyFrom.After(since) && !began.After(o.deadline(since, ended)) {
		return o.count(lateBegin)
	}
	for _, w := range o.windows {
		if !w.covers(t) || w.start.After(ended) {
			continue
		}
		if w.end.IsZero() || began.Before(w.end) {
			return o.count(w.reason)
		}
		if at, ok := t.recovered[w.id]; !ok && began.Before(w.end.Add(o.bound)) || ok && began.Before(at) {
			return o.count(w.reason + ", shortly after")
		}
	}
	for _, s := range t.spans {
		if !s.asked.After(ended) && s.leaving.IsZero() && (s.worked.IsZero() || s.worked.After(began)) && !began.After(o.deadline(s.asked, ended)) {
			return o.count(endpointBegins)
		}
	}
	for _, s := range t.spans {
		if !s.leaving.IsZero() && !s.leaving.After(ended) && !began.After(o.within(leavingBound, last(s.leaving, s.removed), ended)) {
			return o.count(endpointEnds)
		}
	}
	return o.violate(t, "failed without a reason", ended, what)
}

// leavingBound is how long requests may still be sent to an endpoint that has been removed, on a
// machine that does much else.
const leavingBound = 10 * time.Second

func last(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (o *oracle) count(outcome string) string {
	o.counts[outcome]++
	return outcome
}

// violate notes a violation. The lock is held.
func (o *oracle) violate(t *target, kind string, at time.Time, detail string) string {
	o.note(kind, t.id, at, detail)
	return o.count("VIOLATION: " + kind)
}

// together is how close to each other equal violations count as one.
const together = 20 * time.Second

func (o *oracle) note(kind, target string, at time.Time, detail string) {
	for _, v := range slices.Backward(o.violations) {
		if v.kind == kind && v.target == target && at.Sub(v.last) < together {
			v.times++
			if at.After(v.last) {
				v.last = at
			}
			return
		}
	}
	o.violations = append(o.violations, &violation{kind: kind, target: target, first: at, last: at, times: 1, detail: detail})
}

// wrong records a violation that is not a response of a target.
func (o *oracle) wrong(kind, where string, at time.Time, detail string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.note(kind, where, at, detail)
}

// disturbed reports whether a fault that reaches EPIC's own programs lasts, or has ended less than
// the bound ago.
func (o *oracle) disturbed(now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.ContainsFunc(o.windows, func(w *window) bool {
		return w.control && (w.end.IsZero() || now.Sub(w.end) < o.bound)
	})
}

func tenantPrefix(tenant int) string { return fmt.Sprintf("t%d-", tenant) }

// remark is something that happened and is no violation.
type remark struct {
	at           time.Time
	what, detail string
}

func (o *oracle) remark(what string, at time.Time, detail string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.timeline = append(o.timeline, remark{at, what, detail})
}

// objectNamed returns the present object of a name, which has a number that no other one has.
func (o *oracle) objectNamed(name string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, t := range o.targets {
		if _, ok := t.served(time.Now()); ok && strings.HasPrefix(t.object, name+"#") {
			return t.object
		}
	}
	return name
}

// failures returns how many requests were not answered rightly.
func (o *oracle) failures() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for outcome, times := range o.counts {
		if outcome != right && outcome != notServed && outcome != overtaken {
			n += times
		}
	}
	return n
}

// steadySince reports whether every target that should answer has done so a few times in a row
// since a time.
func (o *oracle) steadySince(since time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, t := range o.targets {
		if _, ok := t.served(time.Now()); ok && (len(t.streak) < steadyStreak || !t.steadyAt.After(since)) {
			return false
		}
	}
	return true
}
