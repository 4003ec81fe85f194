// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/acnodal/epic/pkg/connector/publish"
)

// copied is an object that can be copied.
type copied[T any] interface {
	client.Object
	DeepCopy() T
}

// hold adds the finalizer to a local object, to keep it until the objects it published
// are deleted.
func hold[T copied[T]](ctx context.Context, b *base, o T) error {
	return addFinalizer(ctx, b, o, publish.Finalizer)
}

func addFinalizer[T copied[T]](ctx context.Context, b *base, o T, finalizer string) error {
	held := o.DeepCopy()
	if !controllerutil.AddFinalizer(held, finalizer) {
		return nil
	}
	if err := b.local.Patch(ctx, held, client.MergeFromWithOptions(o, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("add the finalizer: %w", err)
	}
	return nil
}

// free removes the finalizer from a local object.
func free[T copied[T]](ctx context.Context, b *base, o T) error {
	return removeFinalizer(ctx, b, o, publish.Finalizer)
}

func removeFinalizer[T copied[T]](ctx context.Context, b *base, o T, finalizer string) error {
	freed := o.DeepCopy()
	if !controllerutil.RemoveFinalizer(freed, finalizer) {
		return nil
	}
	err := b.local.Patch(ctx, freed, client.MergeFromWithOptions(o, client.MergeFromWithOptimisticLock{}))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("remove the finalizer: %w", err)
	}
	return nil
}
