// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/lru"
)

// Checker is implemented by Rules for which an audit checks more than claims: the
// properties that clients rely on when they read an object, such as that its address is
// in a pool that it may use. Every write maintains these invariants. The audit verifies
// that no write missed one and that nobody changed etcd.
type Checker interface {
	// Check returns the violations found in obj. It must accept every object that passed
	// Plan, regardless of later writes.
	Check(obj runtime.Object, find Find) field.ErrorList
}

// Find returns another object as of the audit's revision, or nil if it did not exist.
type Find func(Ref) (runtime.Object, error)

// checkCache is the maximum number of referenced objects that an audit caches. Most
// objects refer to a few of them.
const checkCache = 1024

// finder returns a Find that reads and caches referenced objects.
func (a *audit) finder(ctx context.Context) Find {
	cache := lru.New(checkCache)
	return func(ref Ref) (runtime.Object, error) {
		if obj, ok := cache.Get(ref); ok {
			obj, _ := obj.(runtime.Object)
			return obj, nil
		}
		k, err := a.b.kind(ref.Resource)
		if err != nil {
			return nil, err
		}
		resp, err := a.b.client.Get(ctx, k.key(ref), clientv3.WithRev(a.rev))
		if err != nil {
			return nil, err
		}
		if len(resp.Kvs) == 0 {
			cache.Add(ref, nil)
			return nil, nil
		}
		obj, err := k.decode(ctx, string(resp.Kvs[0].Key), resp.Kvs[0].Value, resp.Kvs[0].ModRevision)
		if err != nil {
			return nil, err
		}
		cache.Add(ref, obj)
		return obj, nil
	}
}

// check reports the invariants that an object violates.
func (a *audit) check(k *kind, obj runtime.Object) error {
	rules, ok := rulesAs[Checker](k.rules)
	if !ok {
		return nil
	}
	owner, err := ownerOf(k.resource, obj)
	if err != nil {
		return err
	}
	for _, e := range rules.Check(obj, a.find) {
		a.problem(Broken, e.Field, owner, "%s: %s", owner.Ref, e.ErrorBody())
	}
	return nil
}
