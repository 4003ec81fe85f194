// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// event is one fault of a schedule.
type event struct {
	// At is when it begins, from the start of the run; For is how long it lasts.
	At, For time.Duration
	Fault   string
	// Pick chooses among those that the fault can meet, by its remainder.
	Pick uint64
}

func (e event) String() string {
	return fmt.Sprintf("%8s  %-22s for %s", e.At.Round(time.Second), e.Fault, e.For.Round(100*time.Millisecond))
}

// rhythm is how faults follow each other: some in a round, which may overlap, and then calm, in
// which everything has to become right again.
type rhythm struct {
	// Round is how long faults may begin, Calm how long none does after the last has ended.
	Round, Calm time.Duration
	// Gap is the longest time between the beginnings of two faults.
	Gap time.Duration
}

// schedule draws the faults of a run. The same seed, duration, rhythm and kinds give the same.
func schedule(seed uint64, duration time.Duration, r rhythm, kinds []kind) []event {
	if len(kinds) == 0 {
		return nil
	}
	rng := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a schedule is to be repeatable, not secret
	var out []event
	// Each kind has its turn before one comes again.
	var bag []kind
	next := func() kind {
		if len(bag) == 0 {
			bag = slices.Clone(kinds)
			rng.Shuffle(len(bag), func(i, j int) { bag[i], bag[j] = bag[j], bag[i] })
		}
		k := bag[0]
		bag = bag[1:]
		return k
	}
	for begin := r.Gap / 2; begin < duration; {
		end := begin
		for at := begin; at < min(begin+r.Round, duration); at += r.Gap/4 + time.Duration(rng.Int64N(int64(3*r.Gap/4)+1)) {
			k := next()
			e := event{At: at, Fault: k.name, For: k.least + time.Duration(rng.Int64N(int64(k.most-k.least)+1)), Pick: rng.Uint64()}
			if e.At+e.For > duration {
				return out
			}
			out = append(out, e)
			end = max(end, e.At+e.For)
		}
		begin = end + r.Calm
	}
	return out
}

// choose returns the kinds whose names contain one of the words, which are separated by commas.
// A word after a minus removes kinds.
func choose(all []kind, words string) ([]kind, error) {
	var with, without []string
	for word := range strings.SplitSeq(words, ",") {
		word = strings.TrimSpace(word)
		if name, ok := strings.CutPrefix(word, "-"); ok {
			without = append(without, name)
			word = name
		} else if word != "" {
			with = append(with, word)
		}
		if word != "" && !slices.ContainsFunc(all, func(k kind) bool { return strings.Contains(k.name, word) }) {
			return nil, fmt.Errorf("no fault has %q in its name; -list shows them", word)
		}
	}
	has := func(words []string, name string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return w != "" && strings.Contains(name, w) })
	}
	var out []kind
	for _, k := range all {
		if (len(with) == 0 || has(with, k.name)) && !has(without, k.name) {
			out = append(out, k)
		}
	}
	return out, nil
}
