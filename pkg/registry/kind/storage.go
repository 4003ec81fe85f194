// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"context"
	"fmt"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/registry/fieldset"
)

// The categories are names under which kubectl finds several kinds at once. None
// of them equals a name of a kind: kubectl looks for a category first, so the
// kind could no longer be reached by that name.
const (
	// CategoryAll has every kind of the group.
	CategoryAll = "epic-all"
	// CategoryTenant has the kinds that a tenant can read in its own namespace.
	// kubectl fails on a category as a whole if one of its kinds is forbidden.
	CategoryTenant = "epic-tenant"
)

// Config is what makes one kind different from the others.
type Config struct {
	// Resource is the plural name, Singular the singular one.
	Resource, Singular string
	// ShortNames are further names for kubectl.
	ShortNames []string
	// PlatformOnly marks a kind that tenants can't read.
	PlatformOnly bool
	// NewFunc returns an empty object, NewListFunc an empty list.
	NewFunc, NewListFunc func() runtime.Object
	// Strategy is for writes of the objects, StatusStrategy for writes of their
	// status.
	Strategy       Strategy
	StatusStrategy UpdateStrategy
	// Table shows the objects in columns.
	Table rest.TableConvertor
	// Fields are those by which objects can be selected; Trigger is the one that
	// most watchers select by, or empty.
	Fields  fieldset.Fields
	Trigger string
}

// REST serves the objects of one kind.
type REST struct {
	*genericregistry.Store
	shortNames []string
	categories []string
	preview    preview
	// current is nil for kinds whose objects show no last IDs.
	current *current
}

var (
	_ rest.StandardStorage      = &REST{}
	_ rest.ShortNamesProvider   = &REST{}
	_ rest.CategoriesProvider   = &REST{}
	_ rest.SingularNameProvider = &REST{}
	_ rest.ResetFieldsStrategy  = &REST{}
)

// New builds the storage of a kind. p looks at dry runs; where it is nil they
// are not looked at.
func New(scheme *runtime.Scheme, getter generic.RESTOptionsGetter, p Previewer, c Config) (*REST, *StatusREST, error) {
	kinds, _, err := scheme.ObjectKinds(c.NewFunc())
	if err != nil {
		return nil, nil, fmt.Errorf("find the kind of %s: %w", c.Resource, err)
	}
	if err := c.Fields.Register(scheme, v1.SchemeGroupVersion.WithKind(kinds[0].Kind)); err != nil {
		return nil, nil, fmt.Errorf("register the fields of %s: %w", c.Resource, err)
	}
	store := &genericregistry.Store{
		NewFunc:                   c.NewFunc,
		NewListFunc:               c.NewListFunc,
		DefaultQualifiedResource:  epic.Resource(c.Resource),
		SingularQualifiedResource: epic.Resource(c.Singular),
		PredicateFunc:             c.Fields.Predicate,
		CreateStrategy:            c.Strategy,
		UpdateStrategy:            c.Strategy,
		DeleteStrategy:            c.Strategy,
		ResetFieldsStrategy:       c.Strategy,
		TableConvertor:            c.Table,
	}
	err = store.CompleteWithOptions(&generic.StoreOptions{
		RESTOptions: getter,
		AttrFunc:    c.Fields.GetAttrs,
		Indexers:    c.Fields.Indexers(),
		TriggerFunc: c.Fields.Trigger(c.Trigger),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("build the storage of %s: %w", c.Resource, err)
	}
	look := preview{previewer: p, resource: c.Resource}
	store.BeginCreate = look.create(c.Strategy)
	store.BeginUpdate = look.update(c.Strategy)

	status := *store
	status.CreateStrategy = nil
	status.DeleteStrategy = nil
	status.UpdateStrategy = c.StatusStrategy
	status.ResetFieldsStrategy = c.StatusStrategy
	status.BeginCreate = nil
	status.BeginUpdate = look.update(c.StatusStrategy)

	categories := []string{CategoryAll}
	if !c.PlatformOnly {
		categories = append(categories, CategoryTenant)
	}
	return &REST{Store: store, shortNames: c.ShortNames, categories: categories, preview: look}, &StatusREST{Store: &status}, nil
}

// ShortNames implements rest.ShortNamesProvider.
func (r *REST) ShortNames() []string { return r.shortNames }

// Categories implements rest.CategoriesProvider.
func (r *REST) Categories() []string { return r.categories }

// Get returns an object. Without a resourceVersion, it shows the last IDs assigned.
func (r *REST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return r.current.get(ctx, r.Store, name, options)
}

// List returns objects. Without a resourceVersion, they show the last IDs assigned.
func (r *REST) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	return r.current.list(ctx, r.Store, options)
}

// Create creates an object. That the object exists already is said before
// any rule that it breaks: a client that creates something again wants to hear
// just that. Only a refused creation costs the look.
func (r *REST) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	name := nameOf(obj)
	out, err := r.Store.Create(ctx, obj, validate, options)
	if err == nil || name == "" || !refusal(err) {
		return out, err
	}
	if exists := r.existing(ctx, name); exists != nil {
		return nil, exists
	}
	return out, err
}

// Delete implements rest.GracefulDeleter.
func (r *REST) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	return r.Store.Delete(ctx, name, r.preview.delete(validate, options), options)
}

// DeleteCollection implements rest.CollectionDeleter.
func (r *REST) DeleteCollection(ctx context.Context, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions,
	listOptions *metainternalversion.ListOptions,
) (runtime.Object, error) {
	// The store deletes the objects by its own Delete, not by the one above.
	return r.Store.DeleteCollection(ctx, r.preview.delete(validate, options), options, listOptions)
}

// StatusREST serves the status of one kind's objects.
type StatusREST struct {
	// Store is not embedded, since a status can't be created, listed or deleted.
	Store *genericregistry.Store
	// current is nil for kinds whose objects show no last IDs.
	current *current
}

var (
	_ rest.Storage             = &StatusREST{}
	_ rest.Getter              = &StatusREST{}
	_ rest.Updater             = &StatusREST{}
	_ rest.Patcher             = &StatusREST{}
	_ rest.TableConvertor      = &StatusREST{}
	_ rest.ResetFieldsStrategy = &StatusREST{}
)

// New implements rest.Storage.
func (r *StatusREST) New() runtime.Object { return r.Store.New() }

// Destroy implements rest.Storage. The store is closed where it was opened.
func (r *StatusREST) Destroy() {}

// Get implements rest.Getter.
func (r *StatusREST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return r.current.get(ctx, r.Store, name, options)
}

// Update implements rest.Updater.
func (r *StatusREST) Update(ctx context.Context, name string, objInfo rest.UpdatedObjectInfo, createValidation rest.ValidateObjectFunc,
	updateValidation rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	// Whatever the request says, no object comes to be by a write of its status.
	return r.Store.Update(ctx, name, objInfo, createValidation, updateValidation, false, options)
}

// ConvertToTable implements rest.TableConvertor.
func (r *StatusREST) ConvertToTable(ctx context.Context, object, tableOptions runtime.Object) (*metav1.Table, error) {
	return r.Store.ConvertToTable(ctx, object, tableOptions)
}

// GetResetFields implements rest.ResetFieldsStrategy.
func (r *StatusREST) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return r.Store.GetResetFields()
}
