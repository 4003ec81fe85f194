// SPDX-License-Identifier: Apache-2.0

package kindtest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
)

// memory is a storage.Interface that keeps the objects of one kind in a map. It can't be
// watched. Methods that it does not implement panic.
type memory struct {
	storage.Interface

	mu       sync.Mutex
	objects  map[string]runtime.Object
	revision uint64
	// writes counts the writes that changed something.
	writes int
	// gets counts the reads of one object.
	gets int
}

// Versioner implements storage.Interface.
func (m *memory) Versioner() storage.Versioner { return storage.APIObjectVersioner{} }

// ReadinessCheck implements storage.Interface.
func (m *memory) ReadinessCheck() error { return nil }

// Create implements storage.Interface.
func (m *memory) Create(_ context.Context, key string, obj, out runtime.Object, _ uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects[key]; ok {
		return storage.NewKeyExistsError(key, 0)
	}
	return m.put(key, obj, out)
}

// Get implements storage.Interface.
func (m *memory) Get(_ context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gets++
	obj, ok := m.objects[key]
	if !ok {
		if opts.IgnoreNotFound {
			return runtime.SetZeroValue(out)
		}
		return storage.NewKeyNotFoundError(key, 0)
	}
	set(out, obj)
	return nil
}

// GetList implements storage.Interface.
func (m *memory) GetList(_ context.Context, key string, opts storage.ListOptions, out runtime.Object) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []string
	for k := range m.objects {
		if strings.HasPrefix(k, key) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	var found []runtime.Object
	for _, k := range keys {
		ok, err := opts.Predicate.Matches(m.objects[k])
		if err != nil {
			return err
		}
		if ok {
			found = append(found, m.objects[k].DeepCopyObject())
		}
	}
	return meta.SetList(out, found)
}

// GuaranteedUpdate implements storage.Interface.
func (m *memory) GuaranteedUpdate(_ context.Context, key string, out runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, _ runtime.Object,
) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.objects[key]
	if !ok {
		if !ignoreNotFound {
			return storage.NewKeyNotFoundError(key, 0)
		}
		if old, ok = reflect.New(reflect.TypeOf(out).Elem()).Interface().(runtime.Object); !ok {
			return fmt.Errorf("%T is not an object", out)
		}
	}
	old = old.DeepCopyObject()
	if err := preconditions.Check(key, old); err != nil {
		return err
	}
	revision, err := m.Versioner().ObjectResourceVersion(old)
	if err != nil {
		return err
	}
	obj, _, err := tryUpdate(old, storage.ResponseMeta{ResourceVersion: revision})
	if err != nil {
		return err
	}
	return m.put(key, obj, out)
}

// Delete implements storage.Interface.
func (m *memory) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validate storage.ValidateObjectFunc, _ runtime.Object, _ storage.DeleteOptions,
) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	obj, ok := m.objects[key]
	if !ok {
		return storage.NewKeyNotFoundError(key, 0)
	}
	if err := preconditions.Check(key, obj); err != nil {
		return err
	}
	if err := validate(ctx, obj); err != nil {
		return err
	}
	set(out, obj)
	delete(m.objects, key)
	m.writes++
	return nil
}

func (m *memory) put(key string, obj, out runtime.Object) error {
	m.revision++
	m.writes++
	stored := obj.DeepCopyObject()
	if err := m.Versioner().UpdateObject(stored, m.revision); err != nil {
		return err
	}
	m.objects[key] = stored
	set(out, stored)
	return nil
}

// set copies obj into out.
func set(out, obj runtime.Object) {
	reflect.ValueOf(out).Elem().Set(reflect.ValueOf(obj.DeepCopyObject()).Elem())
}
