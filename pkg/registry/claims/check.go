// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/lru"
)

// Checker is implemented by Rules of which an audit checks more than claims:
// what clients rely on when they read an object, such as that its address lies in
// a pool that it may use. Every write keeps these invariants; the audit shows that
// no write was missed and that nobody changed etcd.
type Checker interface {
	// Check returns what is wrong with obj. It has to hold for every object that
	// passed Plan, whatever was written since.
	Check(obj runtime.Object, find Find) field.ErrorList
}

// Find returns another object as it was at the revision of the audit, or nil if
// there was none.
type Find func(Ref) (runtime.Object, error)

// checkCache is how many objects an audit keeps that others refer to. Most
// objects refer to a few of them.
const checkCache = 1024

// finder reads the objects that others refer to.
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

// check reports the invariants that an object breaks.
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
