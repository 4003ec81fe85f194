// SPDX-License-Identifier: Apache-2.0

package main

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

var testRhythm = rhythm{Round: 3 * time.Minute, Calm: time.Minute, Gap: 20 * time.Second}

// The same seed gives the same faults, another one others. They stay within the duration, come in
// rounds with calm between them, and each kind has its turn before one comes again.
func TestSchedule(t *testing.T) {
	all := kinds(true)
	const duration = 2 * time.Hour
	for seed := range uint64(20) {
		events := schedule(seed, duration, testRhythm, all)
		if !reflect.DeepEqual(events, schedule(seed, duration, testRhythm, all)) {
			t.Fatalf("seed %d gives two schedules", seed)
		}
		if reflect.DeepEqual(events, schedule(seed+1, duration, testRhythm, all)) {
			t.Errorf("seeds %d and %d give the same schedule", seed, seed+1)
		}
		if len(events) < 2*len(all) {
			t.Fatalf("seed %d gives %d faults", seed, len(events))
		}
		times := map[string]int{}
		var until, calm time.Duration
		for i, e := range events {
			if e.At < 0 || e.At+e.For > duration {
				t.Errorf("seed %d: %s is not within the duration", seed, e)
			}
			if i > 0 && e.At < events[i-1].At {
				t.Errorf("seed %d: %s comes after a later one", seed, e)
			}
			if i > 0 && e.At-until >= testRhythm.Calm {
				calm += e.At - until
			}
			until = max(until, e.At+e.For)
			if times[e.Fault]++; times[e.Fault] > i/len(all)+1 {
				t.Errorf("seed %d: %s comes the %dth time as fault %d", seed, e.Fault, times[e.Fault], i+1)
			}
		}
		if calm < duration/8 {
			t.Errorf("seed %d: it is calm for %s only", seed, calm)
		}
	}
	if got := schedule(1, time.Hour, testRhythm, nil); got != nil {
		t.Errorf("without kinds there are %v", got)
	}
}

func TestChoose(t *testing.T) {
	all := kinds(true)
	for words, want := range map[string]string{
		"etcd-kill":                   "etcd-kill",
		"envoy, proxy":                "envoy-kill proxy-kill envoy-stop",
		"operator,-stop":              "operator-kill operator-without-api",
		"client-kill,upgrade":         "client-kill upgrade",
		"-e,-a,-o,-i,packet-disorder": "",
	} {
		got, err := choose(all, words)
		var names []string
		for _, k := range got {
			names = append(names, k.name)
		}
		if err != nil || strings.Join(names, " ") != want {
			t.Errorf("%q: %q, %v, want %q", words, names, err, want)
		}
	}
	if got, err := choose(all, ""); err != nil || len(got) != len(all) {
		t.Errorf("without words there are %d of %d kinds: %v", len(got), len(all), err)
	}
	for _, words := range []string{"etcd,nothing-like-that", "-nothing"} {
		if _, err := choose(all, words); err == nil {
			t.Errorf("%q: no error", words)
		}
	}
	// Every kind has a name of its own, a time, and a way to be made.
	seen := map[string]bool{}
	for _, k := range all {
		if seen[k.name] || k.least <= 0 || k.most < k.least || k.run == nil || k.excuses == "" {
			t.Errorf("the kind %q is not complete, or is there twice", k.name)
		}
		seen[k.name] = true
	}
}
