// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/acnodal/epic/pkg/addresspool"
)

// Plan is one attempt at one write: what Rules read, rely on and allocate.
type Plan struct {
	b       *Backend
	preview bool
	// fresh plans read everything from etcd.
	fresh bool

	seen map[Ref]revisions
	// remembered lists the objects that came from the cache, content those whose revision
	// the transaction compares.
	remembered []Ref
	content    map[Ref]bool
	// assumed indicates that the plan also relies on facts that were not read: that an
	// object does not exist, or that a quota slot is free.
	assumed bool
	slot    *pickedSlot
	// namespace is the namespace of the object.
	namespace string
	// cooled holds the known revisions of cooling keys, restored the known state of the
	// last restore.
	cooled   map[Claim]int64
	restored *restored

	conditions []condition
	picked     map[Claim]struct{}
	grants     []grant
	puts       map[string]string
	removals   []string
}

// condition is a comparison in the write's transaction, and the meaning of its failure.
type condition struct {
	cmp clientv3.Cmp
	// key and end are the range that is read after the transaction failed, to find out
	// whether this condition was the reason.
	key, end string
	// failed reports whether the keys read show that the condition failed.
	failed func(kvs []keyValue) bool
	err    func(kvs []keyValue) error
}

// revisions are the etcd revisions of an object's key.
type revisions struct {
	key         string
	create, mod int64
}

// keyValue is a key as read to diagnose a failed transaction.
type keyValue struct {
	key, value  string
	create, mod int64
}

// pickedSlot is the quota slot that a plan took.
type pickedSlot struct {
	account Ref
	mod     int64
	limit   int32
	slot    uint64
}

// newPlan returns a plan. A preview has no transaction that verifies cached objects, so
// it reads everything.
func newPlan(b *Backend, preview, fresh bool) *Plan {
	return &Plan{
		b: b, preview: preview, fresh: fresh || preview,
		cooled: map[Claim]int64{}, restored: b.restored.Load(),
		seen: map[Ref]revisions{}, content: map[Ref]bool{}, picked: map[Claim]struct{}{}, puts: map[string]string{},
	}
}

// relies reports whether the plan depends on anything that was not read from etcd for it.
func (p *Plan) relies() bool { return len(p.remembered) > 0 || p.assumed }

// forget drops the objects that the plan used from the cache.
func (p *Plan) forget() {
	p.b.parents.drop(p.remembered...)
	p.b.slots.drop(p.slot)
	p.slot = nil
}

// giveBack returns numbers and slots that the plan took and will certainly not use.
func (p *Plan) giveBack() {
	p.b.allocator.giveBack(p.grants)
	p.grants = nil
	p.b.slots.giveBack(p.slot)
	p.slot = nil
}

// Preview indicates that nothing will be written (a dry run): the plan only looks up and
// checks. Do not call Assign and Pick methods, because a preview can't reserve what they
// return.
func (p *Plan) Preview() bool { return p.preview }

// Read returns the named objects, nil for each that does not exist. Objects may come from
// this server's cache. The write's transaction then compares their revisions, and an
// error that follows from them does not reach the caller: the write is planned again with
// data from etcd.
func (p *Plan) Read(ctx context.Context, refs ...Ref) ([]runtime.Object, error) {
	objs := make([]runtime.Object, len(refs))
	missing, at := p.recallAll(refs, objs)
	if len(missing) == 0 {
		return objs, nil
	}
	done, waited, err := p.lead(ctx, missing)
	if err != nil {
		return nil, err
	}
	defer done()
	if waited {
		if missing, at = p.recallAll(refs, objs); len(missing) == 0 {
			return objs, nil
		}
	}
	read, seen, err := p.b.read(ctx, missing)
	if err != nil {
		return nil, err
	}
	for i, ref := range missing {
		if read[i] != nil {
			p.seen[ref] = seen[i]
			objs[at[i]] = read[i]
		}
	}
	return objs, nil
}

