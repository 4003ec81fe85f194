// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

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
	s.AddSlot(testAccount, t.Place)
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
		t.Place, err = p.PickSlot(ctx, testAccount, r.limit)
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
