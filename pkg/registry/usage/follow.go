// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/client-go/tools/cache"
)

// Source is the storage of one kind.
type Source struct {
	Resource string
	// Storage has the objects, and Key is their common key prefix.
	Storage              storage.Interface
	Key                  string
	NewFunc, NewListFunc func() runtime.Object
}

// Run follows the sources until ctx ends.
func (t *Tracker) Run(ctx context.Context, sources []Source) {
	for _, s := range sources {
		r := cache.NewReflectorWithOptions(watcher{s}, s.NewFunc(), follower{t, s.Resource}, cache.ReflectorOptions{Name: "account-usage/" + s.Resource})
		go r.RunWithContext(ctx)
	}
	metricsOf.tracker.Store(t)
	<-ctx.Done()
}

// watcher lists and watches a source as a client would.
type watcher struct{ s Source }

var _ cache.ListerWatcherWithContext = watcher{}

// IsWatchListSemanticsUnSupported makes the reflector list before it watches,
// which costs nothing here: both come from memory.
func (watcher) IsWatchListSemanticsUnSupported() bool { return true }

// ListWithContext implements cache.ListerWithContext.
func (w watcher) ListWithContext(ctx context.Context, _ metav1.ListOptions) (runtime.Object, error) {
	list := w.s.NewListFunc()
	// Version 0 returns the content of the watch cache.
	err := w.s.Storage.GetList(ctx, w.s.Key, storage.ListOptions{ResourceVersion: "0", Predicate: storage.Everything, Recursive: true}, list)
	return list, err
}

// WatchWithContext implements cache.WatcherWithContext.
func (w watcher) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	predicate := storage.Everything
	predicate.AllowWatchBookmarks = options.AllowWatchBookmarks
	inner, err := w.s.Storage.Watch(ctx, w.s.Key, storage.ListOptions{ResourceVersion: options.ResourceVersion, Predicate: predicate, Recursive: true})
	if err != nil {
		return nil, err
	}
	return watch.Filter(inner, unwrap), nil
}

// unwrap removes the wrapper in which the watch cache sends an object to several
// watchers.
func unwrap(e watch.Event) (watch.Event, bool) {
	if c, ok := e.Object.(runtime.CacheableObject); ok {
		e.Object = c.GetObject()
	}
	return e, true
}

// List implements cache.Lister.
func (w watcher) List(options metav1.ListOptions) (runtime.Object, error) {
	return w.ListWithContext(context.Background(), options)
}

// Watch implements cache.Watcher.
func (w watcher) Watch(options metav1.ListOptions) (watch.Interface, error) {
	return w.WatchWithContext(context.Background(), options)
}

// follower is the store that a reflector fills: it only keeps the sizes of objects.
type follower struct {
	t        *Tracker
	resource string
}

var _ cache.ReflectorStore = follower{}

// Add implements cache.ReflectorStore.
func (f follower) Add(obj any) error { return f.Update(obj) }

// Update implements cache.ReflectorStore.
func (f follower) Update(obj any) error {
	o, ok := obj.(runtime.Object)
	if !ok {
		return fmt.Errorf("%T is not an API object", obj)
	}
	return f.t.set(f.resource, o)
}

// Delete implements cache.ReflectorStore.
func (f follower) Delete(obj any) error {
	m, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	f.t.remove(f.resource, m.GetNamespace(), m.GetName())
	return nil
}

// Replace implements cache.ReflectorStore.
func (f follower) Replace(list []any, _ string) error {
	objs := make([]runtime.Object, 0, len(list))
	for _, obj := range list {
		o, ok := obj.(runtime.Object)
		if !ok {
			return fmt.Errorf("%T is not an API object", obj)
		}
		objs = append(objs, o)
	}
	return f.t.replace(f.resource, objs)
}

// Resync implements cache.ReflectorStore.
func (follower) Resync() error { return nil }
