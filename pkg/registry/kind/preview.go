// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/util/dryrun"
)

// Previewer checks what a write would claim and on what it would depend. Dry
// runs never reach the storage, which checks it for all other writes.
type Previewer interface {
	// Preview checks a creation (old is nil) or an update, and completes obj by
	// what needs no assignment.
	Preview(ctx context.Context, resource string, old, obj runtime.Object) error
	// PreviewDelete checks a deletion.
	PreviewDelete(ctx context.Context, resource string, obj runtime.Object) error
}

// preview calls the Previewer for dry runs of one kind's writes, and for those
// only.
type preview struct {
	previewer Previewer
	resource  string
	store     *genericregistry.Store
}

func finishNothing(context.Context, bool) {}

// create is the hook that runs first in a creation. The object is not ready for
// a look by then, so in a dry run the strategy prepares it here; that the store
// does it again afterwards changes nothing.
func (p preview) create(strategy rest.RESTCreateStrategy) genericregistry.BeginCreateFunc {
	return func(ctx context.Context, obj runtime.Object, options *metav1.CreateOptions) (genericregistry.FinishFunc, error) {
		if p.previewer == nil || options == nil || !dryrun.IsDryRun(options.DryRun) {
			return finishNothing, nil
		}
		if err := rest.BeforeCreate(strategy, ctx, obj); err != nil {
			return nil, err
		}
		taken, err := p.exists(ctx, obj)
		if err != nil {
			return nil, err
		}
		if taken {
			// The object would find its own claims taken. What is wrong is that it
			// exists already, and the store will say so.
			return finishNothing, nil
		}
		return finishNothing, p.previewer.Preview(ctx, p.resource, nil, obj)
	}
}

// update is the hook that runs first in an update.
func (p preview) update(strategy rest.RESTUpdateStrategy) genericregistry.BeginUpdateFunc {
	return func(ctx context.Context, obj, old runtime.Object, options *metav1.UpdateOptions) (genericregistry.FinishFunc, error) {
		if p.previewer == nil || options == nil || !dryrun.IsDryRun(options.DryRun) {
			return finishNothing, nil
		}
		if err := rest.BeforeUpdate(strategy, ctx, obj, old); err != nil {
			return nil, err
		}
		return finishNothing, p.previewer.Preview(ctx, p.resource, old, obj)
	}
}

// delete adds the look to a deletion's validation.
func (p preview) delete(validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) rest.ValidateObjectFunc {
	if validate == nil {
		validate = rest.ValidateAllObjectFunc
	}
	if p.previewer == nil || options == nil || !dryrun.IsDryRun(options.DryRun) {
		return validate
	}
	return func(ctx context.Context, obj runtime.Object) error {
		if err := validate(ctx, obj); err != nil {
			return err
		}
		return p.previewer.PreviewDelete(ctx, p.resource, obj)
	}
}

func (p preview) exists(ctx context.Context, obj runtime.Object) (bool, error) {
	m, err := meta.Accessor(obj)
	if err != nil {
		return false, err
	}
	key, err := p.store.KeyFunc(ctx, m.GetName())
	if err != nil {
		return false, err
	}
	err = p.store.Storage.Get(ctx, key, storage.GetOptions{}, p.store.NewFunc())
	if storage.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}
