// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/acnodal/epic/pkg/overview"
)

// watched is a kind that is watched in a namespace, or in all.
type watched struct {
	feed                *Feed
	resource, namespace string
	reflector           *cache.Reflector
	store               cache.Store

	mu sync.Mutex
	// read indicates that the objects have been read once, and unread is why they can't
	// be.
	read   bool
	unread *overview.Unread
}

// client is a generated client for one kind in a namespace.
type client[L runtime.Object] interface {
	List(ctx context.Context, o metav1.ListOptions) (L, error)
	Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error)
}

// watchKind returns a watched kind. The selector may be empty.
func watchKind[L runtime.Object](f *Feed, resource, namespace, selector string, example runtime.Object, of any, c client[L]) *watched {
	w := &watched{feed: f, resource: resource, namespace: namespace, store: cache.NewStore(cache.MetaNamespaceKeyFunc)}
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = selector
			list, err := c.List(ctx, o)
			if err != nil {
				return nil, err // not the nil of type L
			}
			return list, nil
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = selector
			return c.Watch(ctx, o)
		},
	}
	w.reflector = cache.NewReflectorWithOptions(cache.ToListWatcherWithWatchListSemantics(lw, of), example, &notifying{Store: w.store, watched: w}, cache.ReflectorOptions{
		Name:    "dashboard/" + resource,
		Backoff: &wait.Backoff{Duration: retryFrom, Factor: 2, Cap: retryMost, Steps: 5, Jitter: 0.5},
	})
	return w
}

// run watches the kind until ctx ends. It repeats a forbidden request periodically, and a
// failed one soon, or as soon as the API is back.
func (w *watched) run(ctx context.Context) {
	delay := retryFrom
	for ctx.Err() == nil {
		begin := time.Now()
		err := w.reflector.ListAndWatchWithContext(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(begin) > retryMost {
			delay = retryFrom
		}
		next := delay
		delay = min(2*delay, retryMost)
		if err != nil {
			unread := w.feed.options.Explain("list", w.resource, w.namespace, err)
			if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
				next = forbiddenEvery
			}
			w.failed(&unread, apierrors.IsForbidden(err))
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-w.feed.isBack():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// failed records why the kind can't be read. Existing objects are kept, unless the reader
// lost the permission to see them.
func (w *watched) failed(u *overview.Unread, forbidden bool) {
	if forbidden {
		_ = w.store.Replace(nil, "")
	}
	w.mu.Lock()
	w.unread = u
	w.mu.Unlock()
	w.feed.wake()
}

// state returns what could not be read, and whether everything possible has been done
// once.
func (w *watched) state() (unread *overview.Unread, done bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unread, w.read || w.unread != nil
}

// notifying is a store that drops unused fields, and schedules a build of the model after
// each change.
type notifying struct {
	cache.Store
	watched *watched
}

func (n *notifying) changed(err error) error {
	n.watched.mu.Lock()
	n.watched.read, n.watched.unread = true, nil
	n.watched.mu.Unlock()
	n.watched.feed.wake()
	return err
}

// Add implements cache.Store.
func (n *notifying) Add(obj any) error { return n.changed(n.Store.Add(slim(obj))) }

// Update implements cache.Store.
func (n *notifying) Update(obj any) error { return n.changed(n.Store.Update(slim(obj))) }

// Delete implements cache.Store.
func (n *notifying) Delete(obj any) error { return n.changed(n.Store.Delete(obj)) }

// Replace implements cache.Store.
func (n *notifying) Replace(all []any, version string) error {
	for i := range all {
		all[i] = slim(all[i])
	}
	return n.changed(n.Store.Replace(all, version))
}

// slim drops managed fields, which are half of an object.
func slim(obj any) any {
	if m, err := meta.Accessor(obj); err == nil {
		m.SetManagedFields(nil)
	}
	return obj
}

// list returns the objects of watched kinds.
func list[T any](all []*watched, resource string) []T {
	var out []T
	for _, w := range all {
		if w.resource != resource {
			continue
		}
		for _, obj := range w.store.List() {
			if o, ok := obj.(T); ok {
				out = append(out, o)
			}
		}
	}
	return out
}
