// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"

	"github.com/acnodal/epic/pkg/addresspool"
)

// thing is an object that claims something of every kind. It is written as JSON
// into an annotation of a pod.
type thing struct {
	// Tunnels maps nodes to IDs; the server assigns those that are 0.
	Tunnels map[string]int32 `json:"tunnels,omitempty"`
	Service int32            `json:"service,omitempty"`
	Place   int32            `json:"place,omitempty"`
	// Address is assigned from the parent's pool if it is "any".
	Address string `json:"address,omitempty"`
	Parent  string `json:"parent,omitempty"`
	Unique  string `json:"unique,omitempty"`
	// Pool makes it a parent.
	Pool string `json:"pool,omitempty"`
}

const thingAnnotation = "thing"

func thingOf(p *example.Pod) (t thing) {
	if s := p.Annotations[thingAnnotation]; s != "" {
		if err := json.Unmarshal([]byte(s), &t); err != nil {
			panic(err)
		}
	}
	return t
}

func setThing(p *example.Pod, t thing) {
	s, err := json.Marshal(t)
	if err != nil {
		panic(err)
	}
	p.Annotations = map[string]string{thingAnnotation: string(s)}
}

// thingRules are the rules of two kinds: parents, which have pools, and things,
// which have all else.
type thingRules struct {
	tunnels, services Space
	limit             int32
}

const (
	parentsResource = "parents"
	thingsResource  = "things"
)

func parentOf(name string) Ref { return Ref{Resource: parentsResource, Namespace: "ns", Name: name} }

func invalid(p *example.Pod, why string) error {
	return apierrors.NewInvalid(schema.GroupKind{Kind: "Thing"}, p.Name+": "+why, nil)
}

func (r *thingRules) Claims(obj runtime.Object) *Set {
	pod := obj.(*example.Pod)
	t, s := thingOf(pod), &Set{}
	for _, id := range t.Tunnels {
		s.AddID(r.tunnels, id)
	}
	s.AddID(r.services, t.Service)
	s.AddPlace(testAccount, t.Place)
	if a, err := netip.ParseAddr(t.Address); err == nil {
		s.AddAddress(a)
	}
	if t.Parent != "" {
		s.AddParent(parentOf(t.Parent), string(pod.UID))
	}
	if t.Unique != "" {
		s.AddUnique("name", t.Unique)
	}
	if p, err := addresspool.Parse(t.Pool); err == nil {
		s.AddPool(p)
	}
	return s
}

func (r *thingRules) Plan(ctx context.Context, p *Plan, old, obj runtime.Object) error {
	pod := obj.(*example.Pod)
	t := thingOf(pod)
	was := thing{}
	if o, ok := old.(*example.Pod); ok {
		was = thingOf(o)
	}
	if err := r.planPool(ctx, p, pod, was, t); err != nil {
		return err
	}
	if t.Pool != "" {
		return nil
	}
	if err := r.planAddress(ctx, p, pod, &t); err != nil {
		return err
	}
	var missing []string
	for node, id := range t.Tunnels {
		if id == 0 {
			missing = append(missing, node)
		}
	}
	slices.Sort(missing)
	ids, err := p.AssignIDs(ctx, r.tunnels, len(missing))
	if errors.Is(err, ErrExhausted) {
		return invalid(pod, "no tunnel ID is left")
	}
	if err != nil {
		return err
	}
	for i, node := range missing {
		t.Tunnels[node] = ids[i]
	}
	if t.Service == 0 {
		ids, err := p.AssignIDs(ctx, r.services, 1)
		if err != nil {
			return err
		}
		t.Service = ids[0]
	}
	if t.Place == 0 {
		t.Place, err = p.PickPlace(ctx, testAccount, r.limit)
		if errors.Is(err, ErrExhausted) {
			return apierrors.NewForbidden(schema.GroupResource{}, pod.Name, err)
		}
		if err != nil {
			return err
		}
	}
	setThing(pod, t)
	return nil
}

// planPool checks a parent's pool.
func (r *thingRules) planPool(ctx context.Context, p *Plan, pod *example.Pod, was, t thing) error {
	if t.Pool == was.Pool {
		return nil
	}
	now, err := addresspool.Parse(t.Pool)
	if err != nil {
		return invalid(pod, "no pool")
	}
	held, err := p.Pools(ctx)
	if err != nil {
		return err
	}
	for _, h := range held {
		if h.Owner.Name != pod.Name && h.Overlaps(now) {
			return invalid(pod, "overlaps")
		}
	}
	if before, err := addresspool.Parse(was.Pool); err == nil {
		for _, gone := range before.Minus(now) {
			p.RequireUnused(gone, func(netip.Addr) error { return invalid(pod, "shrinks") })
		}
		p.ForgetPool(before)
	}
	return nil
}

