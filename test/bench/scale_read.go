// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// page is as much of a list as the benchmark looks at.
type page struct {
	Metadata struct {
		Continue        string `json:"continue"`
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
	Items []struct{} `json:"items"`
}

// listed reads a list and returns its length, and the token of the next page.
func listed(answer []byte) (int, string, error) {
	p := page{}
	err := json.Unmarshal(answer, &p)
	return len(p.Items), p.Metadata.Continue, err
}

// getOp reads random ones of the first made objects.
func (s *scaled) getOp(made int) func(*side) operation {
	return func(side *side) operation {
		return func(ctx context.Context, _, _ int) error {
			namespace, name := s.place(rand.IntN(made)) //nolint:gosec // nothing depends on it
			_, err := side.client.Get().AbsPath(side.path(namespace, "loadbalancers", name)...).Do(ctx).Raw()
			return err
		}
	}
}

// namespaceOp lists random ones of the namespaces that have all their objects.
func (s *scaled) namespaceOp(made int) func(*side) operation {
	return func(side *side) operation {
		return func(ctx context.Context, _, _ int) error {
			whole := max(made/eachNamespace, 1)
			namespace := s.namespaces[rand.IntN(whole)] //nolint:gosec // nothing depends on it
			_, err := side.client.Get().AbsPath(side.path(namespace, "loadbalancers")...).Do(ctx).Raw()
			return err
		}
	}
}

// pager lists all objects of a side, page by page.
type pager struct {
	side  *side
	token string
	done  bool
	got   int
	took  []time.Duration
	cpu   time.Duration
}

// next reads a page. What the client does with it is not measured.
func (p *pager) next(ctx context.Context) error {
	var answer []byte
	var failure error
	r, err := withCPU(p.side.servers, func() result {
		start := time.Now()
		answer, failure = p.side.client.Get().AbsPath(p.side.path("", "loadbalancers")...).
			Param("limit", fmt.Sprint(pageSize)).Param("continue", p.token).Do(ctx).Raw()
		return timed([]time.Duration{time.Since(start)}, 0)
	})
	if err = errors.Join(err, failure); err != nil {
		return err
	}
	p.took, p.cpu = append(p.took, r.median), p.cpu+r.cpu
	n, token, err := listed(answer)
	p.got, p.token, p.done = p.got+n, token, token == ""
	return err
}

// pages lists all objects of each side once, a page of each in turn.
func pages(ctx context.Context, want int, sides ...*side) ([]sideResult, error) {
	pagers := make([]*pager, len(sides))
	for i, side := range sides {
		pagers[i] = &pager{side: side}
	}
	for left := len(pagers); left > 0; {
		for _, p := range pagers {
			if p.done {
				continue
			}
			if err := p.next(ctx); err != nil {
				return nil, err
			}
			if p.done {
				left--
			}
		}
	}
	var rs []sideResult
	for _, p := range pagers {
		if p.got != want {
			return nil, fmt.Errorf("%s lists %d objects, not %d", p.side.name, p.got, want)
		}
		rs = append(rs, sideResult{p.side, timed(p.took, p.cpu)})
	}
	return rs, nil
}

// timed is the result of operations that followed each other.
func timed(took []time.Duration, cpu time.Duration) result {
	var sum time.Duration
	for _, d := range took {
		sum += d
	}
	r := result{tries: len(took), rate: float64(len(took)) / sum.Seconds(), cpu: cpu / time.Duration(max(len(took), 1))}
	r.median, r.p99 = percentiles(took)
	return r
}

// narrowReads measures what should cost what it returns, however much there is
// next to it: a list and a watch of one namespace, and pages. There are three
// results a side.
func (s *scaled) narrowReads(ctx context.Context, made int) ([]sideResult, error) {
	progress("  narrow reads among %d", made)
	sides := []*side{s.epic.side, s.epic.direct, s.resources}
	results, err := s.sidesInTurns(ctx, 1, s.namespaceOp(made), sides...)
	if err != nil {
		return nil, err
	}
	more, err := s.sidesInTurns(ctx, 1, s.syncOp(made), sides...)
	if err != nil {
		return nil, err
	}
	results = append(results, more...)
	all, err := pages(ctx, made, sides...)
	return append(results, all...), err
}

// reads prints what reads take with all objects there. few is narrowReads's
// answer when the first chunk was there.
func (s *scaled) reads(ctx context.Context, few []sideResult) error {
	c := newComparison(fmt.Sprintf("Reads; %s, or a page of each side in turn. Rates are of objects.", s.rounds))
	progress("  gets")
	gets, err := s.sidesInTurns(ctx, 8, s.getOp(s.objects), s.epic.side, s.epic.direct, s.resources)
	if err != nil {
		return err
	}
	c.add("get, 8 clients", 1, gets...)
	many, err := s.narrowReads(ctx, s.objects)
	if err != nil {
		return err
	}
	inNamespace := min(eachNamespace, s.objects)
	c.add("list one namespace", inNamespace, many[0:3]...)
	c.add("watch one namespace, first events", inNamespace, many[3:6]...)
	c.add(fmt.Sprintf("list all, pages of %d", pageSize), min(pageSize, s.objects), many[6:9]...)
	if err := c.w.Flush(); err != nil {
		return err
	}
	fmt.Printf("\nWhat else there is, and what it costs: the same among %d objects and among %d.\n\n", max(s.objects/chunks, 1), s.objects)
	w := table("operation\tside\tmedian among few\tamong all\tratio\tCPU among few\tamong all\tratio\t")
	for i, m := range many {
		f := few[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.2f\t%s\t%s\t%.2f\t\n", []string{"list one namespace", "watch one namespace, first events", "a page of all"}[i/3], m.side.name,
			short(f.median), short(m.median), float64(m.median)/float64(f.median), short(f.cpu), short(m.cpu), float64(m.cpu)/float64(max(f.cpu, 1)))
	}
	return w.Flush()
}
