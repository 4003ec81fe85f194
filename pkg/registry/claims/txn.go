// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apimachinery/pkg/runtime"
)

// pending is what one attempt at one write adds to its transaction. Store sets it just
// before the etcd store below it writes.
type pending struct {
	ready    bool
	kind     *kind
	obj      runtime.Object
	owner    Owner
	plan     *Plan
	adds     []Claim
	releases []Claim
}

type pendingKey struct{}

func withPending(ctx context.Context, p *pending) context.Context {
	return context.WithValue(ctx, pendingKey{}, p)
}

// errNoPlan reports a bug in this program: a write that bypassed Store.
var errNoPlan = errors.New("refused: a write without its claims")

// txnClient turns the single-key writes of the etcd store into transactions
// with claims.
type txnClient struct {
	kubernetes.Interface
	b *Backend
}

// OptimisticPut implements kubernetes.Interface.
func (c *txnClient) OptimisticPut(ctx context.Context, key string, value []byte, expected int64, opts kubernetes.PutOptions) (kubernetes.PutResponse, error) {
	if opts.LeaseID != 0 {
		return kubernetes.PutResponse{}, errors.New("refused: an object that expires would leave its claims behind")
	}
	r, err := c.commit(ctx, clientv3.OpPut(key, string(value)), key, expected)
	return kubernetes.PutResponse{KV: r.current, Succeeded: r.succeeded, Revision: r.revision}, err
}

// OptimisticDelete implements kubernetes.Interface.
func (c *txnClient) OptimisticDelete(ctx context.Context, key string, expected int64, _ kubernetes.DeleteOptions) (kubernetes.DeleteResponse, error) {
	r, err := c.commit(ctx, clientv3.OpDelete(key), key, expected)
	return kubernetes.DeleteResponse{KV: r.current, Succeeded: r.succeeded, Revision: r.revision}, err
}

type result struct {
	succeeded bool
	revision  int64
	// current is the actual object if it was not as expected.
	current *mvccpb.KeyValue
}

func (c *txnClient) commit(ctx context.Context, op clientv3.Op, key string, expected int64) (result, error) {
	p, _ := ctx.Value(pendingKey{}).(*pending)
	if p == nil || !p.ready {
		return result{}, errNoPlan
	}
	p.ready = false
	conds := c.conditions(p)
	then, releasing := c.operations(p, op, true)
	if len(conds)+1 > maxOps || len(then) > maxOps {
		return result{}, fmt.Errorf("the write needs %d conditions and %d operations in one transaction, more than %d", len(conds)+1, len(then), maxOps)
	}
	cmps := []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", expected)}
	for _, d := range conds {
		cmps = append(cmps, d.cmp)
	}
	// From here on, the transaction decides about them, not the plan.
	grants, slot := p.plan.grants, p.plan.slot
	p.plan.grants, p.plan.slot = nil, nil
	resp, err := c.b.client.Txn(ctx).If(cmps...).Then(then...).Else(clientv3.OpGet(key)).Commit()
	if op.IsDelete() && errors.Is(err, rpctypes.ErrNoSpace) {
		// A full etcd only accepts deletions that write nothing, and deletions must
		// remain possible to make room. In that case, the addresses don't cool down.
		then, releasing = c.operations(p, op, false)
		resp, err = c.b.client.Txn(ctx).If(cmps...).Then(then...).Else(clientv3.OpGet(key)).Commit()
	}
	if err != nil {
		// The transaction may have been applied nevertheless: do not return what it took.
		c.b.slots.settle(slot)
		return result{}, writeError(err)
	}
	if resp.Succeeded {
		c.b.slots.settle(slot)
		if n := refusedReleases(resp, releasing+len(p.adds), releasing); n > 0 {
			reportForeignReleases(ctx, p.owner, n)
		}
		annotateRecord(ctx, p)
		return result{succeeded: true, revision: resp.Header.Revision}, nil
	}
	if r, changed := changedObject(resp, expected); changed {
		p.plan.grants, p.plan.slot = grants, slot
		p.plan.giveBack()
		return r, nil
	}
	if p.plan.relies() {
		// A cached value may be the reason. A plan without it is needed in any case,
		// because an error must not follow from it.
		p.plan.slot = slot
		p.plan.forget()
		c.b.allocator.giveBack(grants)
		return result{}, &staleError{what: "what this server remembered is out of date", relied: true}
	}
	c.b.slots.drop(slot)
	r, err := c.diagnose(ctx, key, expected, conds)
	stale, ok := errors.AsType[*staleError](err)
	if ok {
		c.b.parents.drop(slices.Collect(maps.Keys(p.plan.seen))...)
	}
	if !ok || !stale.spent {
		c.b.allocator.giveBack(grants)
	}
	return r, err
}

