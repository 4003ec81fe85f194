// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// summary is the report in one line.
func (r *runner) summary() string {
	r.oracle.mu.Lock()
	defer r.oracle.mu.Unlock()
	faults := 0
	for _, n := range r.made {
		faults += n
	}
	return fmt.Sprintf("%d faults, %d requests, %d violations.", faults, r.sent(), len(r.oracle.violations))
}

func (r *runner) sent() int64 {
	if r.visitors == nil {
		return 0
	}
	return r.visitors.sent.Load()
}

// report is what happened, in Markdown.
func (r *runner) report() string {
	o := r.oracle
	o.mu.Lock()
	defer o.mu.Unlock()
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Chaos\n\nSeed %d, begun %s. Faults for %s; the whole run took %s.\n", r.seed, r.begun.UTC().Format(time.RFC3339), r.calmed.Sub(r.started).Round(time.Second), time.Since(r.begun).Round(time.Second))
	line("%d violations. %d audits were clean. In the quiet end, %d of %d requests failed.\n", len(o.violations), r.site.audits.Load(), r.quietFailures, r.quietRequests)

	line("## Requests\n\n%d were sent; %d more were not, because %d were under way. The slowest right answer took %s.\n", r.sent(), skippedBy(r.visitors), mostOpen, slowestOf(r.visitors))
	line("| outcome | requests |\n| --- | ---: |")
	for _, outcome := range slices.SortedFunc(maps.Keys(o.counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(o.counts[b], o.counts[a]), strings.Compare(a, b))
	}) {
		line("| %s | %d |", outcome, o.counts[outcome])
	}
	line("\n| | median | 95 %% | longest | times |\n| --- | ---: | ---: | ---: | ---: |")
	line("| from the write of something new to the end of %d right answers in a row | %s |", steadyStreak, spread(o.newTook))
	line("| from the end of a fault that lets requests fail to the end of %d right answers in a row | %s |", steadyStreak, spread(o.recoverTook))

	line("\n## Faults\n\n| fault | times | may be noticed as |\n| --- | ---: | --- |")
	for _, k := range r.kinds {
		line("| %s | %d | %s |", k.name, r.made[k.name], k.excuses)
	}
	line("\n## Changes\n\n| tenants' changes | times |\n| --- | ---: |")
	changes := map[string]int{}
	var writes, retries int64
	for _, a := range r.actors {
		for name, n := range a.changes {
			changes[name] += n
		}
		writes, retries = writes+a.writes.Load(), retries+a.retries.Load()
	}
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		line("| %s | %d |", name, changes[name])
	}
	line("\nThey took %d requests of the API, of which %d had to be repeated.", writes, retries)

	line("\n## Violations\n")
	if len(o.violations) == 0 {
		line("None.")
	}
	for i, v := range o.violations {
		line("%d. **%s**, %s: %d times from %s to %s\n\n```text\n%s\n```\n", i+1, v.kind, v.target, v.times, r.at(v.first), r.at(v.last), strings.TrimSpace(v.detail))
		for _, e := range o.timeline {
			if gap := v.first.Sub(e.at); gap > -5*time.Second && gap < 2*time.Minute {
				line("   - %s %s %s", r.at(e.at), e.what, firstLine(e.detail))
			}
		}
	}
	line("\n## Timeline\n\n```text")
	for _, e := range o.timeline {
		line("%s  %s  %s", r.at(e.at), e.what, firstLine(e.detail))
	}
	line("```")
	return b.String()
}

// at is a time of the run.
func (r *runner) at(t time.Time) string {
	return fmt.Sprintf("%8s", t.Sub(r.started).Round(100*time.Millisecond))
}

func firstLine(text string) string {
	first, _, _ := strings.Cut(text, "\n")
	return first
}

// spread is the middle and the end of some times, as cells of a table.
func spread(all []time.Duration) string {
	if len(all) == 0 {
		return "| | | 0"
	}
	sorted := slices.Sorted(slices.Values(all))
	at := func(part float64) time.Duration {
		return sorted[int(part*float64(len(sorted)-1))].Round(10 * time.Millisecond)
	}
	return fmt.Sprintf("%s | %s | %s | %d", at(0.5), at(0.95), at(1), len(sorted))
}

func skippedBy(v *visitors) int64 {
	if v == nil {
		return 0
	}
	return v.skipped.Load()
}

func slowestOf(v *visitors) time.Duration {
	if v == nil {
		return 0
	}
	v.slow.Lock()
	defer v.slow.Unlock()
	return v.slowest.Round(time.Millisecond)
}
