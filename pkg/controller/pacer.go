// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

const (
	// signalRate is how many objects a second are reconciled because of the state of
	// their tunnels, and signalBurst how many at once. Each may be written once.
	signalRate  = rate.Limit(100)
	signalBurst = 500
	// objectBurst is how often in a row one object is reconciled at once: when some
	// tunnels go down, and when they come back. Of further changes, those of an
	// objectEvery are dealt with together.
	objectBurst = 6
	objectEvery = 5 * time.Second
	// smallBudgets is how many objects' budgets are kept without looking for those that
	// are no longer needed.
	smallBudgets = 4096
)

// pacer adds objects to the queues of their reconcilers, not too many and each not too often.
type pacer struct {
	limiter *rate.Limiter
	queue   workqueue.TypedDelayingInterface[signal]

	mu      sync.Mutex
	waiting map[signal]bool
	budgets map[signal]*rate.Limiter
	cleanAt int
}

// signal is an object that must be reconciled.
type signal struct {
	of  *reconciler
	key cache.ObjectName
}

func newPacer() *pacer {
	return &pacer{
		limiter: rate.NewLimiter(signalRate, signalBurst), queue: workqueue.NewTypedDelayingQueue[signal](),
		waiting: map[signal]bool{}, budgets: map[signal]*rate.Limiter{}, cleanAt: smallBudgets,
	}
}

// add has an object reconciled: at once, or when it may be.
func (p *pacer) add(l *reconciler, key cache.ObjectName) {
	s, now := signal{l, key}, time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting[s] {
		return
	}
	budget := p.budgets[s]
	if budget == nil {
		budget = rate.NewLimiter(rate.Every(objectEvery), objectBurst)
		p.budgets[s] = budget
	}
	p.waiting[s] = true
	p.queue.AddAfter(s, budget.ReserveN(now, 1).DelayFrom(now))
	p.clean(now)
}

// clean forgets the budgets of objects that have been left alone for a while.
func (p *pacer) clean(now time.Time) {
	if len(p.budgets) < p.cleanAt {
		return
	}
	for s, b := range p.budgets {
		if !p.waiting[s] && b.TokensAt(now) >= objectBurst {
			delete(p.budgets, s)
		}
	}
	p.cleanAt = max(smallBudgets, 2*len(p.budgets))
}

// run hands objects on until ctx ends.
func (p *pacer) run(ctx context.Context) {
	// The first wakes Get. It may be stopped before it runs, because Wait sees the end
	// of ctx too.
	defer context.AfterFunc(ctx, p.queue.ShutDown)()
	defer p.queue.ShutDown()
	for {
		s, down := p.queue.Get()
		if down || p.limiter.Wait(ctx) != nil {
			return
		}
		p.mu.Lock()
		delete(p.waiting, s)
		p.mu.Unlock()
		s.of.queue.Add(s.key)
		p.queue.Done(s)
	}
}
