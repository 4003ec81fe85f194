// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
	"github.com/acnodal/epic/pkg/envoy/validate"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/events"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/operator/feed"
	"github.com/acnodal/epic/pkg/operator/objects"
	"github.com/acnodal/epic/pkg/operator/runner"
	"github.com/acnodal/epic/pkg/operator/workload"
	"github.com/acnodal/epic/pkg/proxyidentity"
	"github.com/acnodal/epic/pkg/tunnelstate"
)

// Options configures an Operator.
type Options struct {
	// Client is a client of the EPIC API server.
	Client versioned.Interface
	// Resync is the interval at which all objects are reconciled even without events; 0
	// means never.
	Resync time.Duration
	// Workers is the number of objects that are processed concurrently.
	Workers int
	// Server serves the configurations.
	Server *xds.Server
	// Secret returns a Secret of an account's namespace, or nil if it does not exist.
	Secret func(namespace, name string) *corev1.Secret
	// Place returns where proxies with a public address listen, if not on that address.
	Place func(publicAddress string) translate.Options
	// Checker validates configurations with an Envoy before proxies get them; it is nil
	// if no Envoy is available.
	Checker validate.Checker
	// Kept returns the resources that an Envoy of a proxy has accepted, as reported by
	// its pod; may be nil.
	Kept func(ctx context.Context, proxy proxyidentity.Proxy) []*resource.Resource
	// States returns the state of all pods, not only of those connected to Server; nil if
	// there are no others.
	States func(op *Operator) States
	// Events records changes of state; if it is nil, none are recorded.
	Events *events.Recorder
}

// Operator holds the parts of one replica.
type Operator struct {
	o       Options
	store   *objects.Store
	feed    *feed.Feed
	tunnels *tunnelstate.Tracker
	// synced holds the checks that all existing objects have been seen.
	synced  []cache.InformerSynced
	feeding atomic.Bool
	proxies notifier
	routes  routeNotifier
}

// New returns an operator that has not started.
func New(o Options, observe *Observer) (*Operator, error) {
	store, err := objects.New(o.Client, o.Resync)
	if err != nil {
		return nil, err
	}
	op := &Operator{o: o, store: store, tunnels: tunnelstate.New(tunnelstate.Options{})}
	op.feed = feed.New(feed.Options{
		Store: store, Server: o.Server, Secret: o.Secret, Place: o.Place, Workers: o.Workers, Checker: o.Checker, Kept: o.Kept,
		Tunnel:  func(id int32, node netip.Addr) translate.Reach { return reach(op.tunnels.State(id, node)) },
		Changed: func(id proxyidentity.Proxy) { op.Changed(id, 0) },
	})
	op.tunnels.OnChange(func(c tunnelstate.Change) {
		op.feed.TunnelsChanged(c.Node, func(id int32) bool { return c.Tunnels.Has(uint32(id)) })
	})
	registration, err := store.GatewayNodes.AddEventHandler(op.tunnels.Handler())
	if err != nil {
		return nil, fmt.Errorf("watch gateway nodes: %w", err)
	}
	if op.synced, err = op.feed.Watch(); err != nil {
		return nil, err
	}
	op.synced = append(op.synced, registration.HasSynced)
	observe.changed.Store(&op.proxies)
	return op, nil
}

func reach(s tunnelstate.State) translate.Reach {
	switch s {
	case tunnelstate.Up:
		return translate.ReachUp
	case tunnelstate.Down:
		return translate.ReachDown
	case tunnelstate.Unknown:
	}
	return translate.ReachUnknown
}

// WaitFor makes Serve wait for another input of proxies' configurations.
func (op *Operator) WaitFor(synced cache.InformerSynced) { op.synced = append(op.synced, synced) }

// Store returns the store of the API's objects.
func (op *Operator) Store() *objects.Store { return op.store }

