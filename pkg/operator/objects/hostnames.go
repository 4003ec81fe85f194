// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"cmp"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
)

// maxHostnames is the maximum number of hostnames of one gateway proxy that are compared
// with others.
const maxHostnames = 256

// routeHostnames returns the hostnames of a route, without wildcards.
func routeHostnames(route *epicv1.GWRoute) []string {
	var all []gatewayv1.Hostname
	if route.Spec.HTTP != nil {
		all = append(all, route.Spec.HTTP.Hostnames...)
	}
	if route.Spec.GRPC != nil {
		all = append(all, route.Spec.GRPC.Hostnames...)
	}
	if route.Spec.TLS != nil {
		all = append(all, route.Spec.TLS.Hostnames...)
	}
	return exact(all)
}

// listenerHostnames returns the hostnames of a gateway proxy's listeners, without
// wildcards.
func listenerHostnames(gw *epicv1.GWProxy) []string {
	if gw.Spec.Gateway == nil {
		return nil
	}
	var all []gatewayv1.Hostname
	for i := range gw.Spec.Gateway.Listeners {
		if h := gw.Spec.Gateway.Listeners[i].Hostname; h != nil {
			all = append(all, *h)
		}
	}
	return exact(all)
}

func exact(all []gatewayv1.Hostname) []string {
	var names []string
	for _, h := range all {
		if !strings.HasPrefix(string(h), "*") && h != "" {
			names = append(names, strings.ToLower(string(h)))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Shared is a hostname that an older gateway proxy of the account also has, on another
// address.
type Shared struct {
	Hostname string
	Older    *epicv1.GWProxy
}

// SharedHostnames returns the hostnames of a gateway proxy's listeners and routes that
// older ones of its namespace have on other addresses. DNS can only resolve to one of
// them.
func (s *Store) SharedHostnames(gw *epicv1.GWProxy) []Shared {
	names := listenerHostnames(gw)
	for _, route := range s.RoutesOf(gw.Namespace, gw.Name) {
		if names = append(names, routeHostnames(route)...); len(names) > maxHostnames {
			break
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	var shared []Shared
	for _, name := range names[:min(len(names), maxHostnames)] {
		var oldest *epicv1.GWProxy
		for _, other := range s.proxiesOfHostname(gw.Namespace, name) {
			if older(other, gw) && other.Spec.PublicAddress != gw.Spec.PublicAddress && (oldest == nil || older(other, oldest)) {
				oldest = other
			}
		}
		if oldest != nil {
			shared = append(shared, Shared{name, oldest})
		}
	}
	return shared
}

// proxiesOfHostname returns the gateway proxies with a listener or a route for a
// hostname. It may return one twice.
func (s *Store) proxiesOfHostname(namespace, hostname string) []*epicv1.GWProxy {
	all := find[*epicv1.GWProxy](s.GWProxies, byHostname, namespace, hostname)
	for _, route := range find[*epicv1.GWRoute](s.GWRoutes, byHostname, namespace, hostname) {
		for _, name := range endpoints.ProxiesOf(route) {
			if gw := s.GWProxy(namespace, name); gw != nil {
				all = append(all, gw)
			}
		}
	}
	return all
}

// older reports whether a was created before b.
func older(a, b *epicv1.GWProxy) bool {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name)) < 0
}
