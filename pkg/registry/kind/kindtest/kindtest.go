// SPDX-License-Identifier: Apache-2.0

// Package kindtest tests the storage of a kind as the API server uses it, on a map
// instead of etcd, and without claims.
package kindtest

import (
	"context"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"

	"github.com/acnodal/epic/pkg/apis/epic/install"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/registry/kind"
)

// Object is an object of any kind.
type Object interface {
	runtime.Object
	metav1.Object
}

// NewRESTFunc is the constructor of a kind's storage.
type NewRESTFunc func(*runtime.Scheme, generic.RESTOptionsGetter, kind.Previewer) (*kind.REST, *kind.StatusREST, error)

// Storage is the storage of a kind on a map.
type Storage struct {
	REST   *kind.REST
	Status *kind.StatusREST
	// Trigger is the name of the field by which watchers are found.
	Trigger string

	t      *testing.T
	memory *memory
}

// New builds the storage of a kind, with or without a previewer.
func New(t *testing.T, newREST NewRESTFunc, p kind.Previewer) *Storage {
	t.Helper()
	scheme := runtime.NewScheme()
	install.Install(scheme)
	s := &Storage{t: t, memory: &memory{objects: map[string]runtime.Object{}}}
	getter := generic.RESTOptions{
		StorageConfig: &storagebackend.ConfigForResource{Config: storagebackend.Config{
			Codec: serializer.NewCodecFactory(scheme).LegacyCodec(v1.SchemeGroupVersion),
		}},
		ResourcePrefix: "objects",
		Decorator: func(_ *storagebackend.ConfigForResource, _ string, _ func(runtime.Object) (string, error), _, _ func() runtime.Object,
			_ storage.AttrFunc, trigger storage.IndexerFuncs, _ *cache.Indexers,
		) (storage.Interface, factory.DestroyFunc, error) {
			for name := range trigger {
				s.Trigger = name
			}
			return s.memory, func() {}, nil
		},
	}
	var err error
	if s.REST, s.Status, err = newREST(scheme, getter, p); err != nil {
		t.Fatal(err)
	}
	return s
}

// Writes returns the number of writes.
func (s *Storage) Writes() int { return s.memory.writes }

// Reads returns the number of reads of single objects.
func (s *Storage) Reads() int { return s.memory.gets }

// request returns the context of a request to a namespace.
func request(namespace string) context.Context {
	return genericapirequest.WithNamespace(genericapirequest.NewContext(), namespace)
}

// Create creates an object and returns what was stored.
func Create[T Object](s *Storage, obj T, dryRun ...string) (T, error) {
	out, err := s.REST.Create(request(obj.GetNamespace()), obj.DeepCopyObject(), rest.ValidateAllObjectFunc, &metav1.CreateOptions{DryRun: dryRun})
	return result[T](out, err)
}

// MustCreate is like Create, and fails the test on an error.
func MustCreate[T Object](s *Storage, obj T) T {
	s.t.Helper()
	out, err := Create(s, obj)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// Put stores an object as the layers below would complete it.
func (s *Storage) Put(obj Object) {
	s.t.Helper()
	key, err := s.REST.KeyFunc(request(obj.GetNamespace()), obj.GetName())
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.memory.put(key, obj, s.REST.New()); err != nil {
		s.t.Fatal(err)
	}
}

// Get reads an object.
func Get[T Object](s *Storage, namespace, name string) (T, error) {
	out, err := s.REST.Get(request(namespace), name, &metav1.GetOptions{})
	return result[T](out, err)
}

// Update writes an object and returns what was stored.
func Update[T Object](s *Storage, obj T, dryRun ...string) (T, error) {
	out, _, err := s.REST.Update(request(obj.GetNamespace()), obj.GetName(), rest.DefaultUpdatedObjectInfo(obj.DeepCopyObject()),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{DryRun: dryRun})
	return result[T](out, err)
}

// UpdateStatus writes an object's status and returns what was stored.
func UpdateStatus[T Object](s *Storage, obj T, dryRun ...string) (T, error) {
	out, _, err := s.Status.Update(request(obj.GetNamespace()), obj.GetName(), rest.DefaultUpdatedObjectInfo(obj.DeepCopyObject()),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, true, &metav1.UpdateOptions{DryRun: dryRun})
	return result[T](out, err)
}

// Delete deletes an object.
func (s *Storage) Delete(namespace, name string, dryRun ...string) error {
	_, _, err := s.REST.Delete(request(namespace), name, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{DryRun: dryRun})
	return err
}

// DeleteAll deletes all objects of a namespace.
func (s *Storage) DeleteAll(namespace string, dryRun ...string) error {
	_, err := s.REST.DeleteCollection(request(namespace), rest.ValidateAllObjectFunc, &metav1.DeleteOptions{DryRun: dryRun}, nil)
	return err
}

// Selected reports whether a field selector selects an object.
func (s *Storage) Selected(obj runtime.Object, selector string) bool {
	s.t.Helper()
	p := s.REST.PredicateFunc(labels.Everything(), fields.ParseSelectorOrDie(selector))
	ok, err := p.Matches(obj)
	if err != nil {
		s.t.Fatal(err)
	}
	// A selection by field is served from an index.
	if len(p.MatcherIndex(context.Background())) == 0 {
		s.t.Errorf("no index for %s", selector)
	}
	return ok
}

// Row returns the table row of an object: the names and cells of the columns, with those
// of -o wide after a bar.
func (s *Storage) Row(obj runtime.Object) (columns string, cells []any) {
	s.t.Helper()
	table, err := s.REST.ConvertToTable(context.Background(), obj, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(table.Rows) != 1 || len(table.Rows[0].Cells) != len(table.ColumnDefinitions) {
		s.t.Fatalf("%d rows, %d columns", len(table.Rows), len(table.ColumnDefinitions))
	}
	var narrow, wide []string
	for _, c := range table.ColumnDefinitions {
		if c.Description == "" {
			s.t.Errorf("column %s has no description", c.Name)
		}
		if c.Priority == 0 {
			if len(wide) > 0 {
				s.t.Errorf("column %s after those of -o wide", c.Name)
			}
			narrow = append(narrow, c.Name)
		} else {
			wide = append(wide, c.Name)
		}
	}
	return strings.Join(narrow, ",") + "|" + strings.Join(wide, ","), table.Rows[0].Cells
}

// Resets returns the paths of the fields that writes of the object, or of its status,
// can't set.
func Resets(s rest.ResetFieldsStrategy) string {
	return s.GetResetFields()["epic.acnodal.io/v1"].String()
}

// Ready returns a condition as a controller writes it.
func Ready() []metav1.Condition {
	conditions := []metav1.Condition{}
	meta.SetStatusCondition(&conditions, metav1.Condition{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Done"})
	return conditions
}

func result[T Object](out runtime.Object, err error) (T, error) {
	obj, ok := out.(T)
	if !ok && err == nil {
		var none T
		panic("not the kind asked for: " + strings.TrimPrefix(none.GetName(), "/"))
	}
	return obj, err
}
