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

// hold keeps a local object until what it published is gone.
func hold[T copied[T]](ctx context.Context, b *base, o T) error {
	if controllerutil.ContainsFinalizer(o, publish.Finalizer) {
		return nil
	}
	held := o.DeepCopy()
	controllerutil.AddFinalizer(held, publish.Finalizer)
	if err := b.local.Patch(ctx, held, client.MergeFromWithOptions(o, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("add the finalizer: %w", err)
	}
	return nil
}

// free lets a local object go that was held.
func free[T copied[T]](ctx context.Context, b *base, o T) error {
	if !controllerutil.ContainsFinalizer(o, publish.Finalizer) {
		return nil
	}
	freed := o.DeepCopy()
	controllerutil.RemoveFinalizer(freed, publish.Finalizer)
	err := b.local.Patch(ctx, freed, client.MergeFromWithOptions(o, client.MergeFromWithOptimisticLock{}))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("remove the finalizer: %w", err)
	}
	return nil
}
