// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/node/cni/wire"
	"github.com/acnodal/epic/pkg/node/proxies"
	"github.com/acnodal/epic/pkg/placement"
)

// Proxy is what a pod needs to be a proxy.
type Proxy struct {
	Kind             proxies.Kind
	Namespace, Owner string
	PodUID           types.UID
	// Addresses are the public and the alternate address.
	Addresses []netip.Addr
	// Bridge is the bridge of the public address's pool.
	Bridge string
	// Keep lists the networks that stay on the pod's first interface.
	Keep []netip.Prefix
}

// Resolver determines which pods are proxies.
type Resolver interface {
	// Resolve returns nil for a pod that is not a proxy. If a pod or an object is not
	// known yet, it returns a temporary error.
	Resolve(ctx context.Context, namespace, name string, uid types.UID) (*Proxy, error)
	// Gone reports whether a pod is known to be gone.
	Gone(namespace, name string, uid types.UID) bool
}

// Pods finds the pods of this node, such as by an informer's store.
type Pods interface {
	// Get returns an error for which apierrors.IsNotFound is true if a pod does not
	// exist.
	Get(namespace, name string) (*corev1.Pod, error)
	// HasSynced reports whether all pods are known.
	HasSynced() bool
}

// Objects resolves from the node's pods and from the API. Objects are read when a proxy
// starts, which is rare, so caching them would only use memory.
type Objects struct {
	Pods         Pods
	LoadBalancer func(ctx context.Context, namespace, name string) (*epicv1.LoadBalancer, error)
	GWProxy      func(ctx context.Context, namespace, name string) (*epicv1.GWProxy, error)
	Prefix       func(ctx context.Context, name string) (*epicv1.ServicePrefix, error)
	// Keep returns the networks that proxies reach by the cluster's own network:
	// addresses of its services and of the node.
	Keep func(ctx context.Context) ([]netip.Prefix, error)
	// Wait is how long to wait for a pod that is not known yet: the kubelet's watch may
	// be ahead of this program's. Default: 5 seconds.
	Wait time.Duration
}

const (
	defaultWait  = 5 * time.Second
	waitInterval = 50 * time.Millisecond
)

// Resolve implements Resolver.
func (l *Objects) Resolve(ctx context.Context, namespace, name string, uid types.UID) (*Proxy, error) {
	pod, err := l.waitForPod(ctx, namespace, name, uid)
	if err != nil {
		return nil, err
	}
	if !placement.ProxyPodSelector.Matches(labels.Set(pod.Labels)) {
		return nil, nil
	}
	lb, proxy := placement.OwnerName(pod, epic.OwningLoadBalancerLabel), placement.OwnerName(pod, epic.OwningProxyLabel)
	switch {
	case lb != "" && proxy != "":
		return nil, &wire.RefusalError{Message: fmt.Sprintf("pod %s/%s has both labels %s and %s: remove one, because a proxy belongs to one object", namespace, name, epic.OwningLoadBalancerLabel, epic.OwningProxyLabel)}
	case lb != "":
		return l.loadBalancer(ctx, pod, lb)
	case proxy != "":
		return l.gwProxy(ctx, pod, proxy)
	}
	return nil, &wire.RefusalError{Message: fmt.Sprintf("pod %s/%s is labeled as a proxy, but has neither the label %s nor %s", namespace, name, epic.OwningLoadBalancerLabel, epic.OwningProxyLabel)}
}

func (l *Objects) waitForPod(ctx context.Context, namespace, name string, uid types.UID) (*corev1.Pod, error) {
	wait := l.Wait
	if wait <= 0 {
		wait = defaultWait
	}
	deadline := time.Now().Add(wait)
	for {
		pod, err := l.Pods.Get(namespace, name)
		switch {
		case err == nil && (uid == "" || pod.UID == uid):
			return pod, nil
		case err != nil && !apierrors.IsNotFound(err):
			return nil, wire.Again("pod %s/%s cannot be read: %v", namespace, name, err)
		case time.Now().After(deadline):
			return nil, wire.Again("pod %s/%s is not known to the node program yet", namespace, name)
		}
		select {
		case <-ctx.Done():
			return nil, wire.Again("pod %s/%s: %v", namespace, name, ctx.Err())
		case <-time.After(waitInterval):
		}
	}
}

func (l *Objects) loadBalancer(ctx context.Context, pod *corev1.Pod, name string) (*Proxy, error) {
	obj, err := l.LoadBalancer(ctx, pod.Namespace, name)
	if err != nil {
		return nil, unknown(proxies.LoadBalancer, pod, name, err)
	}
	return l.proxy(ctx, pod, proxies.LoadBalancer, name, obj.Labels, obj.Spec.PublicAddress, "")
}

func (l *Objects) gwProxy(ctx context.Context, pod *corev1.Pod, name string) (*Proxy, error) {
	obj, err := l.GWProxy(ctx, pod.Namespace, name)
	if err != nil {
		return nil, unknown(proxies.GWProxy, pod, name, err)
	}
	return l.proxy(ctx, pod, proxies.GWProxy, name, obj.Labels, obj.Spec.PublicAddress, obj.Spec.AltAddress)
}

func unknown(kind proxies.Kind, pod *corev1.Pod, name string, err error) error {
	return wire.Again("pod %s/%s is a proxy of the %s %s, which was not found: %v", pod.Namespace, pod.Name, kind, name, err)
}

func (l *Objects) proxy(ctx context.Context, pod *corev1.Pod, kind proxies.Kind, owner string, labels map[string]string, public, alternate string) (*Proxy, error) {
	p := &Proxy{Kind: kind, Namespace: pod.Namespace, Owner: owner, PodUID: pod.UID}
	what := fmt.Sprintf("%s %s/%s", kind, pod.Namespace, owner)
	for i, text := range []string{public, alternate} {
		if text == "" && i > 0 {
			continue
		}
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return nil, wire.Again("%s has no public address yet", what)
		}
		addr = addr.Unmap()
		if len(p.Addresses) == 1 && p.Addresses[0].Is4() == addr.Is4() {
			continue
		}
		p.Addresses = append(p.Addresses, addr)
	}
	name := labels[epic.OwningServicePrefixLabel]
	prefix, err := l.Prefix(ctx, name)
	if err != nil {
		return nil, wire.Again("%s has its address from the ServicePrefix %q, which was not found: %v", what, name, err)
	}
	p.Bridge = Bridge(prefix)
	if p.Keep, err = l.Keep(ctx); err != nil {
		return nil, wire.Again("can't determine what %s reaches through the cluster's network: %v", what, err)
	}
	return p, nil
}

// Bridge returns the bridge of a prefix's proxies.
func Bridge(prefix *epicv1.ServicePrefix) string {
	if pool := prefix.Spec.PublicPool; pool != nil && pool.MultusBridge != "" {
		return pool.MultusBridge
	}
	return epic.DefaultMultusBridge
}

// Gone implements Resolver.
func (l *Objects) Gone(namespace, name string, uid types.UID) bool {
	if !l.Pods.HasSynced() {
		return false
	}
	pod, err := l.Pods.Get(namespace, name)
	if apierrors.IsNotFound(err) {
		return true
	}
	return err == nil && uid != "" && pod.UID != uid
}

// Prefixes parses EPIC's service-cidr: comma-separated prefixes.
func Prefixes(field, text string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		p, err := netip.ParsePrefix(part)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is not a CIDR, such as 10.96.0.0/16", field, part)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}
