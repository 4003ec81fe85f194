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
	// signalRate is the number of objects per second that are reconciled because of the
	// state of their tunnels, and signalBurst the burst. Each may be written once.
	signalRate  = rate.Limit(100)
	signalBurst = 500
	// objectBurst is how often in a row one object is reconciled immediately, for example
	// when some tunnels go down and when they come back. After that, changes within
	// objectEvery are handled together.
	objectBurst = 6
	objectEvery = 5 * time.Second
	// smallBudgets is the number of objects' budgets that are kept without removing those
	// that are no longer needed.
	smallBudgets = 4096
)

// pacer adds objects to the queues of their reconcilers, with a limit on the total rate
// and on the rate of each object.
type pacer struct {
	limiter *rate.Limiter
	queue   workqueue.TypedDelayingInterface[signal]

	mu      sync.Mutex
	waiting map[signal]bool
	budgets map[signal]*rate.Limiter
	cleanAt int
}

// signal is an object to reconcile.
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

// add reconciles an object immediately, or as soon as the limits allow.
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

// clean removes the budgets of objects that have been idle for a while.
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

// run forwards objects until ctx ends.
func (p *pacer) run(ctx context.Context) {
	// AfterFunc unblocks Get. It may be stopped before it runs, because Wait returns at
	// the end of ctx, too.
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
