// SPDX-License-Identifier: Apache-2.0

package follow

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/generated/informers/externalversions"
	"github.com/acnodal/epic/pkg/node/intent"
	"github.com/acnodal/epic/pkg/node/proxies"
)

const workers = 2

// Sink receives intents.
type Sink interface {
	Set(*intent.Intent)
	Delete(intent.Key)
}

// Options configures a Follower.
type Options struct {
	Client versioned.Interface
	// Nodes are the node's addresses.
	Nodes []netip.Addr
	// Namespace is the tenant's namespace on a client node, and empty on a gateway node.
	Namespace string
	// Cluster is the tenant's client cluster. If it is set, objects through which only
	// other clusters publish have no tunnels here: nodes of two clusters may have the
	// same address.
	Cluster string
	Sink    Sink
	// Object is called for each change of a load balancer or proxy, with its status
	// without tunnels and conditions, and with a nil status when it is deleted or no
	// longer concerns this node. May be nil.
	Object func(key intent.Key, status *epicv1.ProxyStatus, version string)
}

// Follower watches the API.
type Follower struct {
	o     Options
	here  intent.Ends
	field string
	queue workqueue.TypedRateLimitingInterface[intent.Key]

	objects []cache.SharedIndexInformer
	handles []cache.ResourceEventHandlerRegistration
	starts  []func(<-chan struct{})

	mu     sync.Mutex
	spaces map[string]*space
	errs   map[string]watchError
	busy   atomic.Int64
	stop   context.Context //nolint:containedctx // of Run; namespaces start and stop within it
}

// New returns a Follower that has not started.
func New(o Options) (*Follower, error) {
	f := &Follower{
		o: o, field: "status.epic-node", here: intent.AtGateway(o.Nodes...),
		queue:  workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[intent.Key](50*time.Millisecond, 30*time.Second)),
		spaces: map[string]*space{}, errs: map[string]watchError{},
	}
	if o.Namespace != "" {
		f.field, f.here = "status.tenant-node", intent.AtTenantNode(o.Nodes...)
	}
	if f.o.Object == nil {
		f.o.Object = func(intent.Key, *epicv1.ProxyStatus, string) {}
	}
	for _, node := range o.Nodes {
		factory := f.factory(o.Namespace, fields.OneTermEqualSelector(f.field, node.String()))
		for kind, informer := range map[proxies.Kind]cache.SharedIndexInformer{
			proxies.LoadBalancer: factory.Epic().V1().LoadBalancers().Informer(),
			proxies.GWProxy:      factory.Epic().V1().GWProxies().Informer(),
		} {
			if err := f.watchErrors(informer, string(kind)+" "+node.String()); err != nil {
				return nil, err
			}
			handle, err := informer.AddEventHandler(handler(func(obj metav1.Object) {
				f.queue.Add(intent.Key{Kind: kind, Namespace: obj.GetNamespace(), Name: obj.GetName()})
			}))
			if err != nil {
				return nil, err
			}
			f.objects, f.handles = append(f.objects, informer), append(f.handles, handle)
		}
		f.starts = append(f.starts, factory.Start)
	}
	return f, nil
}

func (f *Follower) factory(namespace string, selector fields.Selector) externalversions.SharedInformerFactory {
	return externalversions.NewSharedInformerFactoryWithOptions(f.o.Client, 0,
		externalversions.WithNamespace(namespace),
		externalversions.WithTransform(f.slim),
		externalversions.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = selector.String() }))
}

// watchErrors records errors that interrupt a watch.
func (f *Follower) watchErrors(informer cache.SharedIndexInformer, what string) error {
	return informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, r *cache.Reflector, err error) {
		f.mu.Lock()
		f.errs[what] = watchError{err, time.Now()}
		f.mu.Unlock()
		cache.DefaultWatchErrorHandler(ctx, r, err)
	})
}

// handler calls see for each object that is added, changed or deleted.
func handler(see func(metav1.Object)) cache.ResourceEventHandler {
	one := func(obj any) {
		if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		if o, err := meta.Accessor(obj); err == nil {
			see(o)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: one, DeleteFunc: one,
		// An endpoint that moves from one object to another affects both.
		UpdateFunc: func(before, after any) { one(before); one(after) },
	}
}

// Run watches the API until the context ends.
func (f *Follower) Run(ctx context.Context) {
	f.mu.Lock()
	f.stop = ctx
	f.mu.Unlock()
	for _, start := range f.starts {
		start(ctx.Done())
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() { //nolint:contextcheck // a namespace is watched until Run ends, not for one object
			for f.next() {
				continue
			}
		})
	}
	<-ctx.Done()
	f.queue.ShutDown()
	wg.Wait()
}

