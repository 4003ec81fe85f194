// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// creates measures creation alone, in turn: objects load balancers a round on each
// side, by as many clients as scale has. It prints what each program of a side used
// for one creation, and how often EPIC's server went to etcd for one. Profiles of
// the servers' CPU go to a folder, if one is given.
func creates(ctx context.Context, b binaries, objects int, r rounds, profiles string) error {
	s := &scaled{rounds: r, objects: objects * (r.count + 1)}
	defer s.stop()
	progress("%d creations a round, in EPIC and as custom resources", objects)
	if err := s.start(ctx, b); err != nil {
		return err
	}
	fmt.Printf("\nCreations by %d clients, %d a round, %d rounds in turn; the first round of all is not measured.\n\n", loaders, objects, r.count)
	c := newComparison("Medians of the rounds.")
	sides := []*side{s.epic.side, s.resources}
	results := make([][]result, len(sides))
	shares := make([]map[string]time.Duration, len(sides))
	var requests, again float64
	for round := range r.count + 1 {
		made := make([]*epicv1.LoadBalancer, objects)
		for i, side := range sides {
			for n := range made {
				if side.api == epicAPI {
					made[n] = s.wanted(side, round*objects+n)
				} else {
					made[n] = s.alike(side, made[n])
				}
			}
			stop := s.profile(ctx, side, profiles, round)
			before, err := s.programCPU(side)
			if err != nil {
				return err
			}
			counted, err := s.counters(ctx)
			if err != nil {
				return err
			}
			one, err := s.writeAll(ctx, side, made, func(ctx context.Context, lb *epicv1.LoadBalancer) error {
				return side.create(ctx, lb.Namespace, "loadbalancers", lb)
			})
			stop()
			if err != nil {
				return err
			}
			after, err := s.programCPU(side)
			if err != nil {
				return err
			}
			now, err := s.counters(ctx)
			if err != nil {
				return err
			}
			progress("  %s: %.0f a second, median %s", side.name, one.rate, short(one.median))
			if round == 0 {
				continue
			}
			results[i] = append(results[i], one)
			if shares[i] == nil {
				shares[i] = map[string]time.Duration{}
			}
			for name := range after {
				shares[i][name] += after[name] - before[name]
			}
			if i == 0 {
				requests += now[0] - counted[0]
				again += now[1] - counted[1]
			}
		}
	}
	all := float64(objects * r.count)
	c.add("create", 1, sideResult{sides[0], middle(results[0])}, sideResult{sides[1], middle(results[1])})
	if err := c.w.Flush(); err != nil {
		return err
	}
	fmt.Printf("\nCPU of each program for one creation, mean of the rounds:\n\n")
	w := table("side\tprogram\tCPU\t")
	for i, side := range sides {
		for _, p := range side.servers {
			fmt.Fprintf(w, "%s\t%s\t%s\t\n", side.name, p.name, short(time.Duration(float64(shares[i][p.name])/all)))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Printf("\nRequests to etcd for one creation in EPIC: %.3f; plans made again: %.3f.\n", requests/all, again/all)
	return nil
}

func (*scaled) programCPU(s *side) (map[string]time.Duration, error) {
	out := map[string]time.Duration{}
	for _, p := range s.servers {
		d, err := p.cpu()
		if err != nil {
			return nil, err
		}
		out[p.name] += d
	}
	return out, nil
}

// counters are the requests for keys that EPIC's server has sent to etcd, and the
// plans that it made again.
func (s *scaled) counters(ctx context.Context) (out [2]float64, err error) {
	text, err := s.epic.direct.client.Get().AbsPath("/metrics").Do(ctx).Raw()
	if err != nil {
		return out, err
	}
	for line := range strings.Lines(string(text)) {
		name, number, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if name == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if number == "" {
			name, number, _ = strings.Cut(name, " ")
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil {
			continue
		}
		switch {
		case strings.HasPrefix(name, "grpc_client_started_total") && strings.Contains(name, `grpc_service="etcdserverpb.KV"`):
			out[0] += n
		case name == "epic_claims_plan_retries_total", name == "epic_claims_outdated_memory_total":
			out[1] += n
		}
	}
	return out, nil
}

// profile records what the servers of a side do until the function that it returns
// is called.
func (s *scaled) profile(ctx context.Context, side *side, folder string, round int) func() {
	if folder == "" {
		return func() {}
	}
	ends := make(chan error, 2)
	record := func(from interface {
		profile(ctx context.Context, seconds int) ([]byte, error)
	}, name string) {
		text, err := from.profile(ctx, 3)
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%d.pprof", name, round)), text, 0o600)
		}
		ends <- err
	}
	if side == s.epic.side {
		go record(s.epic.direct, "epic")
		go record(s.epic.side, "aggregator")
	} else {
		go record(s.resources, "resources")
		ends <- nil
	}
	return func() {
		for range 2 {
			if err := <-ends; err != nil {
				progress("  no profile: %v", err)
			}
		}
	}
}

func (s *side) profile(ctx context.Context, seconds int) ([]byte, error) {
	return s.client.Get().AbsPath("/debug/pprof/profile").Param("seconds", fmt.Sprint(seconds)).Do(ctx).Raw()
}