// diagnose finds out why etcd rejected a write whose object was as expected. Only a
// changed object is reported to the etcd store, which would otherwise retry forever. It
// reads everything again, at one revision: reading the reason in each transaction, for
// the few that are rejected, would make all of them larger.
func (c *txnClient) diagnose(ctx context.Context, key string, expected int64, conds []condition) (result, error) {
	reads := []clientv3.Op{clientv3.OpGet(key)}
	for _, d := range conds {
		reads = append(reads, diagnosticGet(d.key, d.end))
	}
	resp, err := c.b.client.Txn(ctx).Then(reads...).Commit()
	if err != nil {
		return result{}, err
	}
	if r, changed := changedObject(resp, expected); changed {
		return r, nil
	}
	for i, d := range conds {
		if kvs := keyValues(resp.Responses[i+1].GetResponseRange().Kvs); d.failed(kvs) {
			if err := d.err(kvs); err != nil {
				return result{}, err
			}
			// Without an error, the etcd store would assume that the write succeeded or
			// that the object changed.
			return result{}, fmt.Errorf("a write of %s breaks a rule that has no words for it", key)
		}
	}
	return result{}, &staleError{what: "what etcd refused it for is gone"}
}

// changedObject returns the object, which was read first, if its revision is not the
// expected one.
func changedObject(resp *clientv3.TxnResponse, expected int64) (result, bool) {
	r, mod := result{revision: resp.Header.Revision}, int64(0)
	if kvs := resp.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
		r.current, mod = kvs[0], kvs[0].ModRevision
	}
	return r, mod != expected
}

// conditions returns the conditions of the schema and of the plan, and that the added
// claims are free.
func (c *txnClient) conditions(p *pending) []condition {
	l := c.b.layout
	out := []condition{{
		cmp:    clientv3.Compare(clientv3.Value(l.schema()), "=", SchemaVersion),
		key:    l.schema(),
		failed: func(kvs []keyValue) bool { return len(kvs) == 0 || kvs[0].value != SchemaVersion },
		err: func(kvs []keyValue) error {
			if len(kvs) == 0 {
				return errSchema("")
			}
			return errSchema(kvs[0].value)
		},
	}}
	out = append(out, p.plan.conditions...)
	out = append(out, c.coolingConditions(p)...)
	for _, r := range runs(p.adds) {
		first, end := r.keyRange(l)
		out = append(out, condition{
			cmp: clientv3.Compare(clientv3.CreateRevision(first), "=", 0).WithRange(end),
			key: first, end: end,
			failed: func(kvs []keyValue) bool { return len(kvs) > 0 },
			err:    func(kvs []keyValue) error { return taken(p, r, l, kvs[0]) },
		})
	}
	for _, a := range p.adds {
		out = append(out, sharedConditions(l, a, func(holder Owner) error { return p.kind.rules.Taken(p.obj, a, holder) })...)
	}
	return out
}

// taken returns the error for the loss of a claim: one that requests another attempt if
// the server allocated it, the kind's own error if the caller requested it.
func taken(p *pending, r run, l layout, kv keyValue) error {
	for _, claim := range r {
		if l.claim(claim) != kv.key {
			continue
		}
		if _, ok := p.plan.picked[claim]; ok {
			return &staleError{what: "what the server picked was taken", spent: true}
		}
		holder, err := parseOwner([]byte(kv.value))
		if err != nil {
			return err
		}
		return refusal(p.kind, p.obj, claim, holder)
	}
	return &staleError{what: "a claim was taken", spent: true}
}