func (f *Follower) next() bool {
	key, quit := f.queue.Get()
	if quit {
		return false
	}
	f.busy.Add(1)
	defer f.busy.Add(-1)
	defer f.queue.Done(key)
	if err := f.reconcile(key); err != nil {
		f.queue.AddRateLimited(key)
		return true
	}
	f.queue.Forget(key)
	return true
}

// Wait returns when everything that was in the API at the start has been passed to the
// sink.
func (f *Follower) Wait(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !f.synced() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

func (f *Follower) synced() bool {
	for _, h := range f.handles {
		if !h.HasSynced() {
			return false
		}
	}
	// Processing the queue first starts namespaces, whose synchronization adds work.
	if f.queue.Len() > 0 || f.busy.Load() > 0 {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.spaces {
		if !s.ready {
			return false
		}
	}
	return f.queue.Len() == 0 && f.busy.Load() == 0
}

// Knows reports whether an object is known to concern this node.
func (f *Follower) Knows(key intent.Key) bool { return f.find(key) != nil }

// Status returns the status of an object that concerns this node, without its
// tunnels and conditions, and its resourceVersion.
func (f *Follower) Status(key intent.Key) (*epicv1.ProxyStatus, string, bool) {
	switch o := f.find(key).(type) {
	case *loadBalancer:
		return &o.Status, o.ResourceVersion, true
	case *gwProxy:
		return &o.Status, o.ResourceVersion, true
	}
	return nil, "", false
}

// watchError is an error that stopped a watch, and when.
type watchError struct {
	err error
	at  time.Time
}

// errorsFor is how long an error is reported. A watch that stays down fails again within
// that time.
const errorsFor = time.Minute

// Err returns why watches are interrupted, or nil if they are not.
func (f *Follower) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for what, e := range f.errs {
		if time.Since(e.at) < errorsFor {
			errs = append(errs, fmt.Errorf("%s: %w", what, e.err))
		}
	}
	return errors.Join(errs...)
}

// find returns the newest known version of an object.
func (f *Follower) find(key intent.Key) runtime.Object {
	var found runtime.Object
	var newest uint64
	for _, informer := range f.objects {
		obj, ok, err := informer.GetStore().GetByKey(key.Namespace + "/" + key.Name)
		if err != nil || !ok {
			continue
		}
		o, ok := obj.(runtime.Object)
		if !ok || kindOf(o) != key.Kind {
			continue
		}
		m, err := meta.Accessor(o)
		if err != nil {
			continue
		}
		// Only used to choose between two watches of the same server.
		version, _ := strconv.ParseUint(m.GetResourceVersion(), 10, 64)
		if found == nil || version > newest {
			found, newest = o, version
		}
	}
	return found
}

func kindOf(o runtime.Object) proxies.Kind {
	switch o.(type) {
	case *loadBalancer:
		return proxies.LoadBalancer
	case *gwProxy:
		return proxies.GWProxy
	}
	return ""
}

func (f *Follower) reconcile(key intent.Key) error {
	obj := f.find(key)
	if obj == nil {
		f.leave(key)
		f.o.Sink.Delete(key)
		f.o.Object(key, nil, "")
		return nil
	}
	s, err := f.enter(key)
	if err != nil {
		return err
	}
	if s == nil {
		// It is enqueued again when its namespace is known.
		return nil
	}
	switch o := obj.(type) {
	case *loadBalancer:
		f.o.Object(key, &o.Status, o.ResourceVersion)
		f.o.Sink.Set(intent.OfLoadBalancer(o.LoadBalancer, o.tunnels, s.remoteEndpoints(o.Name)))
	case *gwProxy:
		f.o.Object(key, &o.Status, o.ResourceVersion)
		routes, slices := s.routes(o.Name)
		f.o.Sink.Set(intent.OfGWProxy(o.GWProxy, o.tunnels, routes, slices))
	}
	return nil
}