// Changed reconciles an object after a delay: what runs for it may have changed.
func (op *Operator) Changed(id proxyidentity.Proxy, after time.Duration) {
	op.proxies.add(id, after)
	op.toRoutes(id, after)
}

// Resource returns the desired resource of an object, or nil if there is none.
func (op *Operator) Resource(id proxyidentity.Proxy, key resource.Key) *resource.Resource {
	return op.feed.Resource(id, key)
}

// Serves reports whether a proxy is connected and has a listener of its object.
func (op *Operator) Serves(id proxyidentity.Proxy, pod string) bool {
	outcome := op.feed.Outcome(id)
	if outcome == nil {
		return false
	}
	for _, l := range outcome.Listeners {
		if op.o.Server.Accepted(id, l.Key)[pod] != "" {
			return true
		}
	}
	return false
}

// SecretChanged schedules the translation of the proxies of a namespace that may use a
// Secret.
func (op *Operator) SecretChanged(namespace, name string) {
	for _, obj := range op.store.GWProxies.GetIndexer().List() {
		if o, ok := obj.(metav1.Object); ok && o.GetNamespace() == namespace {
			op.feed.Secret(proxyidentity.Proxy{Namespace: namespace, Kind: string(workload.GWProxy), Name: o.GetName()}, name)
		}
	}
}

// toRoutes reconciles the routes of a gateway proxy after a delay.
func (op *Operator) toRoutes(id proxyidentity.Proxy, after time.Duration) {
	if id.Kind != string(workload.GWProxy) {
		return
	}
	for _, route := range op.store.RoutesOf(id.Namespace, id.Name) {
		op.routes.add(types.NamespacedName{Namespace: route.Namespace, Name: route.Name}, after)
	}
}

// Serve feeds the xDS server until ctx ends. Every replica runs it.
func (op *Operator) Serve(ctx context.Context) error {
	op.store.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), op.synced...) {
		return nil
	}
	// From here on, proxies get complete configurations.
	op.feeding.Store(true)
	klog.FromContext(ctx).Info("Feeding proxies", "workers", op.o.Workers)
	done := make(chan struct{})
	go func() {
		defer close(done)
		op.tunnels.Run(ctx)
	}()
	op.feed.Run(ctx)
	<-done
	return nil
}

var errNotFed = errors.New("the caches are not filled yet: check whether the API server responds, and whether this program may list and watch")

// Check is a health check that passes once all existing objects are known.
func (op *Operator) Check(*http.Request) error {
	if !op.feeding.Load() {
		return errNotFed
	}
	return nil
}

// untilSynced is how long the controllers wait for their caches to sync: indefinitely.
// Proxies are served in the meantime.
const untilSynced = math.MaxInt64