const (
	// etcd allows 128 operations in a transaction by default; operations of one level
	// reduce the limit for the levels nested in it. maxOps is for the outer level, inner
	// for each nested transaction, and two are left for the transaction inside that,
	// which releases a claim and starts the cooling of an address: 71+55+2.
	maxOps = 71
	inner  = 55

	// inline is the number of claims that are written without a nested transaction, which
	// is slightly faster.
	inline = 32
)

// operations returns the operations that write the object and its claims. Unless keep is
// set, released addresses do not cool down. It also returns how many of the operations
// may fail to release a claim.
func (c *txnClient) operations(p *pending, op clientv3.Op, keep bool) (out []clientv3.Op, releasing int) {
	l := c.b.layout
	var leaves []clientv3.Op
	for _, r := range runs(p.releases) {
		leaves = append(leaves, c.b.releaseOp(r, p.owner, keep))
		releasing++
	}
	for _, a := range p.adds {
		leaves = append(leaves, clientv3.OpPut(l.claim(a), p.owner.String()))
	}
	out = append(out, op)
	if len(leaves) <= inline {
		out = append(out, leaves...)
	} else {
		for chunk := range slices.Chunk(leaves, inner) {
			out = append(out, clientv3.OpTxn(nil, chunk, nil))
		}
	}
	for _, key := range append(c.coolingRemovals(p), p.plan.removals...) {
		out = append(out, clientv3.OpDelete(key))
	}
	for key, value := range p.plan.puts {
		out = append(out, clientv3.OpPut(key, value))
	}
	return out, releasing
}

// releaseOp returns an operation that deletes claims if they belong to the owner, and
// starts the cooling of an address. The comparison is nested, so damaged data can't
// prevent an object from being changed or deleted: a foreign claim stays, is logged, and
// is reported by the audit.
func (b *Backend) releaseOp(r run, owner Owner, cool bool) clientv3.Op {
	first, end := r.keyRange(b.layout)
	then := []clientv3.Op{clientv3.OpDelete(first, clientv3.WithRange(end))}
	if _, ok := r[0].Address(); ok && cool {
		if value, ok := b.coolingValue(owner); ok {
			then = append(then, clientv3.OpPut(b.layout.cooling(r[0]), value))
		}
	}
	return clientv3.OpTxn(
		[]clientv3.Cmp{clientv3.Compare(clientv3.Value(first), "=", owner.String()).WithRange(end)},
		then, nil)
}

// refusedReleases counts the releases that etcd refused: releases are the first claim
// operations after that of the object.
func refusedReleases(resp *clientv3.TxnResponse, claims, releasing int) int {
	leaves := resp.Responses[1:]
	if claims > inline {
		nested := leaves
		leaves = nil
		for _, r := range nested[:(claims+inner-1)/inner] {
			leaves = append(leaves, r.GetResponseTxn().Responses...)
		}
	}
	refused := 0
	for _, leaf := range leaves[:releasing] {
		if !leaf.GetResponseTxn().Succeeded {
			refused++
		}
	}
	return refused
}

// diagnosticGet reads the minimum that shows whether a condition holds. The newest key of
// a range comes first.
func diagnosticGet(key, end string) clientv3.Op {
	opts := []clientv3.OpOption{clientv3.WithLimit(1)}
	if end != "" {
		opts = append(opts, clientv3.WithRange(end), clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortDescend))
	}
	return clientv3.OpGet(key, opts...)
}

func keyValues(kvs []*mvccpb.KeyValue) []keyValue {
	out := make([]keyValue, 0, len(kvs))
	for _, kv := range kvs {
		out = append(out, keyValue{key: string(kv.Key), value: string(kv.Value), create: kv.CreateRevision, mod: kv.ModRevision})
	}
	return out
}
