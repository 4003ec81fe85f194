// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	epicclient "github.com/acnodal/epic/pkg/generated/clientset/versioned/typed/epic/v1"
	"github.com/acnodal/epic/pkg/nodeidentity"
)

// passes is how often to check for objects that the connector wrote while its permissions
// ended, and passPause the time between the checks.
const (
	passes    = 3
	passPause = time.Second
)

// deleteNodes deletes the service accounts that the connector created for its nodes,
// which revokes their tokens.
func (o *disconnect) deleteNodes(ctx context.Context, kube kubernetes.Interface) (bool, error) {
	ns := accountNamespace(o.account)
	client := kube.CoreV1().ServiceAccounts(ns)
	prefix := nodeidentity.ClusterAccountPrefix(o.cluster)
	accounts := listing[*corev1.ServiceAccount]{
		right: right{"list", "serviceaccounts", ns},
		list: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return client.List(ctx, options)
		},
	}
	n := 0
	err := each(ctx, accounts, func(a *corev1.ServiceAccount) error {
		if !strings.HasPrefix(a.Name, prefix) {
			return nil
		}
		n++
		if o.dryRun == dryRunClient {
			return nil
		}
		if err := client.Delete(ctx, a.Name, o.deleteOptions(a)); err != nil && !apierrors.IsNotFound(err) {
			return right{"delete", "serviceaccounts", ns}.explain(err)
		}
		return nil
	})
	if n > 0 {
		fmt.Fprintf(o.Out, "serviceaccounts of nodes: %d %s%s\n", n, deleted, o.dryRun.suffix())
	}
	return n > 0, err
}

// own returns a selector for objects written by the cluster's connector.
func (o *disconnect) own() string {
	return epic.OwningClusterLabel + "=" + epic.LabelValue(o.cluster)
}

// labeled returns a list function that selects by labels.
func labeled[L runtime.Object](selector string, list func(context.Context, metav1.ListOptions) (L, error)) func(context.Context, metav1.ListOptions) (L, error) {
	return func(ctx context.Context, options metav1.ListOptions) (L, error) {
		options.LabelSelector = selector
		return list(ctx, options)
	}
}

// removeAll deletes all objects of some kinds. It repeats that a few times, because the
// connector may have written some while its permissions ended.
func (o *disconnect) removeAll(ctx context.Context, kinds ...content) (bool, error) {
	removed := map[string]map[types.UID]bool{}
	for pass := range passes {
		found := false
		for _, kind := range kinds {
			err := each(ctx, kind.list, func(obj runtime.Object) error {
				m, err := meta.Accessor(obj)
				if err != nil || removed[kind.resource][m.GetUID()] {
					return err
				}
				if o.dryRun != dryRunClient {
					if err := kind.remove(ctx, m.GetName(), o.deleteOptions(m)); err != nil && !apierrors.IsNotFound(err) {
						return right{"delete", kind.resource + "." + v1.GroupName, m.GetNamespace()}.explain(err)
					}
				}
				if removed[kind.resource] == nil {
					removed[kind.resource] = map[types.UID]bool{}
				}
				removed[kind.resource][m.GetUID()] = true
				found = true
				return nil
			})
			if err != nil {
				return false, err
			}
		}
		if !found || o.dryRun != dryRunNone || pass == passes-1 {
			break
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(passPause):
		}
	}
	for _, resource := range slices.Sorted(maps.Keys(removed)) {
		fmt.Fprintf(o.Out, "%s: %d %s%s\n", resource, len(removed[resource]), deleted, o.dryRun.suffix())
	}
	return len(removed) > 0, nil
}

// endTunnels deletes the cluster's endpoints. A node without an endpoint has no tunnel.
func (o *disconnect) endTunnels(ctx context.Context, c epicclient.EpicV1Interface) (bool, error) {
	ns := accountNamespace(o.account)
	return o.removeAll(ctx,
		content{epic.ResourceGWEndpointSlices, kindOf(ns, epic.ResourceGWEndpointSlices, labeled(o.own(), c.GWEndpointSlices(ns).List)), nil, c.GWEndpointSlices(ns).Delete},
		content{epic.ResourceRemoteEndpoints, kindOf(ns, epic.ResourceRemoteEndpoints, labeled(o.own(), c.RemoteEndpoints(ns).List)), nil, c.RemoteEndpoints(ns).Delete})
}

// purge deletes everything that the cluster published. Objects shared with other clusters
// are kept for them.
func (o *disconnect) purge(ctx context.Context, kube kubernetes.Interface, c epicclient.EpicV1Interface) (bool, error) {
	ns := accountNamespace(o.account)
	did, err := o.removeAll(ctx,
		content{epic.ResourceGWRoutes, kindOf(ns, epic.ResourceGWRoutes, labeled(o.own(), c.GWRoutes(ns).List)), nil, c.GWRoutes(ns).Delete})
	if err != nil {
		return false, err
	}
	proxies, err := o.leaveProxies(ctx, c, ns)
	if err != nil {
		return false, err
	}
	balancers, err := o.leaveLoadBalancers(ctx, c, ns)
	if err != nil {
		return false, err
	}
	return did || proxies || balancers, o.deleteSecrets(ctx, kube, c, ns)
}

