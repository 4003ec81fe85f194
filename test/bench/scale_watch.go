// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	// changers is the number of clients that change objects while others watch.
	changers = 4
	// watchedNamespaces is the number of namespaces watched then, each by its own watch.
	watchedNamespaces = 100
	// wholeRounds is the most rounds of watches of all objects, which take long.
	wholeRounds = 3
	// eventPatience bounds the wait for the last event.
	eventPatience = 30 * time.Second
)

// stream is a watch, event by event as the server sends them.
type stream struct {
	body io.ReadCloser
	r    *bufio.Reader
}

// watch watches a namespace or, with none, all; the objects that are there come
// first.
func (s *side) watch(ctx context.Context, namespace string) (*stream, error) {
	return s.stream(ctx, namespace, "sendInitialEvents", "true", "resourceVersionMatch", "NotOlderThan", "allowWatchBookmarks", "true")
}

// watchFromNow watches changes only.
func (s *side) watchFromNow(ctx context.Context, namespace string) (*stream, error) {
	answer, err := s.client.Get().AbsPath(s.path(namespace, "loadbalancers")...).Param("limit", "1").Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	list := page{}
	if err := json.Unmarshal(answer, &list); err != nil {
		return nil, err
	}
	return s.stream(ctx, namespace, "resourceVersion", list.Metadata.ResourceVersion)
}

func (s *side) stream(ctx context.Context, namespace string, params ...string) (*stream, error) {
	r := s.client.Get().AbsPath(s.path(namespace, "loadbalancers")...).Param("watch", "true")
	for pair := range slices.Chunk(params, 2) {
		r.Param(pair[0], pair[1])
	}
	body, err := r.Stream(ctx)
	if err != nil {
		return nil, err
	}
	return &stream{body, bufio.NewReaderSize(body, 1<<20)}, nil
}

func (s *stream) close() { _ = s.body.Close() }

// next returns an event, which holds until the next call.
func (s *stream) next() ([]byte, error) {
	line, err := s.r.ReadSlice('\n')
	if err == nil && bytes.HasPrefix(line, []byte(`{"type":"ERROR"`)) {
		err = errors.New("the watch ended: " + string(line))
	}
	return line, err
}

// sync reads the objects that were there when the watch began, and returns how many.
func (s *stream) sync() (int, error) {
	for n := 0; ; n++ {
		event, err := s.next()
		if err != nil {
			return n, err
		}
		if bytes.HasPrefix(event, []byte(`{"type":"BOOKMARK"`)) && bytes.Contains(event, []byte(`"k8s.io/initial-events-end":"true"`)) {
			return n, nil
		}
	}
}

// version is the resource version that the first metadata in a text has.
func version(text []byte) string {
	_, rest, _ := bytes.Cut(text, []byte(`"resourceVersion":"`))
	v, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(v)
}

// synced watches until what is there has come.
func (s *side) synced(ctx context.Context, namespace string, want int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := s.watch(ctx, namespace)
	if err != nil {
		return err
	}
	defer w.close()
	n, err := w.sync()
	if err == nil && n != want {
		err = fmt.Errorf("a watch of %q has %d objects, not %d", namespace, n, want)
	}
	return err
}

// syncOp watches random ones of the namespaces that have all their objects.
func (s *scaled) syncOp(made int) func(*side) operation {
	return func(side *side) operation {
		return func(ctx context.Context, _, _ int) error {
			whole := max(made/eachNamespace, 1)
			return side.synced(ctx, s.namespaces[rand.IntN(whole)], min(eachNamespace, made)) //nolint:gosec // nothing depends on it
		}
	}
}

// watches prints what watches take: of all objects that are there, and of
// changes.
func (s *scaled) watches(ctx context.Context) error {
	sides := []*side{s.epic.side, s.epic.direct, s.resources}
	progress("  watches")
	all := make([][]result, len(sides))
	for range min(s.count, wholeRounds) {
		for i, side := range sides {
			var took time.Duration
			var failure error
			r, err := withCPU(side.servers, func() result {
				start := time.Now()
				failure = side.synced(ctx, "", s.objects)
				took = time.Since(start)
				return timed([]time.Duration{took}, 0)
			})
			if err = errors.Join(err, failure); err != nil {
				return err
			}
			all[i] = append(all[i], r)
		}
	}
	c := newComparison(fmt.Sprintf("Watches; median of %d rounds, taken in turn. Rates are of objects.", len(all[0])))
	var rs []sideResult
	for i, side := range sides {
		rs = append(rs, sideResult{side, middle(all[i])})
	}
	c.add("watch all, first events", s.objects, rs...)
	if err := c.w.Flush(); err != nil {
		return err
	}
	return s.changes(ctx)
}

