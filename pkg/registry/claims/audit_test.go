// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/component-base/metrics/testutil"
)

// scene is a small population whose claims a test damages.
type scene struct {
	t *testing.T
	*server
	folder string
}

func newScene(t *testing.T) *scene {
	t.Helper()
	rules := &thingRules{tunnels: TunnelIDs, services: ServiceIDs(testAccount), limit: 10}
	s := &scene{t: t, server: newServer(t, newPrefix(), rules)}
	s.folder = strings.TrimSuffix(s.b.layout.root, ".claims/")
	add := func(store storage.Interface, resource, name string, th thing) {
		p := pod(name)
		setThing(p, th)
		mustCreate(t, store, resource, p)
	}
	add(s.parents, parentsResource, "p", thing{Pool: "192.0.2.0-192.0.2.63"})
	add(s.parents, parentsResource, "q", thing{Pool: "192.0.2.64-192.0.2.127"})
	add(s.things, thingsResource, "a", thing{Parent: "p", Address: "any", Unique: "u", Tunnels: map[string]int32{"n1": 0, "n2": 0}})
	add(s.things, thingsResource, "b", thing{Parent: "p", Address: "any", Tunnels: map[string]int32{"n1": 0, "n2": 0}})
	// IDs: a has 1 and 2, b has 3 and 4, and 5 was assigned last and is free.
	add(s.things, thingsResource, "c", thing{Parent: "p", Address: "any", Tunnels: map[string]int32{"n1": 0}})
	if err := remove(t.Context(), s.things, thingsResource, "c"); err != nil {
		t.Fatal(err)
	}
	clean(t, s.b)
	return s
}

func (s *scene) put(key, value string) {
	s.t.Helper()
	if _, err := s.b.client.Put(s.t.Context(), s.folder+key, value); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) del(key string) {
	s.t.Helper()
	resp, err := s.b.client.Delete(s.t.Context(), s.folder+key)
	if err != nil || resp.Deleted != 1 {
		s.t.Fatalf("%s: deleted %d, %v", key, resp.Deleted, err)
	}
}

func (s *scene) replace(key, old, by string) {
	s.t.Helper()
	resp, err := s.b.client.Get(s.t.Context(), s.folder+key)
	if err != nil || len(resp.Kvs) != 1 || !strings.Contains(string(resp.Kvs[0].Value), old) {
		s.t.Fatalf("%s: %v, %v", key, resp.Kvs, err)
	}
	s.put(key, strings.ReplaceAll(string(resp.Kvs[0].Value), old, by))
}

