// SPDX-License-Identifier: Apache-2.0

package follow

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/node/intent"
	"github.com/acnodal/epic/pkg/node/proxies"
)

// Indexes within a namespace.
const (
	byBalancer = "load-balancer"
	byProxy    = "proxy"
	byService  = "service"
)

// space watches one namespace: the endpoints of the objects in it that concern this node.
// It exists as long as there is such an object.
type space struct {
	cancel context.CancelFunc
	keys   map[intent.Key]struct{}
	ready  bool
	// On a client node, there is one informer for each of its addresses, for its own
	// endpoints; on a gateway node, one for all endpoints in the namespace.
	reps, slices []cache.SharedIndexInformer
	gwroutes     cache.SharedIndexInformer
}

// enter records an object in its namespace. It returns nil while the namespace's
// endpoints are not known.
func (f *Follower) enter(key intent.Key) (*space, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.spaces[key.Namespace]
	if s == nil {
		var err error
		if s, err = f.begin(key.Namespace); err != nil {
			return nil, err
		}
		f.spaces[key.Namespace] = s
	}
	s.keys[key] = struct{}{}
	if !s.ready {
		return nil, nil
	}
	return s, nil
}

// leave records that an object no longer concerns this node.
func (f *Follower) leave(key intent.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.spaces[key.Namespace]
	if s == nil {
		return
	}
	delete(s.keys, key)
	if len(s.keys) == 0 {
		s.cancel()
		delete(f.spaces, key.Namespace)
		for what := range f.errs {
			if len(what) > len(key.Namespace) && what[:len(key.Namespace)+1] == key.Namespace+" " {
				delete(f.errs, what)
			}
		}
	}
}

// begin starts watching a namespace.
func (f *Follower) begin(namespace string) (*space, error) {
	s := &space{keys: map[intent.Key]struct{}{}}
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(f.stop)
	selectors := []fields.Selector{fields.Everything()}
	if f.o.Namespace != "" {
		selectors = nil
		for _, node := range f.o.Nodes {
			selectors = append(selectors, fields.OneTermEqualSelector("spec.node-address", node.String()))
		}
	}
	var handles []cache.ResourceEventHandlerRegistration
	add := func(what string, informer cache.SharedIndexInformer, indexers cache.Indexers, see func(metav1.Object)) error {
		if err := informer.AddIndexers(indexers); err != nil {
			return err
		}
		if err := f.watchErrors(informer, namespace+" "+what); err != nil {
			return err
		}
		handle, err := informer.AddEventHandler(handler(see))
		handles = append(handles, handle)
		return err
	}
	all := f.factory(namespace, fields.Everything())
	s.gwroutes = all.Epic().V1().GWRoutes().Informer()
	err := add("GWRoutes", s.gwroutes, cache.Indexers{byProxy: routeProxies, byService: routeServices}, func(o metav1.Object) {
		if r, ok := o.(*epicv1.GWRoute); ok {
			f.enqueue(s, proxies.GWProxy, namespace, endpoints.ProxiesOf(r)...)
		}
	})
	if err != nil {
		s.cancel()
		return nil, err
	}
	starts := []func(<-chan struct{}){all.Start}
	for _, selector := range selectors {
		factory := all
		if f.o.Namespace != "" {
			factory = f.factory(namespace, selector)
			starts = append(starts, factory.Start)
		}
		reps, slices := factory.Epic().V1().RemoteEndpoints().Informer(), factory.Epic().V1().GWEndpointSlices().Informer()
		s.reps, s.slices = append(s.reps, reps), append(s.slices, slices)
		err := add("RemoteEndpoints", reps, cache.Indexers{byBalancer: repBalancer}, func(o metav1.Object) {
			if r, ok := o.(*epicv1.RemoteEndpoint); ok {
				f.enqueue(s, proxies.LoadBalancer, namespace, endpoints.LoadBalancerOf(r))
			}
		})
		if err == nil {
			err = add("GWEndpointSlices", slices, cache.Indexers{byService: sliceService}, func(o metav1.Object) {
				if slice, ok := o.(*epicv1.GWEndpointSlice); ok {
					f.enqueue(s, proxies.GWProxy, namespace, s.proxiesOfService(endpoints.ServiceOf(slice))...)
				}
			})
		}
		if err != nil {
			s.cancel()
			return nil, err
		}
	}
	for _, start := range starts {
		start(ctx.Done())
	}
	go f.complete(ctx, s, handles)
	return s, nil
}

