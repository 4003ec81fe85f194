// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	epicclient "github.com/acnodal/epic/pkg/generated/clientset/versioned/typed/epic/v1"
)

// pollInterval is the interval of checks whether something has been deleted.
const pollInterval = 500 * time.Millisecond

// content is one of the kinds of objects that an account holds.
type content struct {
	resource string
	list     listing[runtime.Object]
	// release removes what prevents an object from being deleted; it may be nil.
	release func(ctx context.Context, o runtime.Object) error
	remove  func(ctx context.Context, name string, o metav1.DeleteOptions) error
}

// contents returns all kinds that an account holds, with those that others depend on
// last.
func contents(c epicclient.EpicV1Interface, ns string) []content {
	return []content{
		{epic.ResourceGWRoutes, kindOf(ns, epic.ResourceGWRoutes, c.GWRoutes(ns).List), nil, c.GWRoutes(ns).Delete},
		{epic.ResourceGWEndpointSlices, kindOf(ns, epic.ResourceGWEndpointSlices, c.GWEndpointSlices(ns).List), nil, c.GWEndpointSlices(ns).Delete},
		{epic.ResourceRemoteEndpoints, kindOf(ns, epic.ResourceRemoteEndpoints, c.RemoteEndpoints(ns).List), nil, c.RemoteEndpoints(ns).Delete},
		{epic.ResourceLoadBalancers, kindOf(ns, epic.ResourceLoadBalancers, c.LoadBalancers(ns).List), withoutClusters(c, ns), c.LoadBalancers(ns).Delete},
		{epic.ResourceGWProxies, kindOf(ns, epic.ResourceGWProxies, c.GWProxies(ns).List), nil, c.GWProxies(ns).Delete},
		{epic.ResourceLBServiceGroups, kindOf(ns, epic.ResourceLBServiceGroups, c.LBServiceGroups(ns).List), nil, c.LBServiceGroups(ns).Delete},
	}
}

func kindOf[L runtime.Object](ns, resource string, list func(context.Context, metav1.ListOptions) (L, error)) listing[runtime.Object] {
	return collection[runtime.Object](resource, ns, list)
}

// withoutClusters returns a function that empties a load balancer's list of clusters,
// which the server requires before a deletion.
func withoutClusters(c epicclient.EpicV1Interface, ns string) func(context.Context, runtime.Object) error {
	return func(ctx context.Context, o runtime.Object) error {
		lb, ok := o.(*v1.LoadBalancer)
		if !ok || len(lb.Spec.UpstreamClusters) == 0 {
			return nil
		}
		_, err := c.LoadBalancers(ns).Patch(ctx, lb.Name, types.MergePatchType, []byte(`{"spec":{"upstream-clusters":null}}`), metav1.PatchOptions{FieldManager: fieldManager})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return right{"patch", "loadbalancers." + v1.GroupName, ns}.explain(err)
	}
}

// names returns the names of the objects of one kind.
func (c content) names(ctx context.Context) ([]string, error) {
	var out []string
	err := each(ctx, c.list, func(o runtime.Object) error {
		accessor, err := meta.Accessor(o)
		if err == nil {
			out = append(out, accessor.GetName())
		}
		return err
	})
	slices.Sort(out)
	return out, err
}

// empty deletes all objects of one kind and waits until they are gone, because those
// deleted next depend on them.
func (c content) empty(ctx context.Context, gone func(what string)) error {
	var names []string
	err := each(ctx, c.list, func(o runtime.Object) error {
		accessor, err := meta.Accessor(o)
		if err != nil {
			return err
		}
		names = append(names, accessor.GetName())
		if c.release != nil {
			if err := c.release(ctx, o); err != nil {
				return err
			}
		}
		err = c.remove(ctx, accessor.GetName(), metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return right{"delete", c.resource + "." + v1.GroupName, accessor.GetNamespace()}.explain(err)
	})
	if err != nil || len(names) == 0 {
		return err
	}
	if err := c.waitEmpty(ctx); err != nil {
		return err
	}
	for _, name := range names {
		gone(c.resource + "." + v1.GroupName + "/" + name)
	}
	return nil
}

func (c content) waitEmpty(ctx context.Context) error {
	var left string
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		left = ""
		err := each(ctx, c.list, func(o runtime.Object) error {
			accessor, err := meta.Accessor(o)
			if err == nil && left == "" {
				left = accessor.GetName() + heldBy(accessor)
			}
			return err
		})
		if err != nil && ctx.Err() != nil {
			return false, nil //nolint:nilerr // the timeout reports it, with what is left
		}
		return left == "", err
	})
	if wait.Interrupted(err) {
		return fmt.Errorf("%s %s still exists: find out why, or allow more time with --timeout", c.resource, left)
	}
	return err
}

// heldBy describes what delays the deletion of an object.
func heldBy(o metav1.Object) string {
	if f := o.GetFinalizers(); len(f) > 0 {
		return " (kept by the finalizer " + line(strings.Join(f, ", ")) + ")"
	}
	return ""
}
