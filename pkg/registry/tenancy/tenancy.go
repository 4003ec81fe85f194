// SPDX-License-Identifier: Apache-2.0

// Package tenancy finds the objects to which a tenant's object belongs, and returns
// errors for those that are missing. It does not check the object itself, which is up to
// the Rules of each kind.
package tenancy

import (
	"context"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
)

// EPICRef returns a reference to the EPIC object.
func EPICRef() claims.Ref {
	return claims.Ref{Resource: epic.ResourceEPICs, Namespace: epic.ConfigNamespace, Name: epic.ConfigName}
}

// AccountRef returns a reference to the account of a namespace, which has at most one.
func AccountRef(namespace string) claims.Ref {
	return claims.Ref{Resource: epic.ResourceAccounts, Namespace: namespace, Name: strings.TrimPrefix(namespace, epic.AccountNamespacePrefix)}
}

// PrefixRef returns a reference to a service prefix.
func PrefixRef(name string) claims.Ref {
	return claims.Ref{Resource: epic.ResourceServicePrefixes, Namespace: epic.ConfigNamespace, Name: name}
}

// GroupRef returns a reference to a service group.
func GroupRef(namespace, name string) claims.Ref {
	return claims.Ref{Resource: epic.ResourceLBServiceGroups, Namespace: namespace, Name: name}
}

// LoadBalancerRef returns a reference to a load balancer.
func LoadBalancerRef(namespace, name string) claims.Ref {
	return claims.Ref{Resource: epic.ResourceLoadBalancers, Namespace: namespace, Name: name}
}

// Label returns the path of one of an object's labels.
func Label(name string) *field.Path {
	return field.NewPath("metadata", "labels").Key(name)
}

// Invalid returns the error for a write that violates a rule.
func Invalid(kind, name string, errs ...*field.Error) error {
	return apierrors.NewInvalid(schema.GroupKind{Group: epic.GroupName, Kind: kind}, name, errs)
}

// InUse returns the error for the deletion of an object on which others depend.
func InUse(kind, name string, child claims.Owner) error {
	return Invalid(kind, name, field.Forbidden(field.NewPath("metadata", "name"),
		"others depend on it, for example "+singular(child.Resource)+" "+child.Namespace+"/"+child.Name+": delete them first"))
}

func singular(resource string) string {
	switch {
	case resource == epic.ResourceServicePrefixes:
		return strings.TrimSuffix(resource, "es")
	case strings.HasSuffix(resource, "ies"):
		return strings.TrimSuffix(resource, "ies") + "y"
	}
	return strings.TrimSuffix(resource, "s")
}

// RequireAccount reads the account of a namespace, and makes the write depend on its
// existence. If there is none, the error explains how to create it.
func RequireAccount(ctx context.Context, p *claims.Plan, namespace string) (*epic.Account, *field.Error, error) {
	ref := AccountRef(namespace)
	objs, err := p.Read(ctx, ref)
	if err != nil {
		return nil, nil, err
	}
	account, _ := objs[0].(*epic.Account)
	if e := CheckAccount(account, namespace); e != nil {
		return nil, e, nil
	}
	p.DependOnExistence(ref)
	return account, nil, nil
}

// CheckAccount returns an error if the account found for a namespace is not valid for it.
func CheckAccount(account *epic.Account, namespace string) *field.Error {
	path := field.NewPath("metadata", "namespace")
	ref := AccountRef(namespace)
	switch {
	case account == nil:
		return field.Invalid(path, namespace, "the namespace has no Account: create Account "+ref.Name+" in it first")
	case account.DeletionTimestamp != nil:
		return field.Invalid(path, namespace, "Account "+ref.Name+" is being deleted: wait until it is gone and create it again")
	}
	return nil
}

// SetLabel sets a label that the system owns, and returns an error if the object has it
// with a different value.
func SetLabel(m metav1.Object, name, value, why string) *field.Error {
	labels := m.GetLabels()
	if have, ok := labels[name]; ok && have != value {
		return field.Invalid(Label(name), have, "the server sets it: "+why+"; leave it out")
	}
	if labels == nil {
		labels = map[string]string{}
	}
	labels[name] = value
	m.SetLabels(labels)
	return nil
}