// recallAll fills in the missing objects that are cached, and returns the references and
// indexes of those that are not.
func (p *Plan) recallAll(refs []Ref, objs []runtime.Object) (missing []Ref, at []int) {
	for i, ref := range refs {
		if objs[i] != nil {
			continue
		}
		if obj, ok := p.recall(ref); ok {
			objs[i] = obj
			continue
		}
		missing, at = append(missing, ref), append(at, i)
	}
	return missing, at
}

// lead lets plans that miss the same objects at the same time share one read: it either
// waits for the read of another plan and returns true, or makes others wait until done is
// called. A fresh plan always reads by itself.
func (p *Plan) lead(ctx context.Context, refs []Ref) (done func(), waited bool, err error) {
	if p.fresh {
		return func() {}, false, nil
	}
	return p.b.parents.lead(ctx, refs)
}

// ReadNow is Read without the cache, for a write that may not change anything: such a
// write has no transaction to verify a cached object.
func (p *Plan) ReadNow(ctx context.Context, refs ...Ref) ([]runtime.Object, error) {
	objs, seen, err := p.b.read(ctx, refs)
	if err != nil {
		return nil, err
	}
	for i, ref := range refs {
		if objs[i] != nil {
			p.seen[ref] = seen[i]
		}
	}
	return objs, nil
}

// ReadFirst returns the first of the named objects that exists, and its index, or -1 if
// none does. The write fails, and is planned again, if an object before it in the list
// exists when the write commits.
func (p *Plan) ReadFirst(ctx context.Context, refs ...Ref) (runtime.Object, int, error) {
	if obj, i := p.recallFirst(refs); obj != nil {
		return obj, i, p.dependOnAbsence(refs[:i])
	}
	done, waited, err := p.lead(ctx, refs)
	if err != nil {
		return nil, -1, err
	}
	defer done()
	if waited {
		if obj, i := p.recallFirst(refs); obj != nil {
			return obj, i, p.dependOnAbsence(refs[:i])
		}
	}
	objs, seen, err := p.b.read(ctx, refs)
	if err != nil {
		return nil, -1, err
	}
	for i, obj := range objs {
		if obj != nil {
			p.seen[refs[i]] = seen[i]
			return obj, i, p.dependOnAbsence(refs[:i])
		}
	}
	return nil, -1, nil
}

// recallFirst returns the first of the named objects that is cached. Earlier ones may
// exist without being cached; the transaction verifies that they don't.
func (p *Plan) recallFirst(refs []Ref) (runtime.Object, int) {
	for i, ref := range refs {
		if obj, ok := p.recall(ref); ok {
			p.assumed = p.assumed || i > 0
			return obj, i
		}
	}
	return nil, -1
}

// recall returns an object from the cache and makes the write depend on its content.
func (p *Plan) recall(ref Ref) (runtime.Object, bool) {
	if p.fresh {
		return nil, false
	}
	obj, revs, ok := p.b.parents.get(ref)
	if !ok {
		return nil, false
	}
	p.seen[ref] = revs
	p.remembered = append(p.remembered, ref)
	p.DependOnContent(ref)
	return obj, true
}

func (p *Plan) dependOnAbsence(refs []Ref) error {
	for _, ref := range refs {
		k, err := p.b.kind(ref.Resource)
		if err != nil {
			return err
		}
		p.conditions = append(p.conditions, unchanged(k.key(ref), 0, stale("an object that goes before a parent was created")))
	}
	return nil
}

// DependOnContent makes the write fail, and be planned again, if parent changes or is
// deleted before it commits. Read must have returned parent before.
func (p *Plan) DependOnContent(parent Ref) {
	if p.content[parent] {
		return
	}
	p.content[parent] = true
	seen := p.seen[parent]
	p.conditions = append(p.conditions, unchanged(seen.key, seen.mod, stale("a parent changed")))
}

// unchanged returns the condition that a key still has the revision at which it was read,
// 0 if it did not exist.
func unchanged(key string, mod int64, err func([]keyValue) error) condition {
	return condition{
		cmp: clientv3.Compare(clientv3.ModRevision(key), "=", mod),
		key: key,
		failed: func(kvs []keyValue) bool {
			return len(kvs) == 0 && mod != 0 || len(kvs) > 0 && kvs[0].mod != mod
		},
		err: err,
	}
}

