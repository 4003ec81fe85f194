// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func (o *createAccount) createOptions() metav1.CreateOptions {
	return metav1.CreateOptions{FieldManager: fieldManager, DryRun: o.dryRun.options()}
}

func (o *createAccount) patchOptions() metav1.PatchOptions {
	return metav1.PatchOptions{FieldManager: fieldManager, DryRun: o.dryRun.options()}
}

// again retries f after a conflict with another writer.
func again(f func() error) error {
	return retry.OnError(retry.DefaultBackoff, func(err error) bool {
		return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)
	}, f)
}

// mergePatch returns a patch that only applies to the version that was read.
func mergePatch(read metav1.Object, change map[string]any) []byte {
	meta, ok := change["metadata"].(map[string]any)
	if !ok {
		meta = map[string]any{}
		change["metadata"] = meta
	}
	meta["resourceVersion"] = read.GetResourceVersion()
	data, err := json.Marshal(change)
	must(err)
	return data
}

// patchClient is the part of a kind's client that an ensure needs.
type patchClient[T object] interface {
	kindClient[T]
	Patch(ctx context.Context, name string, pt types.PatchType, data []byte, o metav1.PatchOptions, subresources ...string) (T, error)
}

// ensure reads an object, and then creates or patches what is missing, on the condition
// that nobody has written in between: concurrent additions, such as a person's
// permissions, must not be lost. change returns the patch for an existing object, or nil;
// explain adds the required permission to an error.
func ensure[T object](ctx context.Context, o *createAccount, client patchClient[T], want T,
	explain func(verb string, err error) error, change func(is T) (map[string]any, error),
) (result outcome, _ runtime.Object, err error) {
	var is T
	err = again(func() (err error) {
		is, err = client.Get(ctx, want.GetName(), metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err) && !notServed(err):
			result = created
			is, err = client.Create(ctx, want, o.createOptions())
			if o.unseen(err) {
				is, err = want, nil
			}
			return explain("create", err)
		case err != nil:
			return explain("get", err)
		}
		patch, err := change(is)
		if err != nil {
			return err
		}
		if patch == nil {
			result = unchanged
			return nil
		}
		result = changed
		is, err = client.Patch(ctx, want.GetName(), types.MergePatchType, mergePatch(is, patch), o.patchOptions())
		return explain("patch", err)
	})
	if err == nil {
		is.GetObjectKind().SetGroupVersionKind(want.GetObjectKind().GroupVersionKind())
	}
	return result, is, err
}

func (o *createAccount) ensureNamespace(ctx context.Context, want *corev1.Namespace) (outcome, runtime.Object, error) {
	explain := func(verb string, err error) error { return right{verb: verb, resource: "namespaces"}.explain(err) }
	return ensure(ctx, o, o.kubeClient.CoreV1().Namespaces(), want, explain, func(is *corev1.Namespace) (map[string]any, error) {
		switch {
		case is.DeletionTimestamp != nil:
			return nil, fmt.Errorf("namespace %s is being deleted: wait until it is gone", want.Name)
		case hasLabels(is.Labels, want.Labels):
			return nil, nil
		}
		for key, value := range want.Labels {
			if other, ok := is.Labels[key]; ok && other != value {
				return nil, fmt.Errorf("namespace %s belongs to something else (its label %s is %q): remove the label if it is wrong, or choose another account name", want.Name, key, other)
			}
		}
		return map[string]any{"metadata": map[string]any{"labels": want.Labels}}, nil
	})
}

func (o *createAccount) ensureAccount(ctx context.Context, want *v1.Account) (outcome, runtime.Object, error) {
	explain := func(verb string, err error) error { return accountRight(verb, want.Namespace).explain(err) }
	return ensure(ctx, o, o.epicClient.EpicV1().Accounts(want.Namespace), want, explain, func(is *v1.Account) (map[string]any, error) {
		switch {
		case is.DeletionTimestamp != nil:
			return nil, fmt.Errorf("account %s is being deleted: wait until it is gone", want.Name)
		case want.Spec.ProxyLimit == nil || is.Spec.ProxyLimit != nil && *is.Spec.ProxyLimit == *want.Spec.ProxyLimit:
			return nil, nil
		}
		return map[string]any{"spec": map[string]any{"proxyLimit": *want.Spec.ProxyLimit}}, nil
	})
}

func (o *createAccount) ensureBinding(ctx context.Context, want *rbacv1.RoleBinding) (outcome, runtime.Object, error) {
	explain := func(verb string, err error) error {
		if verb != "get" {
			err = grantingMore(err)
		}
		return right{verb, "rolebindings." + rbacv1.GroupName, want.Namespace}.explain(err)
	}
	return ensure(ctx, o, o.kubeClient.RbacV1().RoleBindings(want.Namespace), want, explain, func(is *rbacv1.RoleBinding) (map[string]any, error) {
		if is.RoleRef != want.RoleRef {
			return nil, fmt.Errorf("namespace %s already has a RoleBinding with this name, for %s %s: delete it first, or rename it", want.Namespace, is.RoleRef.Kind, is.RoleRef.Name)
		}
		all, grown := union(is.Subjects, want.Subjects)
		if !grown {
			return nil, nil
		}
		return map[string]any{"subjects": all}, nil
	})
}

// unseen reports whether a dry run can't be checked, because the namespace that an
// earlier step would have created does not exist.
func (o *createAccount) unseen(err error) bool {
	if o.dryRun != dryRunServer || !apierrors.IsNotFound(err) || notServed(err) {
		return false
	}
	o.note("The server can't check objects in a namespace that does not exist yet, so the following objects are not checked.")
	return true
}

// grantingMore explains the only denial on role bindings that does not name a permission:
// RBAC prevents users from granting permissions that they do not have.
func grantingMore(err error) error {
	if err != nil && apierrors.IsForbidden(err) && !deniedByRBAC(err) {
		return fmt.Errorf("you can only grant permissions that you have yourself: ask a cluster administrator to bind the ClusterRole epic-platform-admin to you, or to bind this role (%w)", err)
	}
	return err
}
