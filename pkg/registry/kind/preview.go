// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"
)

// Previewer checks what a write would claim and what it would depend on. Dry runs never
// reach the storage, which checks this for all other writes.
type Previewer interface {
	// Preview checks a creation (old is nil) or an update, and completes obj with
	// everything that does not require an allocation.
	Preview(ctx context.Context, resource string, old, obj runtime.Object) error
	// PreviewDelete checks a deletion.
	PreviewDelete(ctx context.Context, resource string, obj runtime.Object) error
}

// preview calls the Previewer for dry runs of one kind's writes.
type preview struct {
	previewer Previewer
	resource  string
}

func finishNothing(context.Context, bool) {}

// create returns the hook that runs first in a creation. At that time, the object is not
// prepared yet, so in a dry run the strategy prepares it here; that the store prepares it
// again changes nothing.
func (p preview) create(strategy rest.RESTCreateStrategy) genericregistry.BeginCreateFunc {
	return func(ctx context.Context, obj runtime.Object, options *metav1.CreateOptions) (genericregistry.FinishFunc, error) {
		if p.previewer == nil || options == nil || !dryrun.IsDryRun(options.DryRun) {
			return finishNothing, nil
		}
		if err := rest.BeforeCreate(strategy, ctx, obj); err != nil {
			return nil, err
		}
		return finishNothing, p.previewer.Preview(ctx, p.resource, nil, obj)
	}
}

// update returns the hook that runs first in an update.
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

// delete adds the preview to a deletion's validation.
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
