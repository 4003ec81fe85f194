// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/gue"
	"github.com/acnodal/epic/pkg/node/intent"
)

const (
	// settle is how long changes are batched. It is short compared with an API write, and
	// long enough for all objects of a burst to share a system call.
	settle = 3 * time.Millisecond
	// Delays of retries.
	firstRetry, lastRetry = time.Second, 30 * time.Second
)

// Ends manages the ends of the control protocol on this node.
type Ends interface {
	// Set opens or changes a tunnel.
	Set(t dataplane.Tunnel, keys []gue.Key) error
	// Remove closes a tunnel.
	Remove(tunnel uint32)
}

// Plane is the part of a data plane to which objects are applied.
type Plane interface {
	Tunnels() dataplane.Tunnels
	Services() dataplane.Services
	Openings() dataplane.Openings
	Directs() dataplane.Directs
}

// Applier applies intents. Its methods may be called concurrently.
type Applier struct {
	tunnels  dataplane.Tunnels
	services dataplane.Services
	openings dataplane.Openings
	directs  dataplane.Directs
	ends     Ends
	plan     Planner

	mu      sync.Mutex
	objects map[intent.Key]*object
	owners  map[uint32]*object
	dirty   map[intent.Key]struct{}
	retry   map[intent.Key]struct{}
	// version counts changes, and done is the version up to which all are applied.
	version, done uint64
	waiters       []waiter
	wake          chan struct{}
	observe       func(time.Duration)
	now           func() time.Time
	// leaving holds the objects with leaving endpoints, and when the next endpoint of
	// each is closed.
	leaving map[intent.Key]time.Time
	// usage is nil if accounts have no shares.
	usage *usage
}

type waiter struct {
	version uint64
	done    chan struct{}
}

// object is the state of one object. Only Run changes applied.
type object struct {
	key     intent.Key
	want    *intent.Intent
	keys    intent.Keys
	applied packed
	since   time.Time
	err     error
}

// New returns an Applier without objects.
func New(plane Plane, ends Ends, plan Planner) *Applier {
	return &Applier{
		tunnels: plane.Tunnels(), services: plane.Services(), openings: plane.Openings(), directs: plane.Directs(), ends: ends, plan: plan,
		objects: map[intent.Key]*object{}, owners: map[uint32]*object{},
		dirty: map[intent.Key]struct{}{}, retry: map[intent.Key]struct{}{},
		wake: make(chan struct{}, 1), observe: func(time.Duration) {}, now: time.Now, leaving: map[intent.Key]time.Time{},
	}
}

// Observe sets a function that is called with the time from each change until it is
// applied. Call it before Run.
func (a *Applier) Observe(observe func(time.Duration)) { a.observe = observe }

// Set adds or changes an object.
func (a *Applier) Set(i *intent.Intent) {
	a.mu.Lock()
	defer a.mu.Unlock()
	o := a.objects[i.Key]
	if o != nil && o.want != nil && o.want.UID == i.UID {
		i = i.After(o.want, a.now())
	}
	i, next := i.Expire(a.now())
	a.closeAt(i.Key, next)
	switch {
	case o == nil:
		o = &object{key: i.Key}
		a.objects[i.Key] = o
	case o.want != nil && o.want.Equal(i):
		// The new intent shares its tunnels with the object that is kept; the old one no
		// longer does.
		o.want = i
		return
	case o.want != nil && o.want.UID != i.UID:
		// Another object of the same name has other keys.
		o.keys = intent.Keys{}
	}
	o.want = i
	a.touch(i.Key, o)
}

// close closes leaving endpoints: those whose time is over, or all.
func (a *Applier) close(all bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	for key, next := range a.leaving {
		o := a.objects[key]
		if o == nil || o.want == nil {
			delete(a.leaving, key)
			continue
		}
		switch {
		case all:
			o.want, next = o.want.WithoutLeaving(), time.Time{}
		case next.After(now):
			continue
		default:
			o.want, next = o.want.Expire(now)
		}
		a.touch(key, o)
		a.closeAt(key, next)
	}
}

// closeAt records when the next leaving endpoint of an object must be closed; zero if it
// has none.
func (a *Applier) closeAt(key intent.Key, next time.Time) {
	if next.IsZero() {
		delete(a.leaving, key)
	} else {
		a.leaving[key] = next
	}
}

