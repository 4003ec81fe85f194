// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
)

// newLoadBalancers returns the reconciler of load balancers, whose endpoints are remote
// endpoints.
func newLoadBalancers(c *caches, lost func(netip.Addr) bool, tunnels stateFunc) *tunnelReconciler {
	lbs, reps := c.kinds.LoadBalancers(), c.kinds.RemoteEndpoints().Informer()
	k := newTunnelReconciler("loadbalancers", func(ctx context.Context, key cache.ObjectName, data []byte) (*epicv1.ProxyStatus, string, error) {
		lb, err := c.client.EpicV1().LoadBalancers(key.Namespace).Patch(ctx, key.Name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: fieldManager}, "status")
		if err != nil {
			return nil, "", err
		}
		return &lb.Status, lb.ResourceVersion, nil
	})
	k.find = func(key cache.ObjectName) (*state, error) {
		lb, err := lbs.Lister().LoadBalancers(key.Namespace).Get(key.Name)
		if err != nil {
			return nil, err
		}
		own, err := lookUp[*epicv1.RemoteEndpoint](reps.GetIndexer(), byLoadBalancer, key.String())
		if err != nil {
			return nil, err
		}
		return stateOfLoadBalancer(lb, own, lost, tunnels), nil
	}
	watchThat(k.reconciler, lbs.Informer(), notOwnWrite[*epicv1.LoadBalancer](k), itself[*epicv1.LoadBalancer])
	watchInto(k.reconciler, k.addLater, reps, specChanged, func(rep *epicv1.RemoteEndpoint) []cache.ObjectName {
		if name := endpoints.LoadBalancerOf(rep); name != "" {
			return []cache.ObjectName{cache.NewObjectName(rep.Namespace, name)}
		}
		return nil
	})
	return k
}

// stateOfLoadBalancer returns the state of a load balancer with its endpoints.
func stateOfLoadBalancer(lb *epicv1.LoadBalancer, own []*epicv1.RemoteEndpoint, lost func(netip.Addr) bool, tunnels stateFunc) *state {
	s := &state{
		meta: &lb.ObjectMeta, status: &lb.Status, lost: lost, tunnels: tunnels,
		direct: lb.Spec.TrueIngress != nil && !*lb.Spec.TrueIngress, portless: len(lb.Spec.PublicPorts) == 0,
	}
	s.endpoints, s.problems = endpoints.OfLoadBalancer(lb, own)
	return s
}
