// SPDX-License-Identifier: Apache-2.0

package gatewaycluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/utils/lru"

	"github.com/acnodal/epic/pkg/nodeidentity"
	"github.com/acnodal/epic/pkg/placement"
)

const (
	// readsPerSecond and readBurst limit the pods read from the kube-apiserver for one
	// node: enough for a node that starts many proxies before the watch shows them, and a
	// negligible load from a compromised node.
	readsPerSecond = 5
	readBurst      = 50
	// maxReaders is the maximum number of nodes whose rate is tracked.
	maxReaders = 4096
	// retrySeconds is the delay after which a caller should retry.
	retrySeconds = 1
)

// ProxyPods finds the pods of proxies with an informer that watches only these pods. The
// informer may lag behind, so ProxyPods reads a pod that it does not have, or has on
// another Node, from the kube-apiserver, within the rate limit of the node that sent the
// request.
type ProxyPods struct {
	informer cache.SharedIndexInformer
	client   kubernetes.Interface
	nodes    nodeidentity.Addresses

	mu    sync.Mutex
	rates *lru.Cache
}

var _ placement.Pods = &ProxyPods{}

// NewProxyPods returns ProxyPods whose informer has not started. nodes finds the
// addresses of Nodes.
func NewProxyPods(client kubernetes.Interface, nodes nodeidentity.Addresses) *ProxyPods {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(placement.SlimPod),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = placement.ProxyPodSelector.String() }))
	return &ProxyPods{informer: factory.Core().V1().Pods().Informer(), client: client, nodes: nodes, rates: lru.New(maxReaders)}
}

// Run watches pods until ctx ends.
func (p *ProxyPods) Run(ctx context.Context) { p.informer.RunWithContext(ctx) }

// HasSynced reports whether the informer knows all pods of proxies.
func (p *ProxyPods) HasSynced() bool { return p.informer.HasSynced() }

// Check implements placement.Pods.
func (p *ProxyPods) Check(ctx context.Context, object placement.Object, name string, node netip.Addr) error {
	if !p.informer.HasSynced() {
		return unavailable(errors.New("the server does not know the pods of the gateway cluster yet"))
	}
	cached, found, err := p.informer.GetIndexer().GetByKey(cache.NewObjectName(object.Namespace, name).String())
	if err != nil {
		return unavailable(err)
	}
	if pod, ok := cached.(*corev1.Pod); ok && found {
		if p.check(ctx, pod, object, node) == nil {
			return nil
		}
	}
	if !p.mayRead(node) {
		return apierrors.NewTooManyRequests(fmt.Sprintf("node %s requested too many unknown pods: try again", node), retrySeconds)
	}
	pod, err := p.client.CoreV1().Pods(object.Namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return placement.NotThere("pod %s does not exist in namespace %s", name, object.Namespace)
	case err != nil:
		return unavailable(fmt.Errorf("can't read pod %s/%s: %w", object.Namespace, name, err))
	}
	return p.check(ctx, pod, object, node)
}

func (p *ProxyPods) check(ctx context.Context, pod *corev1.Pod, object placement.Object, node netip.Addr) error {
	if err := placement.CheckPod(pod, object); err != nil {
		return err
	}
	if pod.Spec.NodeName == "" {
		return placement.NotThere("pod %s is not scheduled to a Node yet", pod.Name)
	}
	addresses, err := p.nodes.Addresses(ctx, pod.Spec.NodeName)
	var status apierrors.APIStatus
	switch {
	case errors.As(err, &status):
		return unavailable(err)
	case err != nil:
		return placement.NotThere("pod %s runs on Node %s, whose address is not known: %v", pod.Name, pod.Spec.NodeName, err)
	case !slices.Contains(addresses, node):
		return placement.NotThere("pod %s runs on another Node", pod.Name)
	}
	return nil
}

// mayRead counts a read from the kube-apiserver for a node, and reports whether it is
// within the rate limit.
func (p *ProxyPods) mayRead(node netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	limiter, ok := p.rates.Get(node)
	if !ok {
		limiter = flowcontrol.NewTokenBucketRateLimiter(readsPerSecond, readBurst)
		p.rates.Add(node, limiter)
	}
	l, ok := limiter.(flowcontrol.RateLimiter)
	return ok && l.TryAccept()
}

// unavailable returns the error for a request that may succeed later.
func unavailable(err error) error {
	out := apierrors.NewServiceUnavailable(err.Error() + ": try again")
	out.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: retrySeconds}
	return out
}