// complete enqueues the objects of a namespace when its endpoints are known.
func (f *Follower) complete(ctx context.Context, s *space, handles []cache.ResourceEventHandlerRegistration) {
	var synced []cache.InformerSynced
	for _, h := range handles {
		synced = append(synced, h.HasSynced)
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.ready = true
	for key := range s.keys {
		f.queue.Add(key)
	}
}

// enqueue enqueues those of the named objects that concern this node.
func (f *Follower) enqueue(s *space, kind proxies.Kind, namespace string, names ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !s.ready {
		return
	}
	for _, name := range names {
		key := intent.Key{Kind: kind, Namespace: namespace, Name: name}
		if _, ok := s.keys[key]; ok {
			f.queue.Add(key)
		}
	}
}

func (s *space) remoteEndpoints(balancer string) []*epicv1.RemoteEndpoint {
	return indexed[*epicv1.RemoteEndpoint](s.reps, byBalancer, balancer)
}

// routes returns the routes of a proxy, and the slices of the services to which they
// lead.
func (s *space) routes(proxy string) ([]*epicv1.GWRoute, []*epicv1.GWEndpointSlice) {
	routes := indexed[*epicv1.GWRoute]([]cache.SharedIndexInformer{s.gwroutes}, byProxy, proxy)
	var slices []*epicv1.GWEndpointSlice
	seen := map[string]bool{}
	for _, r := range routes {
		for _, service := range endpoints.ServicesOf(r) {
			if !seen[service] {
				seen[service] = true
				slices = append(slices, indexed[*epicv1.GWEndpointSlice](s.slices, byService, service)...)
			}
		}
	}
	return routes, slices
}

func (s *space) proxiesOfService(service string) []string {
	var names []string
	for _, r := range indexed[*epicv1.GWRoute]([]cache.SharedIndexInformer{s.gwroutes}, byService, service) {
		names = append(names, endpoints.ProxiesOf(r)...)
	}
	return names
}

// indexed returns the distinct objects that informers have under a value of an index.
func indexed[T metav1.Object](informers []cache.SharedIndexInformer, index, value string) []T {
	var out []T
	seen := map[string]bool{}
	for _, informer := range informers {
		all, err := informer.GetIndexer().ByIndex(index, value)
		if err != nil {
			// The index exists: begin adds it.
			panic(err)
		}
		for _, obj := range all {
			if o, ok := obj.(T); ok && !seen[o.GetName()] {
				seen[o.GetName()] = true
				out = append(out, o)
			}
		}
	}
	return out
}

func repBalancer(obj any) ([]string, error) {
	o, ok := obj.(*epicv1.RemoteEndpoint)
	if !ok {
		return nil, unexpected(obj)
	}
	return []string{endpoints.LoadBalancerOf(o)}, nil
}

func routeProxies(obj any) ([]string, error) {
	o, ok := obj.(*epicv1.GWRoute)
	if !ok {
		return nil, unexpected(obj)
	}
	return endpoints.ProxiesOf(o), nil
}

func routeServices(obj any) ([]string, error) {
	o, ok := obj.(*epicv1.GWRoute)
	if !ok {
		return nil, unexpected(obj)
	}
	return endpoints.ServicesOf(o), nil
}

func sliceService(obj any) ([]string, error) {
	o, ok := obj.(*epicv1.GWEndpointSlice)
	if !ok {
		return nil, unexpected(obj)
	}
	return []string{endpoints.ServiceOf(o)}, nil
}

func unexpected(obj any) error { return fmt.Errorf("an object of type %T", obj) }