func (r *thingRules) planAddress(ctx context.Context, p *Plan, pod *example.Pod, t *thing) error {
	if t.Parent == "" {
		return nil
	}
	objs, err := p.Read(ctx, parentOf(t.Parent))
	if err != nil {
		return err
	}
	if objs[0] == nil {
		return invalid(pod, "no parent")
	}
	p.DependOnContent(parentOf(t.Parent))
	pool, err := addresspool.Parse(thingOf(objs[0].(*example.Pod)).Pool)
	if err != nil {
		return err
	}
	if t.Address != "any" {
		if a, err := netip.ParseAddr(t.Address); err == nil && !pool.Contains(a) {
			return invalid(pod, "address outside the pool")
		}
		return nil
	}
	a, err := p.PickAddress(ctx, pool, pool)
	if errors.Is(err, ErrExhausted) {
		return invalid(pod, "no address is left")
	}
	t.Address = a.String()
	return err
}

func (r *thingRules) PlanDelete(_ context.Context, p *Plan, obj runtime.Object) error {
	if pool, err := addresspool.Parse(thingOf(obj.(*example.Pod)).Pool); err == nil {
		p.ForgetPool(pool)
	}
	return nil
}

func (r *thingRules) Taken(obj runtime.Object, c Claim, _ Owner) error {
	return invalid(obj.(*example.Pod), c.Kind()+" is taken")
}

func (r *thingRules) HasChildren(obj runtime.Object, _ Owner) error {
	return apierrors.NewForbidden(schema.GroupResource{}, obj.(*example.Pod).Name, errors.New("it has children"))
}

// errLost is what a server sees when the connection breaks: it does not know
// whether etcd did what it asked for.
var errLost = errors.New("connection lost")

// server is one Backend with its stores.
type server struct {
	b               *Backend
	things, parents storage.Interface
}

func newServer(t testing.TB, prefix string, rules *thingRules) *server {
	t.Helper()
	b := newTestBackend(t, prefix)
	return &server{b: b, things: storeFor(t, b, thingsResource, rules), parents: storeFor(t, b, parentsResource, rules)}
}

// write is one random request.
func (s *server) write(ctx context.Context, r *rand.Rand, seen map[string]runtime.Object) error {
	name := fmt.Sprint("t", r.IntN(14))
	parent := fmt.Sprint("p", r.IntN(3))
	update := func(store storage.Interface, resource, name string, f func(*thing)) error {
		k := resource + "/" + name
		// Now and then the server believes that it knows the object.
		var cached runtime.Object
		if c := seen[k]; c != nil && r.IntN(2) == 0 {
			cached = c.DeepCopyObject()
		}
		out := &example.Pod{}
		err := store.GuaranteedUpdate(ctx, key(resource, name), out, false, nil, storage.SimpleUpdate(func(in runtime.Object) (runtime.Object, error) {
			t := thingOf(in.(*example.Pod))
			f(&t)
			setThing(in.(*example.Pod), t)
			return in, nil
		}), cached)
		if err == nil {
			seen[k] = out
		}
		return err
	}
	create := func(store storage.Interface, resource, name string, t thing) error {
		p := pod(name)
		p.UID = uuid.NewUUID()
		setThing(p, t)
		out := &example.Pod{}
		err := store.Create(ctx, key(resource, name), p, out, 0)
		if err == nil {
			seen[resource+"/"+name] = out
		}
		return err
	}
	// The pools of p0 to p2 overlap at times.
	randomPool := func() string {
		from := r.IntN(3) * 16
		return fmt.Sprintf("192.0.2.%d-192.0.2.%d", from, from+3+r.IntN(14))
	}
	nodes := func(t *thing, n int) {
		if t.Tunnels == nil {
			t.Tunnels = map[string]int32{}
		}
		for range n {
			node := fmt.Sprint("node", r.IntN(12))
			if _, ok := t.Tunnels[node]; !ok {
				t.Tunnels[node] = 0
			}
		}
	}
	switch n := r.IntN(100); {
	case n < 25:
		t := thing{Parent: parent, Address: "any"}
		if r.IntN(4) == 0 {
			t.Address = fmt.Sprint("192.0.2.", r.IntN(48))
		}
		if r.IntN(3) == 0 {
			t.Unique = fmt.Sprint("u", r.IntN(4))
		}
		nodes(&t, r.IntN(6))
		return create(s.things, thingsResource, name, t)
	case n < 55:
		more, fewer := r.IntN(6), r.IntN(6)
		return update(s.things, thingsResource, name, func(t *thing) {
			for _, node := range slices.Sorted(maps.Keys(t.Tunnels)) {
				if fewer > 0 {
					fewer--
					delete(t.Tunnels, node)
				}
			}
			nodes(t, more)
		})
	case n < 65:
		return update(s.things, thingsResource, name, func(t *thing) {
			t.Address = "any"
			if r.IntN(2) == 0 {
				t.Parent = parent
			}
			t.Unique = []string{"", "u0", "u1"}[r.IntN(3)]
		})
	case n < 82:
		return remove(ctx, s.things, thingsResource, name)
	case n < 90:
		return create(s.parents, parentsResource, parent, thing{Pool: randomPool()})
	case n < 94:
		return update(s.parents, parentsResource, parent, func(t *thing) { t.Pool = randomPool() })
	default:
		return remove(ctx, s.parents, parentsResource, parent)
	}
}

