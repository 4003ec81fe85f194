// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/addresspool"
)

// A released address cools down: for a while, it is only assigned to the namespace that
// had it, because clients may still send it traffic meant for its previous holder. The
// transaction that releases the claim writes a cooling key, and the transaction that
// takes the address compares that key. So neither a crash nor another server can miss it.

// CoolingError is returned by PickAddress if every free address of a pool is cooling
// down.
type CoolingError struct {
	// Until is when the first address becomes available to everyone.
	Until time.Time
}

func (e *CoolingError) Error() string {
	return "every free address cools down, the first until " + e.Until.UTC().Format(time.RFC3339)
}

// CoolingRules is implemented by Rules of kinds that claim addresses.
type CoolingRules interface {
	// Cooling returns the error for a requested address that another account released a
	// short time ago.
	Cooling(obj runtime.Object, c Claim, until time.Time) error
}

// cooled is the value of a cooling key: who had the address, and until when it is
// reserved for them.
type cooled struct {
	namespace string
	until     time.Time
}

func (c cooled) String() string { return c.namespace + " " + strconv.FormatInt(c.until.Unix(), 10) }

func parseCooled(v string) (cooled, error) {
	namespace, text, ok := strings.Cut(v, " ")
	seconds, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil {
		return cooled{}, fmt.Errorf("%q is not a namespace and a time", v)
	}
	return cooled{namespace: namespace, until: time.Unix(seconds, 0)}, nil
}

// keeps reports whether the address is withheld from a namespace. An unreadable value
// does not withhold it: the audit reports the value, and the next holder removes it.
func (c cooled) keeps(namespace string, now time.Time) bool {
	return c.namespace != namespace && now.Before(c.until)
}

// coolingKV is a cooling key with its revision.
type coolingKV struct {
	cooled
	address netip.Addr
	key     string
	mod     int64
}

func coolingKVs(kvs []*mvccpb.KeyValue) []coolingKV {
	var out []coolingKV
	for _, kv := range kvs {
		a, err := parseAddressKey(lastElement(string(kv.Key)))
		if err != nil {
			continue
		}
		c, _ := parseCooled(string(kv.Value))
		out = append(out, coolingKV{cooled: c, address: a, key: string(kv.Key), mod: kv.ModRevision})
	}
	return out
}

// coolingValue returns the value that a release writes, and false if addresses don't cool
// down.
func (b *Backend) coolingValue(o Owner) (string, bool) {
	if b.cooling <= 0 {
		return "", false
	}
	// Add a second to the period, because the value has whole seconds.
	return cooled{namespace: o.Namespace, until: b.clock.Now().Add(b.cooling + time.Second)}.String(), true
}

// checkCooling checks the addresses that a write adds. Only a fresh plan reads the
// cooling keys. Other plans assume that there are none, which is almost always true, and
// the transaction verifies it.
func (s *store) checkCooling(ctx context.Context, p *Plan, obj runtime.Object, adds []Claim) error {
	var addresses []Claim
	for _, c := range adds {
		if _, ok := c.Address(); ok {
			addresses = append(addresses, c)
		}
	}
	if len(addresses) == 0 || s.b.cooling <= 0 {
		return nil
	}
	now := s.b.clock.Now()
	restored := s.b.restored.Load()
	p.restored = restored
	for _, c := range addresses {
		a, _ := c.Address()
		if until, ok := restored.cools(a, now, s.b.cooling); ok {
			return coolingRefusal(p, s.kind.rules, obj, c, until)
		}
	}
	if !p.fresh {
		return nil
	}
	ops := make([]clientv3.Op, len(addresses))
	for i, c := range addresses {
		ops[i] = clientv3.OpGet(s.b.layout.cooling(c))
	}
	resp, err := s.b.client.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		return fmt.Errorf("read which addresses cool down: %w", err)
	}
	for i, r := range resp.Responses {
		for _, kv := range coolingKVs(r.GetResponseRange().Kvs) {
			if kv.keeps(p.namespace, now) {
				return coolingRefusal(p, s.kind.rules, obj, addresses[i], kv.until)
			}
			p.cooled[addresses[i]] = kv.mod
		}
	}
	return nil
}

// coolingRefusal returns the error for an address that is cooling down.
func coolingRefusal(p *Plan, rules Rules, obj runtime.Object, c Claim, until time.Time) error {
	if _, ok := p.picked[c]; ok {
		return &staleError{what: "an address that the server picked cools down", spent: true}
	}
	if r, ok := rulesAs[CoolingRules](rules); ok {
		return r.Cooling(obj, c, until)
	}
	return &CoolingError{Until: until}
}

