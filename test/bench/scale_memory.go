// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"
)

const (
	// A program's memory counts as settled when it has not fallen by a fiftieth
	// in this time, and at the latest after settleLimit.
	settleStep  = 10 * time.Second
	settleLimit = 3 * time.Minute
)

// memory is what one program needs, in bytes.
type memory struct {
	rss, peak int64
	// heap is what is live of it after a collection, for programs that say so.
	heap int64
}

// program is one of those that serve a side.
type program struct {
	name string
	proc *process
	// api serves /debug/pprof, or is nil.
	api *side
}

func (s *scaled) programs() []program {
	return []program{
		{"epic-apiserver", s.epic.epic, s.epic.direct},
		{"kube-apiserver with the custom resources", s.plain.kube, s.resources},
		{"kube-apiserver that EPIC extends", s.extended.kube, s.epic.side},
		{"EPIC's etcd", s.epic.etcd.proc, nil},
		{"etcd with the custom resources", s.plain.etcd.proc, nil},
		{"etcd of the kube-apiserver that EPIC extends", s.extended.etcd.proc, nil},
	}
}

// memories lets every program collect its garbage, waits until they have returned
// what they will, and returns what each has.
func (s *scaled) memories(ctx context.Context) ([]memory, error) {
	progress("  memory settles")
	programs := s.programs()
	out := make([]memory, len(programs))
	for i, p := range programs {
		if p.api == nil {
			continue
		}
		var err error
		if out[i].heap, err = liveHeap(ctx, p.api); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	var last int64
	for end := time.Now().Add(settleLimit); ; {
		var sum int64
		for i, p := range programs {
			var err error
			if out[i].rss, out[i].peak, err = p.proc.memory(); err != nil {
				return nil, err
			}
			sum += out[i].rss
		}
		if last > 0 && sum > last-last/50 || time.Now().After(end) {
			return out, nil
		}
		last = sum
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(settleStep):
		}
	}
}

// liveHeap makes a server collect its garbage and returns what is left.
func liveHeap(ctx context.Context, s *side) (int64, error) {
	text, err := s.client.Get().AbsPath("/debug/pprof/heap").Param("gc", "1").Param("debug", "1").Do(ctx).Raw()
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(text, []byte("# HeapAlloc = "))
	number, _, _ := bytes.Cut(rest, []byte("\n"))
	return strconv.ParseInt(string(number), 10, 64)
}

// sizes prints memory and what etcd holds.
func (s *scaled) sizes(ctx context.Context, empty, loaded []memory) error {
	progress("  sizes")
	programs := s.programs()
	fmt.Printf("\nMemory in MiB: resident after a collection, before and after loading; live heap; the largest resident set\nof the whole run. The ratio is of what the kube-apiserver with the custom resources has when loaded.\n\n")
	w := table("program\tempty\tloaded\tratio\tlive heap\tratio\tlargest\tratio\t")
	base := loaded[1]
	_, basePeak, err := programs[1].proc.memory()
	if err != nil {
		return err
	}
	for i, p := range programs {
		_, peak, err := p.proc.memory()
		if err != nil {
			return err
		}
		heap, heapRatio := "", ""
		if p.api != nil {
			heap, heapRatio = fmt.Sprint(mib(loaded[i].heap)), fmt.Sprintf("%.2f", float64(loaded[i].heap)/float64(base.heap))
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%.2f\t%s\t%s\t%d\t%.2f\t\n", p.name, mib(empty[i].rss), mib(loaded[i].rss),
			float64(loaded[i].rss)/float64(base.rss), heap, heapRatio, mib(peak), float64(peak)/float64(basePeak))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	stored, err := s.describeStored(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("\netcd, without history; average stored object: %s.\n\n", stored)
	plain, err := s.plain.etcd.size(ctx)
	if err != nil {
		return err
	}
	own, err := s.epic.etcd.size(ctx)
	if err != nil {
		return err
	}
	w = table("etcd\tMiB\tratio\t")
	fmt.Fprintf(w, "EPIC: objects and claims\t%d\t%.2f\t\n", mib(own), float64(own)/float64(plain))
	fmt.Fprintf(w, "custom resources\t%d\t1.00\t\n", mib(plain))
	return w.Flush()
}

func mib(bytes int64) int64 { return bytes >> 20 }