// expected reports whether an error is one that rules or races may give.
func expected(err error) bool {
	return err == nil || apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || storage.IsNotFound(err) || storage.IsExist(err) || errors.Is(err, errLost)
}

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

// TestTurns is invariant 3 on one server, where nothing is skipped: an ID comes
// again only when each other one was assigned after it, or was held in the meantime.
func TestTurns(t *testing.T) {
	const size = 20
	b := newTestBackend(t, newPrefix())
	s := storeFor(t, b, "pods", &idRules{space: Space{name: "tunnel", size: size, minBlock: 1, maxBlock: 6, turns: true}})
	r := rand.New(rand.NewPCG(5, 6))
	mustCreate(t, s, "pods", pod("a"))
	held := map[int32]bool{}
	// since lists, for each ID assigned before, who had a turn after it.
	since := map[int32]map[int32]bool{}
	for round := range 150 {
		p := mustAnnotate(t, s, "pods", "a", wantAnnotation, fmt.Sprint(r.IntN(size/2+1)), "round", fmt.Sprint(round))
		now := map[int32]bool{}
		for _, id := range ids(p) {
			now[id] = true
		}
		for _, id := range ids(p) {
			if held[id] {
				continue
			}
			for other := int32(1); other <= size && since[id] != nil; other++ {
				if other != id && !since[id][other] {
					t.Fatalf("%d is assigned again before %d had its turn", id, other)
				}
			}
			for _, others := range since {
				others[id] = true
			}
			since[id] = map[int32]bool{}
		}
		for id := range now {
			for _, others := range since {
				others[id] = true
			}
		}
		held = now
	}
	clean(t, b)
}

// TestWritersDoNotMeet is invariant 8: writers of objects of their own never plan
// twice because of IDs or addresses, on one server and on two.
func TestWritersDoNotMeet(t *testing.T) {
	for _, servers := range []int{1, 2} {
		t.Run(fmt.Sprint(servers), func(t *testing.T) {
			prefix := newPrefix()
			rules := &idRules{space: TunnelIDs, pool: pool(t, "2001:db8::/64")}
			var stores []storage.Interface
			for range servers {
				stores = append(stores, storeFor(t, newTestBackend(t, prefix), "pods", rules))
			}
			planned := retriesSince(t)
			var wg sync.WaitGroup
			for w := range 16 {
				wg.Go(func() {
					s, name := stores[w%servers], fmt.Sprint("w", w)
					if _, err := create(t.Context(), s, "pods", pod(name, addressAnnotation, "any")); err != nil {
						t.Error(err)
					}
					for i := range 20 {
						if _, err := annotate(t.Context(), s, "pods", name, haveAnnotation, "", wantAnnotation, fmt.Sprint(1+i%5)); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			if n := planned(); n != 0 {
				t.Errorf("planned %v times too often", n)
			}
			if n := rules.planned.Load(); n != 16*21 {
				t.Errorf("planned %d times, want %d", n, 16*21)
			}
			clean(t, stores[0].(*store).b)
		})
	}
}
