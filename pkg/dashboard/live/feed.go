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
	// contactEvery is how often the API is asked whether it is there.
	contactEvery = 3 * time.Second
	// surveyEvery is how often the programs are looked at, and auditEvery the claims,
	// for which the server reads everything.
	surveyEvery = 30 * time.Second
	auditEvery  = 10 * time.Minute
	// refreshEvery is how often the model is built without a change, since nodes may
	// have become silent.
	refreshEvery = 15 * time.Second
	// settle is how long changes are collected, and restFactor how many times the time
	// that the last build took passes before the next, so a large installation does
	// not keep a processor busy.
	settle     = 300 * time.Millisecond
	restFactor = 10
	// forbiddenEvery is how often what was forbidden is tried again.
	forbiddenEvery = time.Minute
	// retryFrom and retryMost bound the time between tries to read what failed.
	retryFrom = 500 * time.Millisecond
	retryMost = 5 * time.Second
)

// Options are what a Feed reads with.
type Options struct {
	Epic versioned.Interface
	// Kube is nil where the server has no Kubernetes around it.
	Kube kubernetes.Interface
	// Namespaces are those of the accounts to show; none stands for all.
	Namespaces []string
	// Contact asks whether the API is there.
	Contact func(ctx context.Context) error
	// Survey reads the programs of the installation, and Audit the claims; nil where
	// the reader is a tenant.
	Survey func(ctx context.Context) *overview.Installation
	Audit  func(ctx context.Context) *overview.Claims
	// Explain returns why a request failed, by its verb, resource and namespace.
	Explain func(verb, resource, namespace string, err error) overview.Unread
}

// Feed watches an installation.
type Feed struct {
	options Options
	kinds   []*watched
	// dirty wakes the builder, and back those who wait to try again.
	dirty chan struct{}

	mu      sync.Mutex
	now     *Snapshot
	changed chan struct{}
	back    chan struct{}
	// programs and claims are what was surveyed last.
	programs *overview.Installation
	claims   *overview.Claims
}

// New returns a Feed that knows nothing yet.
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

// wake has the model built.
func (f *Feed) wake() {
	select {
	case f.dirty <- struct{}{}:
	default:
	}
}

// build builds the model when something has changed, but not more often than the
// installation's size allows.
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

// contact asks the API whether it is there, and tells everybody when it is back.
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

// answered takes in whether the API has answered.
func (f *Feed) answered(err error, at time.Time) {
	now, _ := f.Now()
	switch {
	case err == nil && now.Connected:
		// No page changes by this.
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

// survey looks at the programs from time to time, while the API is there.
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

// pause waits, and reports whether ctx has not ended.
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
