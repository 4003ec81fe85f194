// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
)

// nameOf is the name that the client gave, or "" if it has one generated.
func nameOf(obj runtime.Object) string {
	m, err := meta.Accessor(obj)
	if err != nil {
		return ""
	}
	return m.GetName()
}

// refusal reports whether an error states that the client may not create the
// object as it is. Errors of a server that can't do its work say no such thing.
func refusal(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err)
}

// existing is the error that an object of this name exists, or nil if none does.
func (r *REST) existing(ctx context.Context, name string) error {
	key, err := r.KeyFunc(ctx, name)
	if err != nil {
		return nil //nolint:nilerr // the refusal describes what is wrong
	}
	found := r.NewFunc()
	if err := r.Storage.Get(ctx, key, storage.GetOptions{}, found); err != nil {
		return nil //nolint:nilerr // the refusal is as true as before
	}
	exists := apierrors.NewAlreadyExists(r.DefaultQualifiedResource, name)
	if m, err := meta.Accessor(found); err == nil && m.GetDeletionTimestamp() != nil {
		exists.ErrStatus.Message = "object is being deleted: " + exists.ErrStatus.Message
	}
	return exists
}
