// SPDX-License-Identifier: Apache-2.0

package holdback

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// Longest is how long an address waits while another gateway node has a proxy of the
	// object. It exceeds the time that tunnels take to open on machines that are short of
	// CPU.
	Longest = 30 * time.Second
	// Alone is how long it waits while no other gateway node has one.
	Alone = 5 * time.Second
	// Rest is how long it waits for the remaining tunnels once the first carries packets.
	// The far ends open theirs at the same time, so one that takes longer is most likely
	// down, and Envoy prefers the endpoints behind the others.
	Rest = 2 * time.Second
)

// Carries describes how many of the endpoints of an object can be reached from this node.
type Carries uint8

// Values of Carries.
const (
	// None is an object whose endpoints all need tunnels that carry no packets yet.
	None Carries = iota
	// Some is an object with endpoints of both kinds.
	Some
	// All is an object none of whose endpoints needs a tunnel that carries no packets. It
	// includes an object without endpoints, which has nothing to wait for.
	All
)

// Need is the input for the decision on an object.
type Need struct {
	// Ready indicates that a proxy of the object on this node gets new connections, so
	// its addresses would be announced.
	Ready bool
	// Elsewhere indicates that another gateway node has a proxy of the object.
	Elsewhere bool
	// Carries is None, Some or All, by the share of the endpoints that can be reached.
	Carries Carries
}

// object is the state of one object with proxies on this node.
type object struct {
	// since is when a proxy was first found ready, and some when a tunnel was first found
	// to carry packets; zero before that.
	since, some time.Time
	// open indicates that the addresses no longer wait, permanently.
	open bool
	// pass is the number of the last pass that included the object.
	pass uint64
}

// decide updates an object. It returns whether its addresses wait, and until when at
// most. While no proxy is ready, nothing would be announced, so nothing has to wait.
func (o *object) decide(n Need, now time.Time) (waits bool, until time.Time) {
	if o.open {
		return false, time.Time{}
	}
	if n.Carries != None && o.some.IsZero() {
		o.some = now
	}
	if !n.Ready {
		return false, time.Time{}
	}
	if o.since.IsZero() {
		o.since = now
	}
	limit := Alone
	if n.Elsewhere {
		limit = Longest
	}
	until = o.since.Add(limit)
	if rest := o.some.Add(Rest); n.Carries == Some && rest.Before(until) {
		until = rest
	}
	o.open = n.Carries == All || !now.Before(until)
	return !o.open, until
}

// Tracker tracks which objects have been announced. It is not safe for concurrent use.
type Tracker struct {
	objects map[types.UID]*object
	pass    uint64
	next    time.Time
}

// New returns a tracker without objects.
func New() *Tracker { return &Tracker{objects: map[types.UID]*object{}} }

// Begin begins a pass over all objects with proxies on this node.
func (t *Tracker) Begin() {
	t.pass++
	t.next = time.Time{}
}

// Open reports whether an object no longer waits, so this pass need not decide.
func (t *Tracker) Open(uid types.UID) bool { return t.get(uid).open }

// Waits decides whether the addresses of an object wait. The second result is how long
// the object has waited, if the wait ends although not all its tunnels carry packets.
func (t *Tracker) Waits(uid types.UID, n Need, now time.Time) (waits bool, waited time.Duration) {
	o := t.get(uid)
	before := o.open
	waits, until := o.decide(n, now)
	if waits && (t.next.IsZero() || until.Before(t.next)) {
		t.next = until
	}
	if !before && o.open && n.Carries == None {
		waited = now.Sub(o.since)
	}
	return waits, waited
}

// Announced records that the addresses of an object no longer wait, for example because
// an earlier program of this node may have announced them.
func (t *Tracker) Announced(uid types.UID) { t.get(uid).open = true }

func (t *Tracker) get(uid types.UID) *object {
	o := t.objects[uid]
	if o == nil {
		o = &object{}
		t.objects[uid] = o
	}
	o.pass = t.pass
	return o
}

// End ends a pass. It removes the objects that were not part of it, whose next proxy
// waits again, and returns when the next decision is due; the zero time if none is.
func (t *Tracker) End() time.Time {
	for uid, o := range t.objects {
		if o.pass != t.pass {
			delete(t.objects, uid)
		}
	}
	return t.next
}
