// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/pager"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	epicclient "github.com/acnodal/epic/pkg/generated/clientset/versioned/typed/epic/v1"
)

// usage is the usage of one account.
type usage struct {
	loadBalancers, gateways, groups, tunnels int
}

// proxies returns the number that the account's limit counts.
func (u usage) proxies() int { return u.loadBalancers + u.gateways }

// proxyLimit returns the maximum number of proxies of the account.
func proxyLimit(a *v1.Account) int {
	return int(ptr.Deref(a.Spec.ProxyLimit, epic.DefaultProxyLimit))
}

// usages counts the objects in a namespace, or in each of all.
func usages(ctx context.Context, client epicclient.EpicV1Interface, namespace string) (map[string]usage, error) {
	out := map[string]usage{}
	add := func(ns string, f func(u *usage)) {
		u := out[ns]
		f(&u)
		out[ns] = u
	}
	err := each(ctx, collection[*v1.LoadBalancer](epic.ResourceLoadBalancers, namespace, client.LoadBalancers(namespace).List), func(o *v1.LoadBalancer) error {
		add(o.Namespace, func(u *usage) { u.loadBalancers++; u.tunnels += tunnelCount(&o.Status) })
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = each(ctx, collection[*v1.GWProxy](epic.ResourceGWProxies, namespace, client.GWProxies(namespace).List), func(o *v1.GWProxy) error {
		add(o.Namespace, func(u *usage) { u.gateways++; u.tunnels += tunnelCount(&o.Status) })
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = each(ctx, collection[*v1.LBServiceGroup](epic.ResourceLBServiceGroups, namespace, client.LBServiceGroups(namespace).List), func(o *v1.LBServiceGroup) error {
		add(o.Namespace, func(u *usage) { u.groups++ })
		return nil
	})
	return out, err
}

// tunnelCount returns the number of tunnels of a proxy.
func tunnelCount(s *v1.ProxyStatus) int {
	n := 0
	for _, t := range s.GUETunnelEndpoints {
		n += max(len(t.EPICEndpoints), 1)
	}
	return n
}

// listing lists the objects of a kind in a namespace, or in all.
type listing[T runtime.Object] struct {
	right right
	list  pager.ListPageFunc
}

// collection returns a listing that uses a client's method.
func collection[T runtime.Object, L runtime.Object](resource, namespace string, list func(context.Context, metav1.ListOptions) (L, error)) listing[T] {
	return listing[T]{
		right: right{"list", resource + "." + v1.GroupName, namespace},
		list: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			page, err := list(ctx, o)
			if err != nil {
				// Do not return the nil of type L.
				return nil, err
			}
			return page, nil
		},
	}
}

// each calls f with each object, page by page, so memory does not grow with the
// installation.
func each[T runtime.Object](ctx context.Context, l listing[T], f func(T) error) error {
	p := pager.New(l.list)
	p.PageSize = pageSize
	return l.right.explain(p.EachListItem(ctx, metav1.ListOptions{}, func(object runtime.Object) error {
		if o, ok := object.(T); ok {
			return f(o)
		}
		return nil
	}))
}

// all returns all objects of a kind of which there are few.
func all[T runtime.Object](ctx context.Context, l listing[T]) ([]T, error) {
	var out []T
	err := each(ctx, l, func(o T) error {
		out = append(out, o)
		return nil
	})
	return out, err
}
