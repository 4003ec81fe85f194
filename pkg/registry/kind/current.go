// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/utils/lru"
)

const (
	// refreshRate and refreshBurst limit how often reads write one object, so frequent
	// reads don't slow down its watchers and writers.
	refreshRate  = rate.Limit(5)
	refreshBurst = 10

	// refreshTimeout limits one write. Readers wait no longer than the deadline of their
	// requests.
	refreshTimeout = 30 * time.Second

	// refreshObjects is the number of objects whose rates are kept.
	refreshObjects = 4096

	// refreshParallel is the number of objects of a list that are written concurrently.
	refreshParallel = 16
)

// fullWarning is the warning for reads whose objects can't be written.
const fullWarning = "the most recently assigned IDs may be outdated, because etcd is full: they are as of the last write of the object"

// LastIDs knows which objects show IDs that are no longer the last ones.
type LastIDs interface {
	Outdated(ctx context.Context, resource string, objs ...runtime.Object) ([]bool, error)
}

// ShowLastIDs makes reads of a kind's objects show the last IDs as of the read. Every
// write of an object stores them; a read that finds them outdated writes the object
// first. That write changes no other field and is internal to the server, so the reader
// does not need permission to write. Reads that accept an older state (those with a
// resourceVersion, and the second and later pages of a list) show the objects as they are
// stored, as watches do.
func ShowLastIDs(objects *REST, status *StatusREST, ids LastIDs) {
	c := &current{store: objects.Store, resource: objects.DefaultQualifiedResource.Resource, ids: ids, limit: refreshRate, refreshers: lru.New(refreshObjects)}
	objects.current, status.current = c, c
}

// current keeps the last IDs of one kind's objects current. It is nil for kinds that show
// none.
type current struct {
	store    *genericregistry.Store
	resource string
	ids      LastIDs
	limit    rate.Limit

	mu         sync.Mutex
	refreshers *lru.Cache
}

// get reads an object through store, which serves the objects or their status.
func (c *current) get(ctx context.Context, store *genericregistry.Store, name string, options *metav1.GetOptions) (runtime.Object, error) {
	obj, err := store.Get(ctx, name, options)
	if c == nil || err != nil || options != nil && options.ResourceVersion != "" {
		return obj, err
	}
	outdated, err := c.ids.Outdated(ctx, c.resource, obj)
	if err != nil {
		return nil, err
	}
	if !outdated[0] {
		return obj, nil
	}
	fresh, err := c.refresh(ctx, name)
	if isFull(err) {
		warning.AddWarning(ctx, "", fullWarning)
		return obj, nil
	}
	return fresh, err
}

// list reads objects. If some are outdated, it writes those and reads all of them again,
// so the list shows the state at its resourceVersion.
func (c *current) list(ctx context.Context, store *genericregistry.Store, options *metainternalversion.ListOptions) (runtime.Object, error) {
	list, err := store.List(ctx, options)
	if c == nil || err != nil || options != nil && (options.ResourceVersion != "" || options.Continue != "") {
		return list, err
	}
	objs, err := meta.ExtractList(list)
	if err != nil {
		return nil, err
	}
	outdated, err := c.ids.Outdated(ctx, c.resource, objs...)
	if err != nil {
		return nil, err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(refreshParallel)
	some := false
	for i, obj := range objs {
		if !outdated[i] {
			continue
		}
		some = true
		m, err := meta.Accessor(obj)
		if err != nil {
			return nil, errors.Join(err, group.Wait())
		}
		group.Go(func() error {
			_, err := c.refresh(genericapirequest.WithNamespace(groupCtx, m.GetNamespace()), m.GetName())
			if apierrors.IsNotFound(err) {
				return nil
			}
			return err
		})
	}
	switch err := group.Wait(); {
	case !some:
		return list, nil
	case isFull(err):
		warning.AddWarning(ctx, "", fullWarning)
		return list, nil
	case err != nil:
		return nil, err
	}
	return store.List(ctx, options)
}

// isFull reports whether an error indicates that etcd does not accept writes because it
// is full. Reads must still succeed, because users need to see what they can delete.
func isFull(err error) bool {
	var told apierrors.APIStatus
	return errors.As(err, &told) && told.Status().Code == http.StatusInsufficientStorage
}

// refresh writes an object, so it shows the last IDs as of some time during the call, and
// returns it.
func (c *current) refresh(ctx context.Context, name string) (runtime.Object, error) {
	key, err := c.store.KeyFunc(ctx, name)
	if err != nil {
		return nil, err
	}
	obj, err := c.refresher(key).do(ctx, func(ctx context.Context) (runtime.Object, error) {
		out := c.store.NewFunc()
		// The store below sets the IDs in every write. This write has no other change and
		// is repeated until no concurrent write of the object interferes.
		err := c.store.Storage.GuaranteedUpdate(ctx, key, out, false, nil,
			storage.SimpleUpdate(func(in runtime.Object) (runtime.Object, error) { return in, nil }), false, nil)
		return out, storeerr.InterpretUpdateError(err, c.store.DefaultQualifiedResource, name)
	})
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil, apierrors.NewTimeoutError("the most recently assigned IDs could not be read before the request's timeout: try again", 0)
	}
	return obj, err
}

func (c *current) refresher(key string) *refresher {
	c.mu.Lock()
	defer c.mu.Unlock()
	if found, ok := c.refreshers.Get(key); ok {
		if r, ok := found.(*refresher); ok {
			return r
		}
	}
	r := &refresher{limiter: rate.NewLimiter(c.limit, refreshBurst)}
	c.refreshers.Add(key, r)
	return r
}

// refresher writes one object on behalf of all its readers. One write runs at a time, and
// all readers that arrive before it begins share its result. A write that began before a
// reader arrived may have read older IDs than that reader must see.
type refresher struct {
	limiter *rate.Limiter

	mu   sync.Mutex
	last *refreshing
}

// refreshing is one write that waits, runs or is done.
type refreshing struct {
	begun bool // guarded by the refresher's mutex
	done  chan struct{}
	obj   runtime.Object
	err   error
}

// do returns the result of a write that begins after the call.
func (r *refresher) do(ctx context.Context, write func(context.Context) (runtime.Object, error)) (runtime.Object, error) {
	r.mu.Lock()
	w := r.last
	if w == nil || w.begun {
		before := w
		w = &refreshing{done: make(chan struct{})}
		r.last = w
		go r.run(before, w, write) //nolint:gosec,contextcheck // readers share it, and no reader's context may end it
	}
	r.mu.Unlock()
	select {
	case <-w.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if w.err != nil {
		return nil, w.err
	}
	return w.obj.DeepCopyObject(), nil
}

func (r *refresher) run(before, w *refreshing, write func(context.Context) (runtime.Object, error)) {
	defer close(w.done)
	// The readers share the write: it must continue if one reader's request ends.
	ctx, cancel := context.WithTimeout(context.Background(), refreshTimeout)
	defer cancel()
	if before != nil {
		<-before.done
	}
	err := r.limiter.Wait(ctx)
	r.mu.Lock()
	w.begun = true
	r.mu.Unlock()
	if err != nil {
		w.err = apierrors.NewTimeoutError("the most recently assigned IDs could not be read in time: try again", 0)
		return
	}
	w.obj, w.err = write(ctx)
}
