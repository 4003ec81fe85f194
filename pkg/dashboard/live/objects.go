// SPDX-License-Identifier: Apache-2.0

package live

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/overview"
	"github.com/acnodal/epic/pkg/placement"
)

const resourcePods = "pods"

// group returns a resource of EPIC's API in the terms of a role's rule.
func group(resource string) string { return resource + "." + v1.GroupName }

// watch returns all watched kinds: those of accounts in each namespace, or in all, and
// the platform team's.
func (f *Feed) watch() []*watched {
	c := f.options.Epic.EpicV1()
	var all []*watched
	namespaces := f.options.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
		all = append(all,
			watchKind(f, group(epic.ResourceEPICs), epic.ConfigNamespace, "", &v1.EPIC{}, f.options.Epic, c.EPICs(epic.ConfigNamespace)),
			watchKind(f, group(epic.ResourceServicePrefixes), epic.ConfigNamespace, "", &v1.ServicePrefix{}, f.options.Epic, c.ServicePrefixes(epic.ConfigNamespace)),
		)
	} else {
		all = append(all, watchKind(f, group(epic.ResourceLBServiceGroups), epic.ConfigNamespace, "", &v1.LBServiceGroup{}, f.options.Epic, c.LBServiceGroups(epic.ConfigNamespace)))
	}
	// Tenants usually may not read these; without them, the states of single tunnels are
	// unknown.
	all = append(all, watchKind(f, group(epic.ResourceGatewayNodes), epic.ConfigNamespace, "", &v1.GatewayNode{}, f.options.Epic, c.GatewayNodes(epic.ConfigNamespace)))
	for _, ns := range namespaces {
		all = append(all,
			watchKind(f, group(epic.ResourceAccounts), ns, "", &v1.Account{}, f.options.Epic, c.Accounts(ns)),
			watchKind(f, group(epic.ResourceLBServiceGroups), ns, "", &v1.LBServiceGroup{}, f.options.Epic, c.LBServiceGroups(ns)),
			watchKind(f, group(epic.ResourceLoadBalancers), ns, "", &v1.LoadBalancer{}, f.options.Epic, c.LoadBalancers(ns)),
			watchKind(f, group(epic.ResourceGWProxies), ns, "", &v1.GWProxy{}, f.options.Epic, c.GWProxies(ns)),
			watchKind(f, group(epic.ResourceRemoteEndpoints), ns, "", &v1.RemoteEndpoint{}, f.options.Epic, c.RemoteEndpoints(ns)),
			watchKind(f, group(epic.ResourceGWRoutes), ns, "", &v1.GWRoute{}, f.options.Epic, c.GWRoutes(ns)),
			watchKind(f, group(epic.ResourceGWEndpointSlices), ns, "", &v1.GWEndpointSlice{}, f.options.Epic, c.GWEndpointSlices(ns)),
		)
		if f.options.Kube != nil {
			all = append(all, watchKind(f, resourcePods, ns, placement.ProxyPodSelector.String(), &corev1.Pod{}, f.options.Kube, f.options.Kube.CoreV1().Pods(ns)))
		}
	}
	return all
}

// model builds the model from the watched objects, and reports whether everything has
// been read once.
func (f *Feed) model() (*overview.Model, bool) {
	o := &overview.Objects{
		Now:              metav1.Now(),
		Prefixes:         list[*v1.ServicePrefix](f.kinds, group(epic.ResourceServicePrefixes)),
		GatewayNodes:     list[*v1.GatewayNode](f.kinds, group(epic.ResourceGatewayNodes)),
		Accounts:         list[*v1.Account](f.kinds, group(epic.ResourceAccounts)),
		Groups:           list[*v1.LBServiceGroup](f.kinds, group(epic.ResourceLBServiceGroups)),
		LoadBalancers:    list[*v1.LoadBalancer](f.kinds, group(epic.ResourceLoadBalancers)),
		GWProxies:        list[*v1.GWProxy](f.kinds, group(epic.ResourceGWProxies)),
		RemoteEndpoints:  list[*v1.RemoteEndpoint](f.kinds, group(epic.ResourceRemoteEndpoints)),
		GWRoutes:         list[*v1.GWRoute](f.kinds, group(epic.ResourceGWRoutes)),
		GWEndpointSlices: list[*v1.GWEndpointSlice](f.kinds, group(epic.ResourceGWEndpointSlices)),
		Pods:             list[*corev1.Pod](f.kinds, resourcePods),
		PodsRead:         f.options.Kube != nil,
	}
	slices.SortFunc(o.Prefixes, func(a, b *v1.ServicePrefix) int { return strings.Compare(a.Name, b.Name) })
	for _, object := range list[*v1.EPIC](f.kinds, group(epic.ResourceEPICs)) {
		if object.Name == epic.ConfigName {
			o.EPIC = object
		}
	}
	unread := map[string]*overview.Unread{}
	loaded := true
	for _, w := range f.kinds {
		why, done := w.state()
		loaded = loaded && done
		if why == nil {
			continue
		}
		o.Unread = append(o.Unread, *why)
		unread[w.resource] = why
		o.PodsRead = o.PodsRead && w.resource != resourcePods
	}
	o.Checks = f.checks(o, unread, loaded)
	return overview.Build(o), loaded
}

// checks returns the checks of the last survey, combined with the watched objects.
func (f *Feed) checks(o *overview.Objects, unread map[string]*overview.Unread, loaded bool) []overview.Check {
	f.mu.Lock()
	programs, claims := f.programs, f.claims
	f.mu.Unlock()
	if programs == nil {
		return nil
	}
	i := *programs
	i.Claims = claims
	if loaded {
		i.Configuration = &overview.Configuration{Object: o.EPIC, Unread: unread[group(epic.ResourceEPICs)]}
		i.Addresses = &overview.Addresses{Prefixes: o.Prefixes, Unread: unread[group(epic.ResourceServicePrefixes)]}
		i.Envoys = &overview.Envoys{Unread: unread[group(epic.ResourceLoadBalancers)]}
		i.GatewayNodes = &overview.GatewayNodes{Objects: o.GatewayNodes, Unread: unread[group(epic.ResourceGatewayNodes)]}
		for _, lb := range o.LoadBalancers {
			i.Addresses.Use(lb.Spec.PublicAddress)
			i.Envoys.Add("LoadBalancer", lb.Namespace, lb.Name, &lb.Status)
		}
		for _, p := range o.GWProxies {
			i.Addresses.Use(p.Spec.PublicAddress, p.Spec.AltAddress)
			i.Envoys.Add("GWProxy", p.Namespace, p.Name, &p.Status)
		}
	}
	return i.Checks()
}