// DependOnExistence makes the write fail, and be planned again, if parent no longer
// exists when it commits. Changes to a parent that was read from etcd don't matter, so
// writers of a busy parent and of its dependents don't conflict; the content of a cached
// parent does matter. Read must have returned parent before.
func (p *Plan) DependOnExistence(parent Ref) {
	if p.content[parent] {
		return
	}
	seen := p.seen[parent]
	p.conditions = append(p.conditions, condition{
		cmp: clientv3.Compare(clientv3.CreateRevision(seen.key), "=", seen.create),
		key: seen.key,
		failed: func(kvs []keyValue) bool {
			return len(kvs) == 0 || kvs[0].create != seen.create
		},
		err: stale("a parent was deleted"),
	})
}

func stale(what string) func([]keyValue) error {
	return func([]keyValue) error { return &staleError{what: what} }
}

// AssignIDs allocates n numbers of a space, in the order in which they must be assigned.
// They belong to this object once the write commits.
func (p *Plan) AssignIDs(ctx context.Context, space Space, n int) ([]int32, error) {
	if n == 0 {
		return nil, nil
	}
	gs, err := p.assign(ctx, space, n)
	if err != nil {
		return nil, err
	}
	ids := make([]int32, 0, n)
	for _, g := range gs {
		ids = append(ids, int32(g.claim.number))
	}
	p.puts[p.b.layout.last(space)] = fmt.Sprint(ids[len(ids)-1])
	return ids, nil
}

// PickAddress allocates an address from a part of the pool, starting with the lowest in a
// pool that was never used. The part excludes at most the first and the last address.
// PickAddress returns ErrExhausted if all addresses are in use, and a CoolingError if all
// free ones are cooling down.
func (p *Plan) PickAddress(ctx context.Context, pool, part addresspool.Pool) (netip.Addr, error) {
	gs, err := p.assign(ctx, partSpace(pool, part), 1)
	if _, ok := errors.AsType[*CoolingError](err); ok {
		own, found, e := p.ownCooling(ctx, part)
		if found || e != nil {
			return own, e
		}
	}
	if err != nil {
		return netip.Addr{}, err
	}
	return parseAddressKey(gs[0].claim.name)
}

func (p *Plan) assign(ctx context.Context, space Space, n int) ([]grant, error) {
	if p.preview {
		return nil, fmt.Errorf("a preview assigns nothing")
	}
	gs, conds, err := p.b.allocator.take(ctx, space, n)
	if err != nil {
		return nil, err
	}
	for _, g := range gs {
		p.picked[g.claim] = struct{}{}
	}
	p.grants = append(p.grants, gs...)
	p.conditions = append(p.conditions, conds...)
	return gs, nil
}

// slotWindow is the number of quota slots that one search for a free one covers.
const slotWindow = 256

// PickSlot takes a slot from 1 to limit of account's quota, or returns ErrExhausted.
// Slots are picked at random, so writers on several servers seldom conflict; writers on
// one server never take the same one. If the write depends on the content of the account
// object, which has the limit, slots that were free before are tried without a read.
func (p *Plan) PickSlot(ctx context.Context, account Ref, limit int32) (int32, error) {
	mod := p.seen[account].mod
	remember := p.content[account]
	if remember && !p.fresh {
		slot, ok, err := p.b.slots.take(ctx, account, mod, limit)
		if err != nil {
			return 0, err
		}
		if ok {
			p.assumed = true
			return p.useSlot(account, mod, limit, slot), nil
		}
	}
	read := p.b.slots.read(account, remember)
	defer read.end()
	free, err := p.freePlaces(ctx, account, limit, read)
	if err != nil {
		return 0, err
	}
	slot, ok := read.pick(free)
	if remember {
		read.remember(mod, limit, free)
	}
	if !ok {
		return 0, ErrExhausted
	}
	return p.useSlot(account, mod, limit, slot), nil
}

