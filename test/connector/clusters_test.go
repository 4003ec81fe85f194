// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
	"github.com/acnodal/epic/test/tools/published"
)

// shares has a shop share its proxy, and its load balancer, under a key.
func (w *world) shares(t *testing.T, s *shop, key string) {
	t.Helper()
	for _, o := range []client.Object{s.gateway, s.service} {
		must(t, update(t.Context(), w.tenants.admin, o, func() {
			o.SetAnnotations(map[string]string{publish.SharingKeyAnnotation: key})
			if service, ok := o.(*corev1.Service); ok {
				service.Spec.Type, service.Spec.LoadBalancerClass = corev1.ServiceTypeLoadBalancer, ptr.To(publish.LoadBalancerClass)
			}
		}))
	}
}

// joint are the proxy and the load balancer of a key.
type joint struct {
	proxy *epicv1.GWProxy
	lb    *epicv1.LoadBalancer
}

func (w *world) joint(ctx context.Context, namespace, key string) (*joint, error) {
	s := &joint{&epicv1.GWProxy{}, &epicv1.LoadBalancer{}}
	if err := w.gateway.admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: key}, s.proxy); err != nil {
		return nil, err
	}
	return s, w.gateway.admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: key}, s.lb)
}

// TestTwoClusters has two client clusters of one account share a Gateway's proxy and a
// Service's load balancer, with the roles that ship. The one that made them leaves, which
// costs neither the address nor what the other one publishes, and the other one decides.
func TestTwoClusters(t *testing.T) {
	w := clusters(t)
	ctx, namespace, key := t.Context(), w.account(t, "two"), "shop"
	// The gateway cluster is the second client cluster, too.
	other := *w
	other.tenants = w.gateway
	must(t, other.installTenants(ctx))
	paris, rome := w.shop(t, "two", "epic"), other.shop(t, "two", "epic")
	must(t, update(ctx, other.tenants.admin, rome.gateway, func() { rome.gateway.Spec.Listeners[1].Port = 8443 }))
	w.shares(t, paris, key)
	other.shares(t, rome, key)

	first := w.newReplica(t, "two", "paris", "two-paris", "--leader-elect=false")
	w.started(t, first)
	eventually(t, settle, "with one cluster", func() error { return w.site(namespace, "paris").Compare(ctx) })
	before, err := w.joint(ctx, namespace, key)
	must(t, err)

	second := other.newReplica(t, "two", "rome", "two-rome", "--leader-elect=false")
	other.started(t, second)
	eventually(t, settle, "with both clusters", func() error {
		if err := w.site(namespace, "paris").Compare(ctx); err != nil {
			return err
		}
		now, err := w.joint(ctx, namespace, key)
		if err != nil {
			return err
		}
		if _, owns := now.proxy.Annotations[epic.OwnerAnnotation("rome")]; !owns || len(now.lb.Spec.UpstreamClusters) != 2 {
			return fmt.Errorf("the owners are %v, and the load balancer has %v", now.proxy.Annotations, now.lb.Spec.UpstreamClusters)
		}
		for _, plural := range []client.ObjectList{&epicv1.GWRouteList{}, &epicv1.GWEndpointSliceList{}, &epicv1.RemoteEndpointList{}} {
			all, err := published.List(ctx, w.gateway.admin, []client.ObjectList{plural}, client.InNamespace(namespace))
			if err != nil {
				return err
			}
			if len(all) != 2 {
				return fmt.Errorf("there are %d in %T", len(all), plural)
			}
		}
		gateway := &gatewayv1.Gateway{}
		if err := other.tenants.admin.Get(ctx, client.ObjectKeyFromObject(rome.gateway), gateway); err != nil {
			return err
		}
		if len(gateway.Status.Addresses) != 1 || gateway.Status.Addresses[0].Value != before.proxy.Spec.PublicAddress {
			return fmt.Errorf("the second cluster's Gateway has the addresses %v", gateway.Status.Addresses)
		}
		for _, l := range gateway.Status.Listeners {
			c := meta.FindStatusCondition(l.Conditions, string(gatewayv1.ListenerConditionProgrammed))
			if c == nil || strings.Contains(c.Message, `the cluster "paris" determines`) != (l.Name == "more") {
				return fmt.Errorf("its listener %s has the condition %+v", l.Name, c)
			}
		}
		return nil
	})

	for _, o := range []client.Object{paris.gateway, paris.service} {
		must(t, w.tenants.admin.Delete(ctx, o))
	}
	eventually(t, settle, "after the first cluster left", func() error {
		if err := w.site(namespace, "paris").Compare(ctx); err != nil {
			return err
		}
		return other.site(namespace, "rome").Compare(ctx)
	})
	now, err := w.joint(ctx, namespace, key)
	must(t, err)
	if now.proxy.UID != before.proxy.UID || now.proxy.Spec.PublicAddress != before.proxy.Spec.PublicAddress ||
		now.lb.UID != before.lb.UID || now.lb.Spec.PublicAddress != before.lb.Spec.PublicAddress {
		t.Errorf("What was shared became\n%+v\n%+v", now.proxy, now.lb)
	}

	for _, o := range []client.Object{rome.gateway, rome.service} {
		must(t, other.tenants.admin.Delete(ctx, o))
	}
	eventually(t, settle, "after both left", func() error {
		left, err := published.List(ctx, w.gateway.admin, []client.ObjectList{&epicv1.GWProxyList{}, &epicv1.LoadBalancerList{}, &epicv1.RemoteEndpointList{}}, client.InNamespace(namespace))
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%d objects are left", len(left))
		}
		return err
	})
}