// delivery is how long after the start of a write its event arrived, by whom it
// was seen.
type delivery struct {
	writes        result
	narrow, whole []time.Duration
}

// changes prints how long events take from the start of the write, while many
// namespaces are watched, each by a client of its own, and one client watches all.
func (s *scaled) changes(ctx context.Context) error {
	sides := []*side{s.epic.side, s.resources}
	total := make([]delivery, len(sides))
	writes := make([][]result, len(sides))
	for range s.count {
		for i, side := range sides {
			d, err := s.deliver(ctx, side)
			if err != nil {
				return fmt.Errorf("%s: %w", side.name, err)
			}
			writes[i] = append(writes[i], d.writes)
			total[i].narrow, total[i].whole = append(total[i].narrow, d.narrow...), append(total[i].whole, d.whole...)
		}
	}
	watched := min(watchedNamespaces, len(s.namespaces))
	fmt.Printf("\nChanges of status by %d clients, with %d watches of one namespace each and one of all; from the start of\nthe write; %s. No event was lost.\n\n", changers, watched, s.rounds)
	w := table("side\tchanges a second\tmedian\tp99\tCPU each\tevent in its namespace: median\tp99\tin all: median\tp99\t")
	for i, side := range sides {
		r := middle(writes[i])
		n50, n99 := percentiles(total[i].narrow)
		a50, a99 := percentiles(total[i].whole)
		fmt.Fprintf(w, "%s\t%.0f\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", side.name, r.rate, short(r.median), short(r.p99), short(r.cpu), short(n50), short(n99), short(a50), short(a99))
	}
	return w.Flush()
}

// arrivals notes when each version was seen.
type arrivals struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

func (a *arrivals) note(version string) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen[version] = now
}

// after returns how long after their starts the versions were seen, or an error
// as long as one was not.
func (a *arrivals) after(started map[string]time.Time) ([]time.Duration, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var took []time.Duration
	for v, start := range started {
		at, ok := a.seen[v]
		if !ok {
			return nil, fmt.Errorf("no event for version %s", v)
		}
		took = append(took, at.Sub(start))
	}
	return took, nil
}

// follow notes what a watch sees, until it ends with the measurement. The side
// that waits for an object notices that it was lost.
func (a *arrivals) follow(w *stream) {
	defer w.close()
	for {
		event, err := w.next()
		if err != nil {
			return
		}
		a.note(version(event))
	}
}

// deliver changes objects for one round and times the events.
func (s *scaled) deliver(ctx context.Context, side *side) (delivery, error) {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	narrow, whole := &arrivals{seen: map[string]time.Time{}}, &arrivals{seen: map[string]time.Time{}}
	watched := min(watchedNamespaces, len(s.namespaces))
	if err := parallel(watching, changers, watched, func(_ context.Context, i int) error {
		w, err := side.watch(watching, s.namespaces[i])
		if err != nil {
			return err
		}
		if _, err := w.sync(); err != nil {
			w.close()
			return err
		}
		go narrow.follow(w)
		return nil
	}); err != nil {
		return delivery{}, err
	}
	w, err := side.watchFromNow(watching, "")
	if err != nil {
		return delivery{}, err
	}
	go whole.follow(w)
	var mu sync.Mutex
	started := map[string]time.Time{}
	var d delivery
	objects := min(watched*eachNamespace, s.objects)
	run, err := withCPU(side.servers, func() result {
		return measure(ctx, changers, s.length, func(ctx context.Context, _, _ int) error {
			namespace, name := s.place(rand.IntN(objects)) //nolint:gosec // nothing depends on it
			start := time.Now()
			// A number that the object does not have yet, so there is a change.
			patch := fmt.Sprintf(`{"status":{"observedGeneration":%d}}`, start.UnixNano())
			answer, err := side.patchStatus(ctx, namespace, "loadbalancers", name, []byte(patch))
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			started[version(answer)] = start
			return nil
		})
	})
	if err != nil {
		return d, err
	}
	if run.failures > 0 {
		return d, run.failure
	}
	d.writes = run
	for deadline := time.Now().Add(eventPatience); ; time.Sleep(50 * time.Millisecond) {
		var errNarrow, errWhole error
		d.narrow, errNarrow = narrow.after(started)
		d.whole, errWhole = whole.after(started)
		if err := errors.Join(errNarrow, errWhole); err == nil || time.Now().After(deadline) {
			return d, err
		}
	}
}
