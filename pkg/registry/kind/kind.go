// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/registry/fieldset"
)

// Categories are names under which kubectl finds several kinds. None of them equals a
// name of a kind: kubectl looks up categories first, so the kind could no longer be
// reached by that name.
const (
	// CategoryAll includes every kind of the group.
	CategoryAll = "epic-all"
	// CategoryTenant includes the kinds that a tenant can read in its own namespace.
	// kubectl fails on a category as a whole if one of its kinds is forbidden.
	CategoryTenant = "epic-tenant"
)

// Kind defines the storage of one kind. T is the internal type of its objects, and L the
// type of their list.
type Kind[T, L any] struct {
	// Resource is the plural name, Singular the singular name.
	Resource, Singular string
	// ShortNames are further names for kubectl.
	ShortNames []string
	// PlatformOnly marks a kind that tenants can't read.
	PlatformOnly bool
	// Strategy has the rules for writes.
	Strategy Strategy[T]
	// Table converts the objects to table rows.
	Table rest.TableConvertor
	// Fields are the fields by which objects can be selected, in addition to name and
	// namespace. Trigger is the one that most watchers select by, or empty.
	Fields  fieldset.Fields
	Trigger string
}

// NewREST builds the storage of the kind and of its status. p checks dry runs; it may be
// nil.
func (k Kind[T, L]) NewREST(scheme *runtime.Scheme, getter generic.RESTOptionsGetter, p Previewer) (*REST, *StatusREST, error) {
	kinds, _, err := scheme.ObjectKinds(empty[T]())
	if err != nil {
		return nil, nil, fmt.Errorf("find the kind of %s: %w", k.Resource, err)
	}
	if err := checkType(reflect.TypeFor[T]()); err != nil {
		return nil, nil, fmt.Errorf("check the type of %s: %w", k.Resource, err)
	}
	if err := k.Fields.Register(scheme, v1.SchemeGroupVersion.WithKind(kinds[0].Kind)); err != nil {
		return nil, nil, fmt.Errorf("register the fields of %s: %w", k.Resource, err)
	}
	objects, statuses := newObjectStrategy(scheme, k.Strategy), newStatusStrategy(scheme, k.Strategy)
	store := &genericregistry.Store{
		NewFunc:                   empty[T],
		NewListFunc:               empty[L],
		DefaultQualifiedResource:  epic.Resource(k.Resource),
		SingularQualifiedResource: epic.Resource(k.Singular),
		PredicateFunc:             k.Fields.Predicate,
		CreateStrategy:            objects,
		UpdateStrategy:            objects,
		DeleteStrategy:            objects,
		ResetFieldsStrategy:       objects,
		TableConvertor:            k.Table,
	}
	err = store.CompleteWithOptions(&generic.StoreOptions{
		RESTOptions: getter,
		AttrFunc:    k.Fields.GetAttrs,
		Indexers:    k.Fields.Indexers(),
		TriggerFunc: k.Fields.Trigger(k.Trigger),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("build the storage of %s: %w", k.Resource, err)
	}
	look := preview{previewer: p, resource: k.Resource}
	store.BeginCreate = look.create(objects)
	store.BeginUpdate = look.update(objects)

	status := *store
	status.CreateStrategy = nil
	status.DeleteStrategy = nil
	status.UpdateStrategy = statuses
	status.ResetFieldsStrategy = statuses
	status.BeginCreate = nil
	status.BeginUpdate = look.update(statuses)

	categories := []string{CategoryAll}
	if !k.PlatformOnly {
		categories = append(categories, CategoryTenant)
	}
	return &REST{Store: store, shortNames: k.ShortNames, categories: categories, preview: look}, &StatusREST{Store: &status}, nil
}
