// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/acnodal/epic/pkg/addresspool"
)

// TestHistories runs random requests on two servers at once, with connections
// that break, and then looks at every revision that etcd had in the meantime.
func TestHistories(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			prefix := newPrefix()
			rules := &thingRules{
				tunnels:  Space{name: "tunnel", size: 60, minBlock: 1, maxBlock: 8, turns: true},
				services: ServiceIDs(testAccount),
				limit:    10,
			}
			events := record(t, prefix)
			servers := []*server{newServer(t, prefix, rules), newServer(t, prefix, rules)}
			var wg sync.WaitGroup
			var mu sync.Mutex
			done := map[string]int{}
			for n, s := range servers {
				faults := rand.New(rand.NewPCG(seed, uint64(1000+n)))
				breakEtcd(s.b).set(nil, func(resp *clientv3.TxnResponse, err error) (*clientv3.TxnResponse, error) {
					mu.Lock()
					defer mu.Unlock()
					if faults.IntN(100) == 0 {
						return nil, errLost
					}
					return resp, err
				})
				for worker := range 3 {
					r := rand.New(rand.NewPCG(seed, uint64(10*n+worker)))
					wg.Go(func() {
						seen := map[string]runtime.Object{}
						for range 80 {
							err := s.write(t.Context(), r, seen)
							if !expected(err) {
								t.Errorf("%T %v", err, err)
							}
							mu.Lock()
							done[fmt.Sprintf("%v", apierrors.ReasonForError(err))+fmt.Sprint(err == nil)]++
							mu.Unlock()
						}
					})
				}
			}
			wg.Wait()
			for _, s := range servers {
				s.b.client.KV = s.b.client.KV.(*faultyKV).KV
			}
			t.Log(done)
			clean(t, servers[0].b)
			h := newHistory(t, prefix, rules)
			for _, revision := range events() {
				h.step(revision)
			}
			h.end(servers[1].b)
		})
	}
}

// record returns a function that ends the recording of all that happens under a
// prefix, and returns it by revision.
func record(t testing.TB, prefix string) func() [][]*clientv3.Event {
	t.Helper()
	c := rawClient(t, etcdEndpoint)
	now, err := c.Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	return func() [][]*clientv3.Event {
		t.Helper()
		end, err := c.Put(t.Context(), prefix+"/end", "x")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var out [][]*clientv3.Event
		last := int64(0)
		for resp := range c.Watch(ctx, prefix+"/", clientv3.WithPrefix(), clientv3.WithRev(now.Header.Revision+1)) {
			if err := resp.Err(); err != nil {
				t.Fatal(err)
			}
			for _, e := range resp.Events {
				if e.Kv.ModRevision == end.Header.Revision {
					return out
				}
				if e.Kv.ModRevision != last {
					out = append(out, nil)
					last = e.Kv.ModRevision
				}
				out[len(out)-1] = append(out[len(out)-1], e)
			}
		}
		t.Fatal("the recording broke off")
		return nil
	}
}

// history is an independent reader of what etcd holds. It shares no code with
// the store or the audit: keys are written out here once more.
type history struct {
	t       testing.TB
	prefix  string
	rules   *thingRules
	keys    map[string]string
	objects map[string]stored
	// positions are those at which each tunnel ID was assigned last.
	positions map[uint64]uint64
	last      string
	assigned  int
	claims    int
}

type stored struct {
	resource, name, uid string
	thing               thing
}

func newHistory(t testing.TB, prefix string, rules *thingRules) *history {
	return &history{t: t, prefix: prefix, rules: rules, keys: map[string]string{}, objects: map[string]stored{}, positions: map[uint64]uint64{}}
}

func (h *history) step(events []*clientv3.Event) {
	h.t.Helper()
	rev := events[0].Kv.ModRevision
	var assigned []string
	last := ""
	for _, e := range events {
		k := strings.TrimPrefix(string(e.Kv.Key), h.prefix)
		switch {
		case e.Type == mvccpb.Event_DELETE:
			delete(h.keys, k)
			delete(h.objects, k)
			continue
		case strings.HasPrefix(k, "/"+thingsResource+"/") || strings.HasPrefix(k, "/"+parentsResource+"/"):
			h.objects[k] = h.read(k, e.Kv.Value)
		case strings.HasPrefix(k, "/.claims/v1/tunnel/"):
			if !e.IsCreate() {
				h.t.Errorf("revision %d: %s changes its owner to %s", rev, k, e.Kv.Value)
			}
			assigned = append(assigned, strings.TrimLeft(k[len("/.claims/v1/tunnel/"):], "0"))
		case k == "/.claims/last/tunnel":
			last = string(e.Kv.Value)
		}
		h.keys[k] = string(e.Kv.Value)
	}
	// Invariant 4: the last ID is one of those that the same write assigned.
	if (last != "") != (len(assigned) > 0) || last != "" && !slices.Contains(assigned, last) {
		h.t.Errorf("revision %d assigns %v and records %q as the last", rev, assigned, last)
	}
	if last != "" {
		h.last = last
	}
	h.inTurn(rev, assigned)
	h.equal(rev)
}