// nextClose returns the time until a leaving endpoint must be closed, and false if there
// is none.
func (a *Applier) nextClose() (time.Duration, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var next time.Time
	for _, t := range a.leaving {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	return next.Sub(a.now()), !next.IsZero()
}

// Delete removes an object.
func (a *Applier) Delete(key intent.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if o := a.objects[key]; o != nil && o.want != nil {
		o.want, o.keys = nil, intent.Keys{}
		a.touch(key, o)
	}
}

// SetKeys sets the keys of an object's tunnels. Tunnels without keys are not open.
func (a *Applier) SetKeys(key intent.Key, keys intent.Keys) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if o := a.objects[key]; o != nil && o.want != nil {
		o.keys = keys
		a.touch(key, o)
	}
}

// Replan plans objects again, because other input of the Planner changed: the given ones,
// or all if none is given.
func (a *Applier) Replan(keys ...intent.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(keys) == 0 {
		for key, o := range a.objects {
			a.touch(key, o)
		}
		return
	}
	for _, key := range keys {
		if o := a.objects[key]; o != nil {
			a.touch(key, o)
		}
	}
}

func (a *Applier) touch(key intent.Key, o *object) {
	if _, waits := a.dirty[key]; !waits {
		o.since = time.Now()
	}
	a.dirty[key] = struct{}{}
	a.version++
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Wait returns when all earlier changes are applied or have failed.
func (a *Applier) Wait(ctx context.Context) error {
	a.mu.Lock()
	if a.done >= a.version {
		a.mu.Unlock()
		return nil
	}
	w := waiter{a.version, make(chan struct{})}
	a.waiters = append(a.waiters, w)
	a.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run applies changes until the context ends. Applied changes stay.
func (a *Applier) Run(ctx context.Context) {
	pause := firstRetry
	retry := time.NewTimer(time.Hour)
	retry.Stop()
	defer retry.Stop()
	waiting := false
	for {
		var leave <-chan time.Time
		if wait, leaves := a.nextClose(); leaves {
			leave = time.After(wait)
		}
		select {
		case <-ctx.Done():
			return
		case <-leave:
			a.close(false)
			continue
		case <-a.wake:
			select {
			case <-ctx.Done():
				return
			case <-time.After(settle):
			}
		case <-retry.C:
			waiting = false
			a.mu.Lock()
			for key := range a.retry {
				a.dirty[key] = struct{}{}
			}
			a.mu.Unlock()
		}
		failed := a.flush(ctx)
		switch {
		case failed == 0:
			pause, waiting = firstRetry, false
			retry.Stop()
		case !waiting:
			retry.Reset(pause)
			pause, waiting = min(pause*2, lastRetry), true
		}
	}
}

// flush applies the dirty objects, and returns the number of objects that wait for a
// retry.
func (a *Applier) flush(ctx context.Context) int {
	a.mu.Lock()
	keys := make([]intent.Key, 0, len(a.dirty))
	for key := range a.dirty {
		keys = append(keys, key)
	}
	clear(a.dirty)
	version := a.version
	a.mu.Unlock()

	errs := a.apply(keys)
	for _, err := range errs {
		if errors.Is(err, dataplane.ErrMapFull) {
			// Current endpoints of objects take precedence over those that are leaving.
			a.close(true)
			break
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	for _, key := range keys {
		o, err := a.objects[key], errs[key]
		if o == nil {
			continue
		}
		if err != nil {
			if o.err == nil || o.err.Error() != err.Error() {
				klog.FromContext(ctx).Error(err, "An object can't be programmed, trying again", "object", key.String())
			}
			o.err = err
			a.retry[key] = struct{}{}
			continue
		}
		o.err = nil
		delete(a.retry, key)
		a.observe(now.Sub(o.since))
		if _, again := a.dirty[key]; o.want == nil && !again {
			delete(a.objects, key)
		}
	}
	a.done = version
	rest := a.waiters[:0]
	for _, w := range a.waiters {
		if w.version <= version {
			close(w.done)
		} else {
			rest = append(rest, w)
		}
	}
	a.waiters = rest
	return len(a.retry)
}

// apply applies objects together and, if that fails, one by one, so one that does not fit
// does not block the others. It returns the errors.
func (a *Applier) apply(keys []intent.Key) map[intent.Key]error {
	err := a.applyTogether(keys)
	if err == nil {
		return nil
	}
	if len(keys) == 1 {
		return map[intent.Key]error{keys[0]: err}
	}
	errs := map[intent.Key]error{}
	for _, key := range keys {
		if err := a.applyTogether([]intent.Key{key}); err != nil {
			errs[key] = err
		}
	}
	return errs
}

func (a *Applier) applyTogether(keys []intent.Key) error {
	changes, b := a.prepare(keys)
	for _, id := range b.goneTunnels {
		a.ends.Remove(id)
	}
	// If two fail, the first has to be reported, and the others might succeed.
	errs := []error{
		call(a.directs.Delete, b.goneDirects),
		call(a.openings.Delete, b.goneOpenings),
		call(a.services.Delete, b.goneServices),
		call(a.tunnels.Delete, b.goneTunnels),
		call(a.tunnels.Put, b.closed),
		call(a.services.Put, b.services),
		call(a.services.Delete, b.movedServices),
		call(a.tunnels.Put, b.open),
		call(a.openings.Put, b.openings),
		call(a.directs.Put, b.directs),
	}
	err := errors.Join(errs...)
	a.settle(changes, err)
	if err != nil {
		return err
	}
	errs = errs[:0]
	for _, c := range changes {
		for _, t := range c.plan.Tunnels {
			if k := c.keys.Of(t.ID); len(k) > 0 {
				errs = append(errs, a.ends.Set(t, k))
			}
		}
	}
	return errors.Join(errs...)
}

// settle records the new state of the kernel. After an error, that may be any mix of the
// old and the new state, so everything is applied again, and everything is removed with
// the object.
func (a *Applier) settle(changes []change, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range changes {
		c := &changes[i]
		if err != nil {
			c.plan.Tunnels = append(slices.Clone(c.was.Tunnels), c.plan.Tunnels...)
			c.plan.Services = append(slices.Clone(c.was.Services), c.plan.Services...)
			c.plan.Openings = append(slices.Clone(c.was.Openings), c.plan.Openings...)
			c.plan.Directs = append(slices.Clone(c.was.Directs), c.plan.Directs...)
		}
		for _, t := range c.was.Tunnels {
			if a.owners[t.ID] == c.o {
				delete(a.owners, t.ID)
			}
		}
		c.o.applied, c.o.err = pack(c.plan), err
	}
	for _, c := range changes {
		for _, t := range c.plan.Tunnels {
			a.owners[t.ID] = c.o
		}
	}
	for _, o := range a.usage.settle(changes) {
		a.touch(o.key, o)
	}
}

func call[T any](do func(...T) error, values []T) error {
	if len(values) == 0 {
		return nil
	}
	return do(values...)
}

// State is the state of one object.
type State struct {
	Intent *intent.Intent
	Keys   intent.Keys
	Plan   Plan
	// Err is why it is not applied, or nil if it is.
	Err error
}

// Each calls see for each object, in any order. see must not call the Applier or change
// its argument.
func (a *Applier) Each(see func(State)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range a.objects {
		if o.want != nil {
			see(State{Intent: o.want, Keys: o.keys, Plan: o.applied.plan(), Err: o.err})
		}
	}
}

// EachIntent calls see with the intent of each object, in any order. It is cheaper than
// Each, which computes what was applied.
func (a *Applier) EachIntent(see func(*intent.Intent)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range a.objects {
		if o.want != nil {
			see(o.want)
		}
	}
}

// Get returns the state of an object, and false if it is not known.
func (a *Applier) Get(key intent.Key) (State, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	o := a.objects[key]
	if o == nil || o.want == nil {
		return State{}, false
	}
	return State{Intent: o.want, Keys: o.keys, Plan: o.applied.plan(), Err: o.err}, true
}

// Owner returns the object to which a tunnel belongs.
func (a *Applier) Owner(tunnel uint32) (intent.Key, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	o, ok := a.owners[tunnel]
	if !ok {
		return intent.Key{}, false
	}
	return o.key, true
}
