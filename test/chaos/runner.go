// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

// runner is one run.
type runner struct {
	options
	out    io.Writer
	kinds  []kind
	oracle *oracle
	site   *site
	begun  time.Time

	actors   []*actor
	visitors *visitors
	// started is when faults could begin, calmed when the last had ended, ended the end.
	started, calmed, ended time.Time
	made                   map[string]int
	quietRequests          int64
	quietFailures          int
}

// say prints a line with the time of the run.
func (r *runner) say(format string, args ...any) {
	fmt.Fprintf(r.out, "%8s  %s\n", time.Since(r.begun).Round(time.Second), fmt.Sprintf(format, args...))
}

func (r *runner) all(ctx context.Context) error {
	r.made = map[string]int{}
	r.say("starting the programs")
	if err := r.site.start(ctx); err != nil {
		return err
	}
	life, endLife := context.WithCancel(context.Background())
	defer endLife()
	r.say("%d tenants create what they publish", r.tenants)
	for i, t := range r.site.world.Tenants {
		a := &actor{
			number: i + 1, namespace: namespace(i + 1), api: r.site.client.EpicV1(), oracle: r.oracle, pod: t.Pod, nodeAddress: clientAddress,
			rng: rand.New(rand.NewPCG(r.seed, uint64(100+i))), life: life, //nolint:gosec // it is to be drawn again
			balancers: map[string]*balanced{}, gateways: map[string]*gateway{}, changes: map[string]int{},
		}
		r.actors = append(r.actors, a)
		if err := a.prepare(ctx); err != nil {
			return err
		}
	}
	r.visitors = &visitors{host: r.site.world.Visitor, oracle: r.oracle, rate: r.rate, rng: rand.New(rand.NewPCG(r.seed, 2))} //nolint:gosec // see above
	visiting, endVisits := context.WithCancel(ctx)
	var visits sync.WaitGroup
	visits.Go(func() { r.visitors.run(visiting) })
	defer func() {
		endVisits()
		visits.Wait()
	}()
	r.started = time.Now()
	if err := r.disturb(ctx); err != nil {
		return err
	}
	if err := r.rest(ctx); err != nil {
		return err
	}
	endVisits()
	visits.Wait()
	return r.finish(ctx)
}

// disturb makes the faults while tenants change things, until all has had its time.
func (r *runner) disturb(ctx context.Context) error {
	until, enough := context.WithTimeout(ctx, r.duration)
	defer enough()
	var work sync.WaitGroup
	errs := make(chan error, len(r.actors)+1)
	for _, a := range r.actors {
		work.Go(func() {
			if err := a.churn(ctx, until, r.pace); err != nil {
				errs <- err
			}
		})
	}
	byName := map[string]kind{}
	for _, k := range r.kinds {
		byName[k.name] = k
	}
	events := schedule(r.seed, r.duration, r.rhythm, r.kinds)
	lastAudit := time.Now()
	for _, e := range events {
		if gap := time.Until(r.started.Add(e.At)); gap > r.rhythm.Calm/2 && time.Since(lastAudit) > r.rhythm.Calm {
			pause(until, gap/2)
			lastAudit = time.Now()
			work.Go(func() { r.site.audit(ctx) })
		}
		pause(until, time.Until(r.started.Add(e.At)))
		if until.Err() != nil {
			break
		}
		r.say("%s for %s", e.Fault, e.For.Round(100*time.Millisecond))
		r.made[e.Fault]++
		work.Go(func() {
			if err := byName[e.Fault].run(ctx, &fault{site: r.site, event: e}); err != nil && ctx.Err() == nil {
				r.oracle.remark(e.Fault+" could not be made", time.Now(), err.Error())
				r.say("%s could not be created: %v", e.Fault, err)
			}
		})
	}
	<-until.Done()
	work.Wait()
	r.calmed = time.Now()
	select {
	case err := <-errs:
		// A tenant that can't continue has a reason that is in the report.
		r.oracle.wrong("a tenant gave up", "the API", time.Now(), err.Error())
	default:
	}
	return ctx.Err()
}

// rest waits until everything has to be right again, and then leaves it alone for a while, in which
// no request may fail.
func (r *runner) rest(ctx context.Context) error {
	r.say("no more faults; everything has to be right within %s", r.bound)
	for time.Since(r.calmed) < r.bound && !r.oracle.steadySince(r.calmed) {
		pause(ctx, 100*time.Millisecond)
	}
	r.site.audit(ctx)
	before, sent := r.oracle.failures(), r.visitors.sent.Load()
	r.say("a quiet %s", r.quiet)
	pause(ctx, r.quiet)
	r.quietRequests, r.quietFailures = r.visitors.sent.Load()-sent, r.oracle.failures()-before
	if r.quietFailures > 0 {
		r.oracle.wrong("requests failed in the quiet end", "visitors", time.Now(), fmt.Sprint(r.quietFailures))
	}
	return ctx.Err()
}

// finish has the tenants delete everything, and looks for what remains.
func (r *runner) finish(ctx context.Context) error {
	r.say("tenants delete everything")
	for _, a := range r.actors {
		if err := a.removeAll(ctx); err != nil {
			return err
		}
	}
	r.site.nothingLeft(ctx)
	r.site.audit(ctx)
	r.site.readLogs()
	r.ended = time.Now()
	return nil
}