// TestAuditNamesDamage damages etcd in each way, and expects exactly that to be
// found.
func TestAuditNamesDamage(t *testing.T) {
	const v1 = ".claims/v1/"
	account := digest(testAccount.String())
	tunnel := func(n int) string { return fmt.Sprintf("tunnel/%020d", n) }
	address := func(a string) string { return "address/" + addressKey(addr(a)) }
	poolKey := func(from, to string) string { return "pool/" + addressKey(addr(from)) + "-" + addressKey(addr(to)) }
	ofA := []string{
		address("192.0.2.0"), "child/" + digest("parents/ns/p") + "/uid-a", "",
		"service/" + account + "/" + fmt.Sprintf("%020d", 1), tunnel(1), tunnel(2), "unique/name/" + digest("u"),
	}
	type problems = []string // type, claim, owner's name
	for name, tc := range map[string]struct {
		damage func(*scene)
		want   func(*scene) []problems
	}{
		"tunnel claim gone": {
			func(s *scene) { s.del(v1 + tunnel(1)) },
			func(*scene) []problems { return []problems{{"Missing", tunnel(1), "a"}} },
		},
		"newest tunnel claim gone": {
			func(s *scene) { s.del(v1 + tunnel(4)) },
			func(*scene) []problems { return []problems{{"Missing", tunnel(4), "b"}} },
		},
		"address claim gone": {
			func(s *scene) { s.del(v1 + ofA[0]) },
			func(*scene) []problems { return []problems{{"Missing", ofA[0], "a"}} },
		},
		"parent claim gone": {
			func(s *scene) { s.del(v1 + ofA[1]) },
			func(*scene) []problems { return []problems{{"Missing", ofA[1], "a"}} },
		},
		"place claim gone": {
			func(s *scene) { s.del(v1 + s.place("a")) },
			func(s *scene) []problems { return []problems{{"Missing", s.place("a"), "a"}} },
		},
		"pool claim gone": {
			func(s *scene) { s.del(v1 + poolKey("192.0.2.64", "192.0.2.127")) },
			func(*scene) []problems {
				return []problems{{"Missing", poolKey("192.0.2.64", "192.0.2.127"), "q"}}
			},
		},
		"another's name in a claim": {
			func(s *scene) { s.put(v1+tunnel(1), "things/ns/b/uid-b") },
			func(*scene) []problems { return []problems{{"Foreign", tunnel(1), "b"}} },
		},
		"another UID in a claim": {
			func(s *scene) { s.put(v1+ofA[0], "things/ns/a/uid-before") },
			func(*scene) []problems { return []problems{{"Foreign", ofA[0], "a"}} },
		},
		"no owner in a claim": {
			func(s *scene) { s.put(v1+tunnel(1), "junk") },
			func(*scene) []problems { return []problems{{"Missing", tunnel(1), "a"}, {"Orphaned", tunnel(1), ""}} },
		},
		"object gone": {
			func(s *scene) { s.del("things/ns/a") },
			func(s *scene) []problems {
				var out []problems
				for _, k := range ofA {
					if k == "" {
						k = s.place("a")
					}
					out = append(out, problems{"Orphaned", k, "a"})
				}
				return out
			},
		},
		"parent gone": {
			func(s *scene) { s.del("parents/ns/p") },
			func(*scene) []problems {
				return []problems{
					{"Dangling", "child/" + digest("parents/ns/p") + "/uid-a", "a"},
					{"Dangling", "child/" + digest("parents/ns/p") + "/uid-b", "b"},
					{"Orphaned", poolKey("192.0.2.0", "192.0.2.63"), "p"},
				}
			},
		},
		"stray claim of an object that is there": {
			func(s *scene) { s.put(v1+address("192.0.2.50"), "things/ns/a/uid-a") },
			func(*scene) []problems { return []problems{{"Orphaned", address("192.0.2.50"), "a"}} },
		},
		"stray claim of nobody": {
			func(s *scene) { s.put(v1+tunnel(900), "things/ns/x/uid-x") },
			func(*scene) []problems { return []problems{{"Orphaned", tunnel(900), "x"}} },
		},
		"claim of an unknown kind": {
			func(s *scene) { s.put(v1+"what/ever", "things/ns/a/uid-a") },
			func(*scene) []problems { return []problems{{"Orphaned", "what/ever", "a"}} },
		},
		"two objects with one address": {
			func(s *scene) { s.replace("things/ns/b", "192.0.2.1\\", "192.0.2.0\\") },
			func(*scene) []problems {
				return []problems{{"Foreign", address("192.0.2.0"), "b"}, {"Orphaned", address("192.0.2.1"), "b"}}
			},
		},
		"object with one ID twice": {
			func(s *scene) { s.replace("things/ns/a", `\"n2\":2`, `\"n2\":1`) },
			func(*scene) []problems {
				return []problems{{"Foreign", tunnel(1), "a"}, {"Orphaned", tunnel(2), "a"}}
			},
		},
		"pools overlap": {
			func(s *scene) {
				s.replace("parents/ns/q", "192.0.2.64-", "192.0.2.63-")
				s.del(v1 + poolKey("192.0.2.64", "192.0.2.127"))
				s.put(v1+poolKey("192.0.2.63", "192.0.2.127"), "parents/ns/q/uid-q")
			},
			func(*scene) []problems {
				return []problems{{"Overlapping", poolKey("192.0.2.63", "192.0.2.127"), "q"}}
			},
		},
		"last gone": {
			func(s *scene) { s.del(".claims/last/tunnel") },
			func(*scene) []problems { return []problems{{"Misplaced", "last/tunnel", ""}} },
		},
		"last is older": {
			func(s *scene) { s.put(".claims/last/tunnel", "3") },
			func(*scene) []problems { return []problems{{"Misplaced", "last/tunnel", ""}} },
		},
		"last was never assigned": {
			func(s *scene) { s.put(".claims/last/tunnel", "900") },
			func(*scene) []problems { return []problems{{"Misplaced", "cursor/tunnel", ""}} },
		},
		"last is no number": {
			func(s *scene) { s.put(".claims/last/tunnel", "x") },
			func(*scene) []problems { return []problems{{"Misplaced", "last/tunnel", ""}} },
		},
		"last of service IDs gone": {
			func(s *scene) { s.del(".claims/last/service/" + account) },
			func(*scene) []problems { return []problems{{"Misplaced", "last/service/" + account, ""}} },
		},
		"cursor gone": {
			func(s *scene) { s.del(".claims/cursor/tunnel") },
			func(*scene) []problems { return []problems{{"Misplaced", "cursor/tunnel", ""}} },
		},
		"cursor went back": {
			func(s *scene) { s.put(".claims/cursor/tunnel", formatPosition(4)) },
			func(*scene) []problems { return []problems{{"Misplaced", "cursor/tunnel", ""}} },
		},
		"cursor is no number": {
			func(s *scene) { s.put(".claims/cursor/tunnel", "x") },
			func(*scene) []problems { return []problems{{"Misplaced", "cursor/tunnel", ""}} },
		},
		"two things at once": {
			func(s *scene) {
				s.del(v1 + tunnel(1))
				s.put(v1+tunnel(77), "things/ns/b/uid-b")
			},
			func(*scene) []problems {
				return []problems{{"Missing", tunnel(1), "a"}, {"Orphaned", tunnel(77), "b"}}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			var want []string
			for _, p := range tc.want(s) {
				want = append(want, strings.Join(p, " "))
			}
			tc.damage(s)
			r, err := s.b.Audit(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			counts := map[ProblemType]float64{Missing: 0, Orphaned: 0, Foreign: 0, Dangling: 0, Overlapping: 0, Misplaced: 0}
			for _, p := range r.Problems {
				got = append(got, fmt.Sprint(p.Type, " ", p.Claim, " ", p.Owner.Name))
				counts[p.Type]++
				if p.Message == "" {
					t.Errorf("%s %s has no message", p.Type, p.Claim)
				}
			}
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			for problem, n := range counts {
				if v, err := testutil.GetGaugeMetricValue(auditProblems.WithLabelValues(string(problem))); err != nil || v != n {
					t.Errorf("the metric says %v %s, %v, want %v", v, problem, err, n)
				}
			}
		})
	}
}

// place is the key of the place that a thing has.
func (s *scene) place(name string) string {
	s.t.Helper()
	p := &example.Pod{}
	if err := s.things.Get(s.t.Context(), key(thingsResource, name), storage.GetOptions{}, p); err != nil {
		s.t.Fatal(err)
	}
	return fmt.Sprintf("place/%s/%020d", digest(testAccount.String()), thingOf(p).Place)
}

// TestAuditReadsAtOneRevision: what changes during an audit is not its business.
func TestAuditReadsAtOneRevision(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	s := storeFor(t, b, "pods", &idRules{space: TunnelIDs})
	const n = objectsPage + 20
	for i := range n {
		mustCreate(t, s, "pods", pod(fmt.Sprintf("p%03d", i), wantAnnotation, "10"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			_, _ = annotate(ctx, s, "pods", fmt.Sprintf("p%03d", i%n), haveAnnotation, "", "i", fmt.Sprint(i))
		}
	}()
	for range 5 {
		r, err := b.Audit(t.Context())
		if err != nil || len(r.Problems) != 0 || r.Objects != n || r.Claims != 10*n {
			t.Fatalf("got %+v, %v", r, err)
		}
	}
	cancel()
	<-done
	// An object that can't be read is reported, and so is what is wrong with others.
	if _, err := b.client.Put(t.Context(), strings.TrimSuffix(b.layout.root, ".claims/")+"pods/ns/p000", "junk"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.client.Put(t.Context(), b.layout.claim(AddressClaim(addr("192.0.2.1"))), "pods/ns/p001/uid-p001"); err != nil {
		t.Fatal(err)
	}
	r, err := b.Audit(t.Context())
	if err != nil || r.Objects != n || len(r.Problems) != 2 {
		t.Fatalf("got %+v, %v", r, err)
	}
	orphaned, unreadable := r.Problems[0], r.Problems[1]
	if orphaned.Type != Orphaned || unreadable.Type != Unreadable || unreadable.Owner.Name != "p000" || !strings.Contains(unreadable.Message, "pods/ns/p000") {
		t.Errorf("got %+v", r.Problems)
	}
}

func TestRunAudits(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	s := storeFor(t, b, "pods", &idRules{space: TunnelIDs})
	mustCreate(t, s, "pods", pod("a", haveAnnotation, "1"))
	hold(t, b, Claim{kind: "tunnel", number: 1})
	ctx, cancel := context.WithCancel(t.Context())
	auditProblems.Reset()
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.RunAudits(ctx, time.Hour)
	}()
	deadline := time.Now().Add(10 * time.Second)
	for {
		v, err := testutil.GetGaugeMetricValue(auditProblems.WithLabelValues(string(Foreign)))
		if err == nil && v == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the metric says %v, %v", v, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("audits go on")
	}
}
