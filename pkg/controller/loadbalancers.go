// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	informers "github.com/acnodal/epic/pkg/generated/informers/externalversions/epic/v1"
)

// newLoadBalancers keeps load balancers, whose endpoints are remote endpoints.
func newLoadBalancers(client versioned.Interface, lbs informers.LoadBalancerInformer, reps cache.SharedIndexInformer) *keeper {
	k := newKeeper("loadbalancers", func(ctx context.Context, key cache.ObjectName, data []byte) (*epicv1.ProxyStatus, error) {
		lb, err := client.EpicV1().LoadBalancers(key.Namespace).Patch(ctx, key.Name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: fieldManager}, "status")
		if err != nil {
			return nil, err
		}
		return &lb.Status, nil
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
		s := &state{meta: &lb.ObjectMeta, status: &lb.Status, direct: lb.Spec.TrueIngress != nil && !*lb.Spec.TrueIngress}
		s.endpoints, s.problems = endpoints.OfLoadBalancer(lb, own)
		return s, nil
	}
	watch(k, lbs.Informer(), itself[*epicv1.LoadBalancer])
	watch(k, reps, func(rep *epicv1.RemoteEndpoint) []cache.ObjectName {
		if name := endpoints.LoadBalancerOf(rep); name != "" {
			return []cache.ObjectName{cache.NewObjectName(rep.Namespace, name)}
		}
		return nil
	})
	return k
}