func (h *history) read(k string, value []byte) stored {
	h.t.Helper()
	var o struct {
		Metadata struct {
			Name, UID   string
			Annotations map[string]string
		}
	}
	if err := json.Unmarshal(value, &o); err != nil {
		h.t.Fatal(err)
	}
	s := stored{resource: strings.Split(k, "/")[1], name: o.Metadata.Name, uid: o.Metadata.UID}
	if err := json.Unmarshal([]byte(o.Metadata.Annotations[thingAnnotation]), &s.thing); err != nil {
		h.t.Fatal(err)
	}
	return s
}

// inTurn is invariant 3: where an ID stands in the numbering that counts on
// through all turns is known by the cursor, and no place in it comes twice.
func (h *history) inTurn(rev int64, assigned []string) {
	h.t.Helper()
	if len(assigned) == 0 {
		return
	}
	cursor, err := strconv.ParseUint(strings.TrimLeft(h.keys["/.claims/cursor/tunnel"], "0"), 10, 64)
	if err != nil {
		h.t.Fatalf("revision %d: %v", rev, err)
	}
	size := h.rules.tunnels.size
	for _, s := range assigned {
		id, err := strconv.ParseUint(s, 10, 64)
		if err != nil || id < 1 || id > size {
			h.t.Fatalf("revision %d assigns %q", rev, s)
		}
		// The only position of this ID of the latest size positions.
		position := (id - 1) + (cursor-1-(id-1))/size*size
		if before, ok := h.positions[id]; ok && position <= before {
			h.t.Errorf("revision %d assigns %d at position %d again, cursor %d", rev, id, position, cursor)
		}
		h.positions[id] = position
		h.assigned++
	}
}

// equal is invariants 1 and 2 at one revision: every object holds what it says,
// nobody holds anything else, and nothing is held twice.
func (h *history) equal(rev int64) {
	h.t.Helper()
	want := map[string]string{}
	add := func(o stored, k string) {
		if other, ok := want[k]; ok {
			h.t.Errorf("revision %d: %s and %s both have %s", rev, o.name, other, k)
		}
		want[k] = o.resource + "/ns/" + o.name + "/" + o.uid
	}
	address := func(s string) string {
		b := netip.MustParseAddr(s).As16()
		return hex.EncodeToString(b[:])
	}
	account := digest("accounts/epic-a/a")
	var pools []addresspool.Pool
	for _, o := range h.objects {
		t := o.thing
		for _, id := range t.Tunnels {
			add(o, fmt.Sprintf("tunnel/%020d", id))
		}
		if t.Pool != "" {
			from, to, _ := strings.Cut(t.Pool, "-")
			add(o, "pool/"+address(from)+"-"+address(to))
			p := addresspool.Between(netip.MustParseAddr(from), netip.MustParseAddr(to))
			for _, q := range pools {
				if !p.To().Less(q.From()) && !q.To().Less(p.From()) {
					h.t.Errorf("revision %d: pools %s and %s overlap", rev, p, q)
				}
			}
			pools = append(pools, p)
			continue
		}
		add(o, fmt.Sprintf("service/%s/%020d", account, t.Service))
		add(o, fmt.Sprintf("place/%s/%020d", account, t.Place))
		if t.Place < 1 || t.Place > h.rules.limit || t.Service < 1 {
			h.t.Errorf("revision %d: %s has place %d and service ID %d", rev, o.name, t.Place, t.Service)
		}
		add(o, "address/"+address(t.Address))
		add(o, "child/"+digest("parents/ns/"+t.Parent)+"/"+o.uid)
		if t.Unique != "" {
			add(o, "unique/name/"+digest(t.Unique))
		}
		// What it depends on is there, and has the address.
		p, ok := h.objects["/"+parentsResource+"/ns/"+t.Parent]
		if !ok {
			h.t.Errorf("revision %d: %s without its parent %s", rev, o.name, t.Parent)
			continue
		}
		from, to, _ := strings.Cut(p.thing.Pool, "-")
		if a := netip.MustParseAddr(t.Address); a.Less(netip.MustParseAddr(from)) || netip.MustParseAddr(to).Less(a) {
			h.t.Errorf("revision %d: %s has %s outside %s", rev, o.name, a, p.thing.Pool)
		}
	}
	n := 0
	for k, v := range h.keys {
		claim, ok := strings.CutPrefix(k, "/.claims/v1/")
		if !ok {
			continue
		}
		n++
		if want[claim] != v {
			h.t.Errorf("revision %d: %s is held by %q, want %q", rev, claim, v, want[claim])
		}
	}
	if n != len(want) {
		h.t.Errorf("revision %d: %d claims, want %d", rev, n, len(want))
	}
	h.claims += n
}

func (h *history) end(b *Backend) {
	h.t.Helper()
	if h.claims == 0 || h.assigned < 60 {
		h.t.Errorf("the history is empty: %d claims, %d IDs", h.claims, h.assigned)
	}
	last, err := b.Last(h.t.Context(), h.rules.tunnels)
	if err != nil || fmt.Sprint(last[0]) != h.last {
		h.t.Errorf("the last ID is %d, %v, want %s", last[0], err, h.last)
	}
	h.t.Logf("%d IDs assigned, up to position %s", h.assigned, strings.TrimLeft(h.keys["/.claims/cursor/tunnel"], "0"))
}
