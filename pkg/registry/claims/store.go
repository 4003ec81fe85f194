// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
)

const (
	// attempts limits how often one request is planned again because others were faster.
	// Each loss is another writer's success, so a request only loses this often under
	// extreme contention.
	attempts = 64

	// spread is the longest delay before another attempt, after the first few have
	// failed.
	spread = 10 * time.Millisecond
)

// store is the storage.Interface of one kind with its claims.
type store struct {
	storage.Interface
	b    *Backend
	kind *kind
}

var _ storage.Interface = &store{}

// Get implements storage.Interface.
func (s *store) Get(ctx context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	return apiError(s.Interface.Get(ctx, key, opts, out))
}

// GetList implements storage.Interface.
func (s *store) GetList(ctx context.Context, key string, opts storage.ListOptions, out runtime.Object) error {
	return apiError(s.Interface.GetList(ctx, key, opts, out))
}

// GetCurrentResourceVersion implements storage.Interface.
func (s *store) GetCurrentResourceVersion(ctx context.Context) (uint64, error) {
	rv, err := s.Interface.GetCurrentResourceVersion(ctx)
	return rv, apiError(err)
}

// Create implements storage.Interface.
func (s *store) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	if ttl != 0 {
		return fmt.Errorf("%s can't expire", s.kind.resource)
	}
	return s.b.retry(ctx, func(fresh bool) error {
		w := &pending{}
		attempt := obj.DeepCopyObject()
		if err := s.prepare(ctx, w, nil, &Set{}, attempt, fresh); err != nil {
			return err
		}
		err := s.Interface.Create(withPending(ctx, w), key, attempt, out, 0)
		if err != nil {
			w.abandon()
		}
		return err
	})
}

// GuaranteedUpdate implements storage.Interface.
func (s *store) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, cached runtime.Object,
) error {
	w := &pending{}
	ctx = withPending(ctx, w)
	return s.b.retry(ctx, func(fresh bool) error {
		defer func() { cached = nil }()
		err := s.Interface.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions,
			func(input runtime.Object, res storage.ResponseMeta) (runtime.Object, *uint64, error) {
				w.abandon()
				// tryUpdate may change its input.
				old, held, err := s.existing(input)
				if err != nil {
					return nil, nil, err
				}
				obj, ttl, err := tryUpdate(input, res)
				if err != nil {
					return nil, nil, err
				}
				if ttl != nil && *ttl != 0 {
					return nil, nil, fmt.Errorf("%s can't expire", s.kind.resource)
				}
				if err := s.prepare(ctx, w, old, held, obj, fresh); err != nil {
					fresh = true
					return nil, nil, err
				}
				return obj, ttl, nil
			}, cached)
		if err != nil {
			w.abandon()
		}
		return err
	})
}

// existing returns a copy of an object and its claims, or nothing for the empty object
// that represents a missing one, which only lacks a UID.
func (s *store) existing(obj runtime.Object) (runtime.Object, *Set, error) {
	m, err := meta.Accessor(obj)
	if err != nil {
		return nil, nil, err
	}
	if m.GetUID() == "" {
		return nil, &Set{}, nil
	}
	old := obj.DeepCopyObject()
	return old, s.kind.rules.Claims(old), nil
}

// prepare plans a write of obj and leaves its claims for the transaction. A fresh plan
// reads everything from etcd. If any other plan fails because of cached objects, the
// error is a staleError, because they may be outdated.
func (s *store) prepare(ctx context.Context, w *pending, old runtime.Object, held *Set, obj runtime.Object, fresh bool) error {
	p := newPlan(s.b, false, fresh)
	p.namespace = namespaceOf(obj)
	planned, err := s.plan(ctx, p, old, held, obj)
	if err != nil {
		return p.refuse(err)
	}
	*w = planned
	return nil
}

func (s *store) plan(ctx context.Context, p *Plan, old runtime.Object, held *Set, obj runtime.Object) (pending, error) {
	if err := s.kind.rules.Plan(ctx, p, old, obj); err != nil {
		return pending{}, err
	}
	if err := s.b.showLast(ctx, s.kind.rules, obj); err != nil {
		return pending{}, err
	}
	if old != nil && deletionStarts(old, obj) {
		// Pass the object as it was before: by its deletion time, the rules distinguish
		// the start of a deletion from its end.
		if err := s.planDelete(ctx, p, old); err != nil {
			return pending{}, err
		}
	}
	owner, err := ownerOf(s.kind.resource, obj)
	if err != nil {
		return pending{}, err
	}
	set := s.kind.rules.Claims(obj)
	if len(set.twice) > 0 {
		return pending{}, s.kind.rules.Taken(obj, set.twice[0], owner)
	}
	adds := set.minus(held)
	if err := s.checkCooling(ctx, p, obj, adds); err != nil {
		return pending{}, err
	}
	return pending{ready: true, kind: s.kind, obj: obj, owner: owner, plan: p, adds: adds, releases: held.minus(set)}, nil
}

// refuse ends a plan with an error. If the plan used cached objects, refuse drops them
// and returns an error that requests a fresh plan.
func (p *Plan) refuse(err error) error {
	if !p.relies() {
		p.giveBack()
		return err
	}
	p.b.allocator.giveBack(p.grants)
	p.grants = nil
	p.forget()
	return &staleError{what: "a refusal rested on what this server remembered", relied: true}
}

