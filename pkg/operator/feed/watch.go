// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/envoy/template"
	"github.com/acnodal/epic/pkg/envoy/translate"
	"github.com/acnodal/epic/pkg/operator/workload"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// Watch registers handlers for changes of the store's objects. It returns checks that
// pass once every existing object has been seen.
func (f *Feed) Watch() ([]cache.InformerSynced, error) {
	s := f.o.Store
	var synced []cache.InformerSynced
	for _, w := range []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandler
	}{
		{s.LoadBalancers, changes(func(old, lb *epicv1.LoadBalancer) {
			f.object(loadBalancerID(lb.Namespace, lb.Name), old != nil, old, lb, func() (before, now *epicv1.ProxyStatus) { return &old.Status, &lb.Status })
		}, func(lb *epicv1.LoadBalancer) { f.Translate(loadBalancerID(lb.Namespace, lb.Name)) })},
		{s.GWProxies, changes(func(old, gw *epicv1.GWProxy) {
			f.object(gatewayID(gw.Namespace, gw.Name), old != nil, old, gw, func() (before, now *epicv1.ProxyStatus) { return &old.Status, &gw.Status })
		}, func(gw *epicv1.GWProxy) { f.Translate(gatewayID(gw.Namespace, gw.Name)) })},
		{s.Groups, each(func(group *epicv1.LBServiceGroup) {
			for _, lb := range s.LoadBalancersIn(group) {
				f.Translate(loadBalancerID(lb.Namespace, lb.Name))
			}
			for _, gw := range s.GWProxiesIn(group) {
				f.Translate(gatewayID(gw.Namespace, gw.Name))
			}
		})},
		{s.RemoteEndpoints, each(func(rep *epicv1.RemoteEndpoint) {
			if name := endpoints.LoadBalancerOf(rep); name != "" {
				f.Endpoints(loadBalancerID(rep.Namespace, name), "")
			}
		})},
		{s.GWRoutes, each(func(route *epicv1.GWRoute) {
			for _, name := range endpoints.ProxiesOf(route) {
				f.Translate(gatewayID(route.Namespace, name))
			}
		})},
		{s.GWEndpointSlices, each(func(slice *epicv1.GWEndpointSlice) {
			service := endpoints.ServiceOf(slice)
			if service == "" {
				return
			}
			for _, route := range s.RoutesTo(slice.Namespace, service) {
				for _, name := range endpoints.ProxiesOf(route) {
					f.Endpoints(gatewayID(slice.Namespace, name), service)
				}
			}
		})},
	} {
		registration, err := w.informer.AddEventHandler(w.handler)
		if err != nil {
			return nil, fmt.Errorf("watch the store: %w", err)
		}
		synced = append(synced, registration.HasSynced)
	}
	return synced, nil
}

// object handles a change of a load balancer or gateway proxy: a change of tunnels only
// affects its endpoints, and a change of conditions nothing.
func (f *Feed) object(id proxyidentity.Proxy, was bool, old, now metav1.Object, status func() (before, now *epicv1.ProxyStatus)) {
	if !was || changed(old, now) {
		f.Translate(id)
		return
	}
	if before, after := status(); !apiequality.Semantic.DeepEqual(before.GUETunnelEndpoints, after.GUETunnelEndpoints) ||
		!maps.Equal(before.ProxyIfInfo, after.ProxyIfInfo) {
		f.Endpoints(id, "")
	}
}

// changed reports whether more than the status of an object changed. It returns true for
// a resync, which has the same version twice.
func changed(old, now metav1.Object) bool {
	return old.GetResourceVersion() == now.GetResourceVersion() || old.GetGeneration() != now.GetGeneration() || old.GetUID() != now.GetUID() ||
		!maps.Equal(old.GetAnnotations(), now.GetAnnotations()) || !maps.Equal(old.GetLabels(), now.GetLabels()) ||
		(old.GetDeletionTimestamp() == nil) != (now.GetDeletionTimestamp() == nil)
}

// Secret schedules the translation of a proxy if it uses a Secret of its namespace.
func (f *Feed) Secret(id proxyidentity.Proxy, name string) {
	if s := f.source(id); s != nil {
		if used := f.templateOf(s); used != nil && slices.Contains(template.SecretsOf(used.spec), name) {
			f.Translate(id)
			return
		}
	}
	gw := f.o.Store.GWProxy(id.Namespace, id.Name)
	if gw != nil && slices.Contains(translate.SecretsOf(gw, f.o.Store.RoutesOf(id.Namespace, id.Name)), name) {
		f.Translate(id)
	}
}

// TunnelsChanged schedules the rendering of the endpoints of every proxy that has a
// tunnel to a gateway node for which has returns true.
func (f *Feed) TunnelsChanged(gatewayNode netip.Addr, has func(id int32) bool) {
	f.mu.Lock()
	ids := make([]proxyidentity.Proxy, 0, len(f.proxies))
	for id := range f.proxies {
		ids = append(ids, id)
	}
	f.mu.Unlock()
	node := gatewayNode.String()
	for _, id := range ids {
		s := f.source(id)
		if s == nil {
			continue
		}
		for _, tunnel := range s.status.GUETunnelEndpoints {
			if pair, ok := tunnel.EPICEndpoints[node]; ok && has(pair.TunnelID) {
				f.Endpoints(id, "")
				break
			}
		}
	}
}

func loadBalancerID(namespace, name string) proxyidentity.Proxy {
	return proxyidentity.Proxy{Namespace: namespace, Kind: string(workload.LoadBalancer), Name: name}
}

func gatewayID(namespace, name string) proxyidentity.Proxy {
	return proxyidentity.Proxy{Namespace: namespace, Kind: string(workload.GWProxy), Name: name}
}

// changes returns an event handler. changed gets the object before the event, or nil if
// it is new.
func changes[T any](changed func(old, now *T), deleted func(*T)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if o, ok := obj.(*T); ok {
				changed(nil, o)
			}
		},
		UpdateFunc: func(old, obj any) {
			if o, ok := obj.(*T); ok {
				before, _ := old.(*T)
				changed(before, o)
			}
		},
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if o, ok := obj.(*T); ok {
				deleted(o)
			}
		},
	}
}

// each calls the function for both versions of an object in an event, because it may
// refer to other objects now, except if only its status changed.
func each[T any, P interface {
	*T
	metav1.Object
}](do func(*T)) cache.ResourceEventHandler {
	return changes(func(old, now *T) {
		if old != nil {
			if !changed(P(old), P(now)) {
				return
			}
			do(old)
		}
		do(now)
	}, do)
}