func (p *Plan) useSlot(account Ref, mod int64, limit int32, slot uint64) int32 {
	p.slot = &pickedSlot{account: account, mod: mod, limit: limit, slot: slot}
	p.picked[Claim{kind: placeKind(account), number: slot}] = struct{}{}
	return int32(slot)
}

// PlaceLeft reports whether the account has a free quota slot.
func (p *Plan) PlaceLeft(ctx context.Context, account Ref, limit int32) (bool, error) {
	free, err := p.freePlaces(ctx, account, limit, nil)
	return len(free) > 0, err
}

// freePlaces returns some of the free quota slots, or nil if none is free. With a
// slotRead, it continues while all the slots that it finds are busy.
func (p *Plan) freePlaces(ctx context.Context, account Ref, limit int32, read *slotRead) ([]uint64, error) {
	if limit <= 0 {
		return nil, nil
	}
	kind := placeKind(account)
	windows := (uint64(limit) + slotWindow - 1) / slotWindow
	start := rand.Uint64N(windows) //nolint:gosec // spreads load, protects nothing
	var free []uint64
	for n := range windows {
		first := (start+n)%windows*slotWindow + 1
		last := min(first+slotWindow-1, uint64(limit))
		used, top, left, err := p.readPlaces(ctx, kind, uint64(limit), first, last)
		if err != nil || left == 0 {
			return nil, err
		}
		for place := first; place <= min(last, top); place++ {
			if !used[place] {
				free = append(free, place)
			}
		}
		if len(free) == 0 {
			continue
		}
		if read == nil || uint64(len(free)) >= left {
			return free, nil
		}
		if usable, _ := read.split(free); len(usable) > 0 {
			return free, nil
		}
	}
	return free, nil
}

// readPlaces returns which quota slots from first to last are in use, the highest slot
// that may be taken (top), and how many slots are free up to top. top is limit, unless the
// limit was higher before: slots above it that are still held count toward the limit, so
// each of them lowers top by one. (A write that takes a slot up to top leaves at most limit
// slots in use, even if others do the same concurrently.)
func (p *Plan) readPlaces(ctx context.Context, kind string, limit, first, last uint64) (used map[uint64]bool, top, left uint64, err error) {
	end := clientv3.GetPrefixRangeEnd(p.b.layout.claims() + kind + "/")
	for top = limit; ; {
		resp, err := p.b.client.Txn(ctx).Then(
			clientv3.OpGet(p.placeKey(kind, 1), clientv3.WithRange(p.placeKey(kind, top+1)), clientv3.WithCountOnly()),
			clientv3.OpGet(p.placeKey(kind, top+1), clientv3.WithRange(end), clientv3.WithCountOnly()),
			clientv3.OpGet(p.placeKey(kind, first), clientv3.WithRange(p.placeKey(kind, last+1)), clientv3.WithKeysOnly()),
		).Commit()
		if err != nil {
			return nil, 0, 0, fmt.Errorf("read the quota slots in use: %w", err)
		}
		below := uint64(resp.Responses[0].GetResponseRange().Count)
		above := uint64(resp.Responses[1].GetResponseRange().Count)
		switch {
		case above >= limit || below >= top:
			return nil, 0, 0, nil
		case top <= limit-above:
			used = map[uint64]bool{}
			for _, kv := range resp.Responses[2].GetResponseRange().Kvs {
				used[numberOf(kv.Key)] = true
			}
			return used, top, top - below, nil
		}
		top = limit - above
	}
}

func (p *Plan) placeKey(kind string, place uint64) string {
	return p.b.layout.claim(Claim{kind: kind, number: place})
}

// Holder returns the owner of the claim, and false if the claim is free.
func (p *Plan) Holder(ctx context.Context, c Claim) (Owner, bool, error) {
	resp, err := p.b.client.Get(ctx, p.b.layout.claim(c))
	if err != nil {
		return Owner{}, false, fmt.Errorf("read claim: %w", err)
	}
	if len(resp.Kvs) == 0 {
		return Owner{}, false, nil
	}
	o, err := parseOwner(resp.Kvs[0].Value)
	return o, true, err
}