// coolingConditions returns conditions that make a write fail if the cooling key of an
// address that it adds differs from the one its plan assumed.
func (c *txnClient) coolingConditions(p *pending) []condition {
	if c.b.cooling <= 0 {
		return nil
	}
	var out []condition
	for _, claim := range p.adds {
		if _, ok := claim.Address(); !ok {
			continue
		}
		if len(out) == 0 {
			out = append(out, c.b.restoredCondition(p.plan.restored))
		}
		out = append(out, unchanged(c.b.layout.cooling(claim), p.plan.cooled[claim], func(kvs []keyValue) error {
			if len(kvs) > 0 {
				if v, err := parseCooled(kvs[0].value); err == nil && v.keeps(p.owner.Namespace, c.b.clock.Now()) {
					return coolingRefusal(p.plan, p.kind.rules, p.obj, claim, v.until)
				}
			}
			return &staleError{what: "an address cools down or does so no longer"}
		}))
	}
	return out
}

// coolingRemovals returns the cooling keys that a write has to delete for the addresses
// that it adds: an address in use does not cool down.
func (c *txnClient) coolingRemovals(p *pending) []string {
	var out []string
	for _, claim := range p.adds {
		if _, ok := claim.Address(); ok && (c.b.cooling <= 0 || p.plan.cooled[claim] != 0) {
			out = append(out, c.b.layout.cooling(claim))
		}
	}
	return out
}

// ownCooling returns a free address of the pool that the writer's own namespace released.
// It does not have to cool down for that namespace.
func (p *Plan) ownCooling(ctx context.Context, pool addresspool.Pool) (netip.Addr, bool, error) {
	key, end := poolCoolingKeys(p.b.layout, pool)
	for {
		resp, err := p.b.client.Get(ctx, key, clientv3.WithRange(end), clientv3.WithLimit(claimsPage))
		if err != nil {
			return netip.Addr{}, false, fmt.Errorf("read which addresses cool down: %w", err)
		}
		for _, kv := range coolingKVs(resp.Kvs) {
			if kv.namespace != p.namespace {
				continue
			}
			claim := AddressClaim(kv.address)
			if _, held, err := p.Holder(ctx, claim); err != nil || held {
				if err != nil {
					return netip.Addr{}, false, err
				}
				continue
			}
			p.cooled[claim] = kv.mod
			p.picked[claim] = struct{}{}
			return kv.address, true, nil
		}
		if !resp.More {
			return netip.Addr{}, false, nil
		}
		key = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
}

const (
	// sweepInterval is the time between two sweeps for keys of addresses that have cooled
	// down.
	sweepInterval = time.Minute
	// sweepPages limits the pages that one sweep reads, so a sweep of many keys is spread
	// out.
	sweepPages = 20
)

// runSweeps removes the keys of addresses that have cooled down until ctx ends.
func (b *Backend) runSweeps(ctx context.Context) {
	next := ""
	wait.JitterUntilWithContext(ctx, func(ctx context.Context) {
		var err error
		if next, err = b.sweepCooling(ctx, next); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).V(2).Info("Could not remove the keys of addresses that have cooled down", "err", err)
		}
	}, sweepInterval, 1, true)
}

// sweepCooling reads a limited number of cooling keys, starting at from, and removes
// those that have expired. It returns the key at which to continue, or "" at the end.
func (b *Backend) sweepCooling(ctx context.Context, from string) (string, error) {
	first := b.layout.root + coolingFolder
	end := clientv3.GetPrefixRangeEnd(first)
	if from == "" {
		from = first
	}
	for range sweepPages {
		resp, err := b.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(claimsPage))
		if err != nil {
			return from, err
		}
		if err := b.removeCooled(ctx, coolingKVs(resp.Kvs)); err != nil {
			return from, err
		}
		if !resp.More {
			return "", nil
		}
		from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
	return from, nil
}

// removeCooled removes the keys that have expired and that nobody has written since they
// were read.
func (b *Backend) removeCooled(ctx context.Context, kvs []coolingKV) error {
	now := b.clock.Now()
	var ops []clientv3.Op
	flush := func() error {
		if len(ops) == 0 {
			return nil
		}
		_, err := b.client.Txn(ctx).Then(ops...).Commit()
		ops = nil
		return err
	}
	for _, kv := range kvs {
		if now.Before(kv.until) {
			continue
		}
		ops = append(ops, clientv3.OpTxn(
			[]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(kv.key), "=", kv.mod)},
			[]clientv3.Op{clientv3.OpDelete(kv.key)}, nil))
		if len(ops) == inner {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

func namespaceOf(obj runtime.Object) string {
	m, err := meta.Accessor(obj)
	if err != nil {
		return ""
	}
	return m.GetNamespace()
}
