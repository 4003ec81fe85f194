// SPDX-License-Identifier: Apache-2.0

package template

import (
	"context"
	"fmt"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"

	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
)

// Restore creates the configuration of a proxy whose template is refused from the
// resources that one of its Envoys has. These come from a tenant's pod, so they are
// trusted no more than a template: a resource that differs from what the translation
// produces must be one that a template may produce. Restore omits other resources, and
// listeners on ports that are no longer published. The result is nil if no listener is
// left.
//
// Endpoints are not restored: the result contains the backends from which they are
// rendered.
func Restore(ctx context.Context, in Input, has []*resource.Resource) *translate.Result {
	result, _ := bounded(ctx, &in.Limits, in.Source, func(b *budget) (*translate.Result, []translate.Problem) {
		r := &rendering{in: &in, budget: b, result: &translate.Result{Resources: resource.Set{}, Listeners: in.Plain.Listeners, Routes: in.Plain.Routes}}
		r.restore(has)
		return r.result, nil
	})
	if result == nil {
		return nil
	}
	for key := range result.Resources {
		if key.Type == resource.Listener {
			return result
		}
	}
	return nil
}

// restore adds the resources that may be served.
func (r *rendering) restore(has []*resource.Resource) {
	if r.in.LoadBalancer != nil {
		r.view = loadBalancerView(r.in)
	} else {
		r.view = gatewayView(r.in)
	}
	r.confine = confinement{clusters: map[string]bool{}, routes: map[string]bool{}, secrets: map[string]bool{}}
	r.secrets()
	for _, known := range r.in.Plain.Resources {
		if known.Type == resource.Secret {
			if r.result.Resources.Add(known) == nil {
				r.confine.secrets[known.Name] = true
			}
		}
	}
	byType := map[resource.Type][]*resource.Resource{}
	for _, one := range has {
		byType[one.Type] = append(byType[one.Type], one)
	}
	for _, one := range byType[resource.Cluster] {
		r.confine.clusters[one.Name] = true
	}
	for _, one := range byType[resource.Route] {
		r.confine.routes[one.Name] = true
	}
	for _, one := range byType[resource.Cluster] {
		r.take(one, &clusterv3.Cluster{}, r.restoredCluster)
	}
	for _, one := range byType[resource.Route] {
		r.take(one, &routev3.RouteConfiguration{}, func(m proto.Message) bool {
			config, ok := m.(*routev3.RouteConfiguration)
			return ok && config.Name == one.Name
		})
	}
	for _, one := range byType[resource.Listener] {
		r.take(one, &listenerv3.Listener{}, func(m proto.Message) bool {
			l, ok := m.(*listenerv3.Listener)
			return ok && l.Name == one.Name && r.published(l)
		})
	}
	r.refused = nil
}

// take adds a resource if the translation produces the same, or if a template may produce
// it and it passes another check.
func (r *rendering) take(one *resource.Resource, m proto.Message, passes func(proto.Message) bool) {
	if plain := r.in.Plain.Resources[one.Key()]; plain != nil && slices.Equal(plain.Body, one.Body) {
		if r.result.Resources.Add(plain) == nil && one.Type == resource.Cluster {
			r.backend(one.Name, r.in.Plain.Backends)
		}
		return
	}
	if r.budget.output(len(one.Body)) != nil || proto.Unmarshal(one.Body, m) != nil {
		return
	}
	r.refused = nil
	if passes(m) && len(r.confine.check(m)) == 0 && r.put(fmt.Sprint(one.Key()), one.Type, one.Name, m) && one.Type == resource.Cluster {
		backends := make([]translate.Backend, 0, len(r.view.clusters))
		for i := range r.view.clusters {
			backends = append(backends, r.view.clusters[i].backend)
		}
		r.backend(one.Name, backends)
	}
}

// restoredCluster reports whether a cluster gets its endpoints from the operator.
func (r *rendering) restoredCluster(m proto.Message) bool {
	c, ok := m.(*clusterv3.Cluster)
	return ok && endpointsByEDS(c, &clusterView{parameters: ClusterParameters{ClusterName: c.Name}}) == nil
}

// backend adds the backend from which the endpoints of a cluster are rendered. A backend
// that no longer exists has no endpoints, and Envoy must be sent an empty assignment.
func (r *rendering) backend(name string, backends []translate.Backend) {
	for i := range backends {
		if backends[i].Name == name {
			r.result.Backends = append(r.result.Backends, backends[i])
			return
		}
	}
	r.put(name, resource.Endpoint, name, &endpointv3.ClusterLoadAssignment{ClusterName: name})
}

// published reports whether a listener listens on a published port of the proxy.
func (r *rendering) published(l *listenerv3.Listener) bool {
	for i := range r.view.listeners {
		r.refused = nil
		if clone, ok := proto.Clone(l).(*listenerv3.Listener); ok && r.place("", clone, &r.view.listeners[i]) && proto.Equal(clone, l) {
			return true
		}
	}
	return false
}
