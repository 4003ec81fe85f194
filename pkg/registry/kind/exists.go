// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
)

// nameOf returns the name that the client set, or "" if it requests a generated name.
func nameOf(obj runtime.Object) string {
	m, err := meta.Accessor(obj)
	if err != nil {
		return ""
	}
	return m.GetName()
}

// refusal reports whether an error means that the client may not create this object.
// Errors of a server that can't do its work do not.
func refusal(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err)
}

// existing returns an AlreadyExists error if an object with this name exists, and nil
// otherwise.
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
