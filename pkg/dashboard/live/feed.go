// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/overview"
)

const (
	// contactEvery is the interval at which the API's availability is checked.
	contactEvery = 3 * time.Second
	// surveyEvery is the interval at which the programs are checked, and auditEvery that
	// for claims, for which the server reads everything.
	surveyEvery = 30 * time.Second
	auditEvery  = 10 * time.Minute
	// refreshEvery is the interval at which the model is built without a change, because
	// nodes may have become stale.
	refreshEvery = 15 * time.Second
	// settle is how long changes are batched. restFactor is the delay before the next
	// build, as a multiple of the time of the last one, so a large installation does not
	// keep a processor busy.
	settle     = 300 * time.Millisecond
	restFactor = 10
	// forbiddenEvery is the interval at which forbidden requests are retried.
	forbiddenEvery = time.Minute
	// retryFrom and retryMost limit the delay between retries of failed reads.
	retryFrom = 500 * time.Millisecond
	retryMost = 5 * time.Second
)

// Options configures a Feed.
type Options struct {
	Epic versioned.Interface
	// Kube is nil if the server is not part of a Kubernetes cluster.
	Kube kubernetes.Interface
	// Namespaces are the namespaces of the accounts to show; empty means all.
	Namespaces []string
	// Contact checks whether the API is available.
	Contact func(ctx context.Context) error
	// Survey reads the state of the programs, and Audit the claims; nil if the reader is
	// a tenant.
	Survey func(ctx context.Context) *overview.Installation
	Audit  func(ctx context.Context) *overview.Claims
	// Explain returns why a request failed, by its verb, resource and namespace.
	Explain func(verb, resource, namespace string, err error) overview.Unread
}

// Feed watches an installation.
type Feed struct {
	options Options
	kinds   []*watched
	// dirty wakes the builder, and back is closed to wake those that wait to retry.
	dirty chan struct{}

	mu      sync.Mutex
	now     *Snapshot
	changed chan struct{}
	back    chan struct{}
	// programs and claims are the results of the last survey.
	programs *overview.Installation
	claims   *overview.Claims
}

// New returns a Feed without data.
func New(o Options) *Feed {
	f := &Feed{
		options: o, dirty: make(chan struct{}, 1), changed: make(chan struct{}), back: make(chan struct{}),
		now: &Snapshot{Model: overview.Build(&overview.Objects{Now: metav1.Now()}), Connected: true},
	}
	f.kinds = f.watch()
	return f
}

// Run watches until ctx ends.
func (f *Feed) Run(ctx context.Context) {
	var group sync.WaitGroup
	group.Go(func() { f.contact(ctx) })
	if f.options.Survey != nil {
		group.Go(func() { f.survey(ctx) })
	}
	for _, w := range f.kinds {
		group.Go(func() { w.run(ctx) })
	}
	f.build(ctx)
	group.Wait()
}

// wake schedules a build of the model.
func (f *Feed) wake() {
	select {
	case f.dirty <- struct{}{}:
	default:
	}
}

// build builds the model when something has changed, at a rate that depends on the
// installation's size.
func (f *Feed) build(ctx context.Context) {
	for {
		refresh := time.NewTimer(refreshEvery)
		select {
		case <-ctx.Done():
			refresh.Stop()
			return
		case <-f.dirty:
			refresh.Stop()
		case <-refresh.C:
		}
		if !pause(ctx, settle) {
			return
		}
		begin := time.Now()
		model, loaded := f.model()
		f.publish(func(s *Snapshot) { s.Model, s.Loaded = model, s.Loaded || loaded })
		if !pause(ctx, restFactor*time.Since(begin)) {
			return
		}
	}
}

// contact checks whether the API is available, and notifies waiters when it is back.
func (f *Feed) contact(ctx context.Context) {
	for {
		tryCtx, cancel := context.WithTimeout(ctx, contactEvery)
		err := f.options.Contact(tryCtx)
		cancel()
		if ctx.Err() != nil {
			return
		}
		f.answered(err, time.Now())
		if !pause(ctx, contactEvery) {
			return
		}
	}
}

// answered records whether the API has responded.
func (f *Feed) answered(err error, at time.Time) {
	now, _ := f.Now()
	switch {
	case err == nil && now.Connected:
		// This does not change any page.
		f.mu.Lock()
		next := *f.now
		next.LastAnswer = at
		f.now = &next
		f.mu.Unlock()
	case err == nil:
		f.publish(func(s *Snapshot) { s.Connected, s.Error, s.LastAnswer = true, "", at })
		f.mu.Lock()
		close(f.back)
		f.back = make(chan struct{})
		f.mu.Unlock()
		f.wake()
	case now.Connected || now.Error != err.Error():
		f.publish(func(s *Snapshot) { s.Connected, s.Error = false, err.Error() })
	}
}

// isBack returns a channel that is closed when the API is back.
func (f *Feed) isBack() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.back
}

// survey surveys the programs periodically, while the API is available.
func (f *Feed) survey(ctx context.Context) {
	var audited time.Time
	for {
		if now, _ := f.Now(); now.Connected {
			programs := f.options.Survey(ctx)
			var claims *overview.Claims
			if f.options.Audit != nil && time.Since(audited) > auditEvery {
				claims, audited = f.options.Audit(ctx), time.Now()
			}
			f.mu.Lock()
			f.programs = programs
			if claims != nil {
				f.claims = claims
			}
			f.mu.Unlock()
			f.wake()
		}
		timer := time.NewTimer(surveyEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-f.isBack():
			timer.Stop()
		case <-timer.C:
		}
	}
}

// pause waits, and returns false if ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