// abandon returns what an attempt allocated and will not write.
func (w *pending) abandon() {
	if w.plan != nil {
		w.plan.giveBack()
	}
	*w = pending{}
}

// Delete implements storage.Interface.
func (s *store) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validate storage.ValidateObjectFunc, cached runtime.Object, opts storage.DeleteOptions,
) error {
	if opts.ExpectTransformOrDecodeError {
		return apierrors.NewBadRequest("an object that can't be read can't be deleted through the API, because its claims are not known: restore a backup")
	}
	w := &pending{}
	ctx = withPending(ctx, w)
	return s.b.retry(ctx, func(fresh bool) error {
		defer func() { cached = nil }()
		return s.Interface.Delete(ctx, key, out, preconditions, func(ctx context.Context, obj runtime.Object) error {
			*w = pending{}
			if err := validate(ctx, obj); err != nil {
				return err
			}
			p := newPlan(s.b, false, fresh)
			if err := s.planDelete(ctx, p, obj); err != nil {
				fresh = true
				return p.refuse(err)
			}
			owner, err := ownerOf(s.kind.resource, obj)
			if err != nil {
				return err
			}
			*w = pending{ready: true, kind: s.kind, obj: obj, owner: owner, plan: p, releases: s.kind.rules.Claims(obj).Sorted()}
			return nil
		}, cached, opts)
	})
}

// planDelete returns an error if the rules forbid the deletion or other objects depend on
// the object.
func (s *store) planDelete(ctx context.Context, p *Plan, obj runtime.Object) error {
	if err := s.kind.rules.PlanDelete(ctx, p, obj); err != nil {
		return err
	}
	owner, err := ownerOf(s.kind.resource, obj)
	if err != nil {
		return err
	}
	p.requireNoChildren(obj, owner.Ref, s.kind.rules)
	return nil
}

func deletionStarts(old, obj runtime.Object) bool {
	o, err := meta.Accessor(old)
	if err != nil {
		return false
	}
	n, err := meta.Accessor(obj)
	return err == nil && o.GetDeletionTimestamp() == nil && n.GetDeletionTimestamp() != nil
}

// retry calls f again while it fails because others were faster. From the second attempt
// on, fresh requires it not to rely on this server's caches. The returned error is an API
// status.
func retry(ctx context.Context, f func(fresh bool) error) error {
	var stale *staleError
	fresh := false
	for n := range attempts {
		if n > 4 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(rand.N(spread)): //nolint:gosec // spreads load, protects nothing
			}
		}
		if err := f(fresh); !errors.As(err, &stale) {
			return apiError(err)
		}
		fresh = true
		if stale.relied {
			outdated.Inc()
		} else {
			retries.Inc()
		}
	}
	return errBusy(stale)
}

// Preview checks a write like the store would plan it, without writing or allocating
// anything. It is for dry runs, which never reach the store. It completes obj with
// everything that does not require an allocation.
func (b *Backend) Preview(ctx context.Context, resource string, old, obj runtime.Object) error {
	k, err := b.kind(resource)
	if err != nil {
		return err
	}
	fresh := obj.DeepCopyObject()
	return b.retry(ctx, func(bool) error {
		// An attempt before this one may have changed it.
		reflect.ValueOf(obj).Elem().Set(reflect.ValueOf(fresh.DeepCopyObject()).Elem())
		return b.preview(ctx, k, old, obj)
	})
}

func (b *Backend) preview(ctx context.Context, k *kind, old, obj runtime.Object) error {
	p := newPlan(b, true, true)
	p.namespace = namespaceOf(obj)
	if err := k.rules.Plan(ctx, p, old, obj); err != nil {
		return err
	}
	held := &Set{}
	if old != nil {
		held = k.rules.Claims(old)
	}
	set := k.rules.Claims(obj)
	if len(set.twice) > 0 {
		owner, err := ownerOf(k.resource, obj)
		if err != nil {
			return err
		}
		return k.rules.Taken(obj, set.twice[0], owner)
	}
	adds := set.minus(held)
	if err := (&store{b: b, kind: k}).checkCooling(ctx, p, obj, adds); err != nil {
		return err
	}
	for _, c := range adds {
		p.conditions = append(p.conditions, sharedConditions(b.layout, c, func(holder Owner) error { return k.rules.Taken(obj, c, holder) })...)
		holder, ok, err := p.Holder(ctx, c)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		err = refusal(k, obj, c, holder)
		lost, ok := errors.AsType[*takenError](err)
		if !ok {
			return err
		}
		if garbage, _, err := b.garbage(ctx, lost); err != nil {
			return err
		} else if garbage == nil {
			return lost.refusal
		}
	}
	return p.check(ctx)
}

// PreviewDelete checks a deletion without performing it.
func (b *Backend) PreviewDelete(ctx context.Context, resource string, obj runtime.Object) error {
	k, err := b.kind(resource)
	if err != nil {
		return err
	}
	return b.retry(ctx, func(bool) error {
		p := newPlan(b, true, true)
		if err := (&store{b: b, kind: k}).planDelete(ctx, p, obj); err != nil {
			return err
		}
		return p.check(ctx)
	})
}