// leaveProxies deletes the cluster's gateway proxies, and removes the cluster from the
// owners of shared ones.
func (o *disconnect) leaveProxies(ctx context.Context, c epicclient.EpicV1Interface, ns string) (did bool, err error) {
	client := c.GWProxies(ns)
	key := epic.OwnerAnnotation(o.cluster)
	err = each(ctx, collection[*v1.GWProxy](epic.ResourceGWProxies, ns, client.List), currently(ctx, client.Get, func(proxy *v1.GWProxy) error {
		_, owns := proxy.Annotations[key]
		mine := proxy.Labels[epic.OwningClusterLabel] == epic.LabelValue(o.cluster)
		others := 0
		for annotation := range proxy.Annotations {
			if annotation != key && strings.HasPrefix(annotation, epic.OwnerAnnotationPrefix) {
				others++
			}
		}
		switch {
		case others > 0 && owns:
			return o.change(&did, epic.ResourceGWProxies, proxy.Name, changed, func() error {
				patch := mergePatch(proxy, map[string]any{"metadata": map[string]any{"annotations": map[string]any{key: nil}}})
				_, err := client.Patch(ctx, proxy.Name, types.MergePatchType, patch, o.patchOptions())
				return err
			})
		case others == 0 && (owns || mine):
			return o.change(&did, epic.ResourceGWProxies, proxy.Name, deleted, func() error {
				return client.Delete(ctx, proxy.Name, o.deleteVersionOptions(proxy))
			})
		}
		return nil
	}))
	return did, err
}

// leaveLoadBalancers removes the cluster from the load balancers that a connector
// created, and deletes those that no other cluster uses.
func (o *disconnect) leaveLoadBalancers(ctx context.Context, c epicclient.EpicV1Interface, ns string) (did bool, err error) {
	client := c.LoadBalancers(ns)
	// The load balancers from which the cluster was removed.
	without := map[string]bool{}
	err = each(ctx, collection[*v1.LoadBalancer](epic.ResourceLoadBalancers, ns, client.List), currently(ctx, client.Get, func(lb *v1.LoadBalancer) error {
		listed := slices.Contains(lb.Spec.UpstreamClusters, o.cluster)
		creator := lb.Labels[epic.OwningClusterLabel]
		left := slices.DeleteFunc(slices.Clone(lb.Spec.UpstreamClusters), func(c string) bool { return c == o.cluster })
		last := len(left) == 0
		own := creator == epic.LabelValue(o.cluster) || without[lb.Name]
		if creator == "" || !listed && (!last || !own) {
			return nil
		}
		result := changed
		if last {
			result = deleted
		}
		return o.change(&did, epic.ResourceLoadBalancers, lb.Name, result, func() error {
			now := lb
			if listed {
				var err error
				patch := mergePatch(lb, map[string]any{
					"metadata": map[string]any{"annotations": map[string]any{epic.OwnerAnnotation(o.cluster): nil}},
					"spec":     map[string]any{"upstream-clusters": left},
				})
				if now, err = client.Patch(ctx, lb.Name, types.MergePatchType, patch, o.patchOptions()); err != nil {
					return err
				}
				without[lb.Name] = true
			}
			if !last || listed && o.dryRun != dryRunNone {
				// A dry run does not remove the cluster from the list, so the server
				// would reject the deletion.
				return nil
			}
			return client.Delete(ctx, lb.Name, o.deleteVersionOptions(now))
		})
	}))
	return did, err
}

// currently returns a function that calls do with an object that was listed and, after a conflict
// with another writer, with the object's current state.
func currently[T metav1.Object](ctx context.Context, get func(context.Context, string, metav1.GetOptions) (T, error), do func(T) error) func(T) error {
	return func(object T) error {
		return again(func() error {
			conflict := do(object)
			if !apierrors.IsConflict(conflict) {
				return conflict
			}
			now, err := get(ctx, object.GetName(), metav1.GetOptions{})
			switch {
			case apierrors.IsNotFound(err):
				return nil
			case err != nil:
				return explain(err)
			}
			object = now
			return conflict
		})
	}
}

// deleteVersionOptions returns options that only delete the version that was read, because another
// cluster may begin to share the object.
func (o *disconnect) deleteVersionOptions(read metav1.Object) metav1.DeleteOptions {
	options := sameVersion(read)
	options.DryRun = o.dryRun.options()
	return options
}

func (o *disconnect) patchOptions() metav1.PatchOptions {
	return metav1.PatchOptions{FieldManager: fieldManager, DryRun: o.dryRun.options()}
}

// change changes an object, and prints the result.
func (o *disconnect) change(did *bool, resource, name string, result outcome, do func() error) error {
	if o.dryRun != dryRunClient {
		err := do()
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return right{map[outcome]string{changed: "patch", deleted: "delete"}[result], resource + "." + v1.GroupName, accountNamespace(o.account)}.explain(err)
		}
	}
	o.tell(resource+"/"+name, result)
	*did = true
	return nil
}