// Control adds the controllers, which run while this replica is the leader.
func (op *Operator) Control(mgr manager.Manager, run runner.Runner, extra ...source.TypedSource[proxyidentity.Proxy]) error {
	var states States = op.o.Server
	if op.o.States != nil {
		states = op.o.States(op)
	}
	proxies, err := controller.NewTyped("proxies", mgr, controller.TypedOptions[proxyidentity.Proxy]{
		MaxConcurrentReconciles: op.o.Workers, CacheSyncTimeout: untilSynced,
		Reconciler: &ProxyReconciler{
			Client: op.o.Client, Store: op.store, Runner: run, States: states, Outcomes: op.feed, Events: op.o.Events,
			Written: func(id proxyidentity.Proxy) { op.toRoutes(id, settle) },
		},
	})
	if err != nil {
		return fmt.Errorf("create the controller of proxies: %w", err)
	}
	routes, err := controller.NewTyped("routes", mgr, controller.TypedOptions[types.NamespacedName]{
		MaxConcurrentReconciles: op.o.Workers, CacheSyncTimeout: untilSynced,
		Reconciler: &RouteReconciler{
			Client: op.o.Client, Store: op.store, States: states, Outcomes: op.feed, Events: op.o.Events,
		},
	})
	if err != nil {
		return fmt.Errorf("create the controller of routes: %w", err)
	}
	for _, s := range slices.Concat([]source.TypedSource[proxyidentity.Proxy]{
		source.TypedFunc[proxyidentity.Proxy](op.proxies.bind), known[proxyidentity.Proxy](op.store), left(run),
		op.objects(op.store.LoadBalancers, workload.LoadBalancer), op.objects(op.store.GWProxies, workload.GWProxy),
		op.all(op.store.EPICs), op.all(op.store.Groups), op.all(op.store.Prefixes),
	}, extra) {
		if err := proxies.Watch(s); err != nil {
			return fmt.Errorf("watch for the controller of proxies: %w", err)
		}
	}
	for _, s := range []source.TypedSource[types.NamespacedName]{
		source.TypedFunc[types.NamespacedName](op.routes.bind), known[types.NamespacedName](op.store),
		informed(op.store.GWRoutes, func(obj metav1.Object) []types.NamespacedName {
			return []types.NamespacedName{{Namespace: obj.GetNamespace(), Name: obj.GetName()}}
		}),
	} {
		if err := routes.Watch(s); err != nil {
			return fmt.Errorf("watch for the controller of routes: %w", err)
		}
	}
	return nil
}

// objects returns a source that reconciles each object of a kind when it changes.
func (op *Operator) objects(informer cache.SharedIndexInformer, kind workload.Kind) source.TypedSource[proxyidentity.Proxy] {
	return informed(informer, func(obj metav1.Object) []proxyidentity.Proxy {
		return []proxyidentity.Proxy{{Namespace: obj.GetNamespace(), Kind: string(kind), Name: obj.GetName()}}
	})
}

// all returns a source that reconciles every object when an object that they all depend
// on changes.
func (op *Operator) all(informer cache.SharedIndexInformer) source.TypedSource[proxyidentity.Proxy] {
	return informed(informer, func(metav1.Object) []proxyidentity.Proxy {
		var ids []proxyidentity.Proxy
		for kind, informer := range map[workload.Kind]cache.SharedIndexInformer{workload.LoadBalancer: op.store.LoadBalancers, workload.GWProxy: op.store.GWProxies} {
			for _, obj := range informer.GetIndexer().List() {
				if o, ok := obj.(metav1.Object); ok {
					ids = append(ids, proxyidentity.Proxy{Namespace: o.GetNamespace(), Kind: string(kind), Name: o.GetName()})
				}
			}
		}
		return ids
	})
}

// known returns a source that delays the work of a controller until all existing objects
// are known. With an incomplete store, a proxy would run without the settings of its
// group, and a route would have no gateway proxy.
func known[R comparable](store *objects.Store) source.TypedSource[R] {
	return source.TypedFunc[R](func(ctx context.Context, _ queueOf[R]) error {
		cache.WaitForCacheSync(ctx.Done(), store.Synced)
		return nil
	})
}

// left returns a source that reconciles objects for which something runs although they
// may be deleted.
func left(run runner.Runner) source.TypedSource[proxyidentity.Proxy] {
	return source.TypedFunc[proxyidentity.Proxy](func(ctx context.Context, queue queueOf[proxyidentity.Proxy]) error {
		keys, err := run.Keys(ctx)
		for _, key := range keys {
			queue.Add(key)
		}
		return err
	})
}

// informed returns a source fed by an informer.
func informed[R comparable](informer cache.SharedIndexInformer, requests func(metav1.Object) []R) source.TypedSource[R] {
	return source.TypedFunc[R](func(_ context.Context, queue queueOf[R]) error {
		add := func(obj any) {
			if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if o, ok := obj.(metav1.Object); ok {
				for _, request := range requests(o) {
					queue.Add(request)
				}
			}
		}
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: add, UpdateFunc: func(_, obj any) { add(obj) }, DeleteFunc: add})
		return err
	})
}