// HeldPool is a pool and the object that declares it.
type HeldPool struct {
	addresspool.Pool
	Owner Owner
}

// Pools returns all claimed pools, and makes the write fail, and be planned again, if a
// pool is added before it commits.
func (p *Plan) Pools(ctx context.Context) ([]HeldPool, error) {
	prefix := p.b.layout.claims() + kindPool + "/"
	resp, err := p.b.client.Get(ctx, prefix, clientv3.WithPrefix())
	if err != nil {
		return nil, fmt.Errorf("read the pools: %w", err)
	}
	var out []HeldPool
	for _, kv := range resp.Kvs {
		h, err := parsePoolClaim(string(kv.Key[len(prefix):]), kv.Value)
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	seen := resp.Header.Revision
	p.conditions = append(p.conditions, condition{
		cmp: clientv3.Compare(clientv3.ModRevision(prefix), "<", seen+1).WithPrefix(),
		key: prefix, end: clientv3.GetPrefixRangeEnd(prefix),
		failed: func(kvs []keyValue) bool {
			for _, kv := range kvs {
				if kv.mod > seen {
					return true
				}
			}
			return false
		},
		err: stale("a pool was added"),
	})
	return out, nil
}

// RequireUnused makes the write fail with err if an address of the pool is in use when it
// commits.
func (p *Plan) RequireUnused(pool addresspool.Pool, err func(inUse netip.Addr) error) {
	first, end := poolKeys(p.b.layout, pool)
	p.conditions = append(p.conditions, condition{
		cmp: clientv3.Compare(clientv3.CreateRevision(first), "=", 0).WithRange(end),
		key: first, end: end,
		failed: func(kvs []keyValue) bool { return len(kvs) > 0 },
		err: func(kvs []keyValue) error {
			a, _ := parseAddressKey(lastElement(kvs[0].key))
			return err(a)
		},
	})
}

// ForgetSpace deletes the records of a space whose owner is deleted.
func (p *Plan) ForgetSpace(s Space) {
	p.removals = append(p.removals, p.b.layout.cursor(s), p.b.layout.last(s))
}

// ForgetPool deletes the records of a pool that is removed or changed.
func (p *Plan) ForgetPool(pool addresspool.Pool) {
	p.removals = append(p.removals, p.b.layout.cursor(poolSpace(pool)))
}

// requireNoChildren makes a deletion fail if other objects depend on the object.
func (p *Plan) requireNoChildren(obj runtime.Object, parent Ref, rules Rules) {
	prefix := p.b.layout.claims() + childKind(parent) + "/"
	p.conditions = append(p.conditions, condition{
		cmp: clientv3.Compare(clientv3.CreateRevision(prefix), "=", 0).WithPrefix(),
		key: prefix, end: clientv3.GetPrefixRangeEnd(prefix),
		failed: func(kvs []keyValue) bool { return len(kvs) > 0 },
		err: func(kvs []keyValue) error {
			child, err := parseOwner([]byte(kvs[0].value))
			if err != nil {
				return err
			}
			return rules.HasChildren(obj, child)
		},
	})
}

// check reads what the conditions compare and returns the error of the first that fails.
// It is for previews, which have no transaction.
func (p *Plan) check(ctx context.Context) error {
	for _, c := range p.conditions {
		kvs, err := p.b.keys(ctx, c.key, c.end)
		if err != nil {
			return err
		}
		if c.failed(kvs) {
			if err := c.err(kvs); err != nil {
				return err
			}
			return errors.New("the write breaks a rule that has no words for it")
		}
	}
	return nil
}

// ownerOf returns obj as the owner of its claims.
func ownerOf(resource string, obj runtime.Object) (Owner, error) {
	m, err := meta.Accessor(obj)
	if err != nil {
		return Owner{}, err
	}
	return Owner{Ref: Ref{Resource: resource, Namespace: m.GetNamespace(), Name: m.GetName()}, UID: string(m.GetUID())}, nil
}
