// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/placement"
)

// discoveryRetry is the interval at which the API server is asked whether it serves pods,
// until it responds.
const discoveryRetry = 30 * time.Second

// proxyPods finds the entries of proxy-if-info whose proxies are gone. A node removes its
// own entries; these are left behind by a node that is down, or whose program was
// removed.
type proxyPods struct {
	// client reads pods; it is nil if no kube-apiserver is configured.
	client   kubernetes.Interface
	informer cache.SharedIndexInformer
	// queues holds the reconciler for each resource.
	queues map[string]*reconciler
	// all returns the objects of each resource that have entries.
	all func() map[string][]cache.ObjectName
}

func newProxyPods(client kubernetes.Interface, all func() map[string][]cache.ObjectName) *proxyPods {
	p := &proxyPods{client: client, queues: map[string]*reconciler{}, all: all}
	if client != nil {
		factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(placement.SlimPod),
			informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = placement.ProxyPodSelector.String() }))
		p.informer = factory.Core().V1().Pods().Informer()
	}
	return p
}

// serve makes the reconciler of a resource remove the entries of proxies that are gone.
func (p *proxyPods) serve(resource string, k *tunnelReconciler) {
	p.queues[resource] = k.reconciler
	k.gone = func(ctx context.Context, key cache.ObjectName, status *epicv1.ProxyStatus) map[string]bool {
		return p.gone(ctx, placement.Object{Resource: resource, Namespace: key.Namespace, Name: key.Name}, status)
	}
}

// run watches the pods of proxies until ctx ends. It returns immediately if the API
// server has no pods, as in standalone mode.
func (p *proxyPods) run(ctx context.Context) {
	if p.client == nil || !p.served(ctx) {
		return
	}
	handler := cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(_, obj any) { p.changed(obj) },
		DeleteFunc: p.changed,
	}
	if _, err := p.informer.AddEventHandler(handler); err != nil {
		klog.FromContext(ctx).Error(err, "Can't watch the pods of proxies")
		return
	}
	go func() {
		if !cache.WaitForCacheSync(ctx.Done(), p.informer.HasSynced) {
			return
		}
		// Pods may have been deleted before the watch began.
		for resource, keys := range p.all() {
			for _, key := range keys {
				p.queues[resource].add(key)
			}
		}
	}()
	p.informer.RunWithContext(ctx)
}

// served reports whether the API server serves pods. It retries until the server
// responds.
func (p *proxyPods) served(ctx context.Context) bool {
	for {
		list, err := p.client.Discovery().ServerResourcesForGroupVersion("v1")
		switch {
		case apierrors.IsNotFound(err):
			return false
		case err == nil:
			return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == "pods" })
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(discoveryRetry):
		}
	}
}

// changed enqueues the object of a pod that was changed or deleted.
func (p *proxyPods) changed(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return
	}
	if object, ok := placement.ObjectOf(pod); ok {
		p.queues[object.Resource].add(cache.NewObjectName(object.Namespace, object.Name))
	}
}

// gone returns the proxies of an object that have an entry and no longer run. Unknown
// proxies count as running.
func (p *proxyPods) gone(ctx context.Context, object placement.Object, status *epicv1.ProxyStatus) map[string]bool {
	gone := map[string]bool{}
	for proxy, info := range status.ProxyIfInfo {
		listed, ok := status.ProxyPlacements[proxy]
		if ok && listed != info.EPICNodeAddress || !ok && p.podGone(ctx, object, proxy) {
			gone[proxy] = true
		}
	}
	return gone
}

func (p *proxyPods) podGone(ctx context.Context, object placement.Object, name string) bool {
	if p.informer == nil || !p.informer.HasSynced() {
		return false
	}
	cached, found, err := p.informer.GetIndexer().GetByKey(cache.NewObjectName(object.Namespace, name).String())
	if pod, ok := cached.(*corev1.Pod); err == nil && found && ok && placement.CheckPod(pod, object) == nil {
		return false
	}
	// The watch may lag behind, and an entry must not be removed for that reason.
	reading, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	pod, err := p.client.CoreV1().Pods(object.Namespace).Get(reading, name, metav1.GetOptions{})
	if err != nil {
		return apierrors.IsNotFound(err)
	}
	return placement.CheckPod(pod, object) != nil
}
