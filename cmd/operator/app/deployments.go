// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/operator"
	"github.com/acnodal/epic/pkg/operator/authority"
	"github.com/acnodal/epic/pkg/operator/deployments"
	"github.com/acnodal/epic/pkg/operator/peers"
	"github.com/acnodal/epic/pkg/operator/runner"
	"github.com/acnodal/epic/pkg/operator/workload"
	"github.com/acnodal/epic/pkg/proxyidentity"
	"github.com/acnodal/epic/pkg/proxyidentity/issuer"
)

// cached returns what the operator caches of the cluster: its own objects, the pods of
// proxies, and the Secrets for them.
func cached() map[client.Object]cache.ByObject {
	ours := cache.ByObject{Label: deployments.Selector()}
	return map[client.Object]cache.ByObject{
		&appsv1.Deployment{}: ours, &networkingv1.NetworkPolicy{}: ours, &policyv1.PodDisruptionBudget{}: ours,
		&corev1.ConfigMap{}: ours, &corev1.Pod{}: ours,
		&corev1.Secret{}: {Label: labels.SelectorFromSet(labels.Set{workload.SecretLabel: workload.SecretLabelValue})},
	}
}

// newDeployments returns the platform that runs Envoys as Deployments.
func newDeployments(o *options, mgr manager.Manager, namespace string) (*platform, error) {
	kube, err := kubernetes.NewForConfig(mgr.GetConfig())
	if err != nil {
		return nil, fmt.Errorf("configure access to the API server: %w", err)
	}
	pods, err := o.platform(namespace)
	if err != nil {
		return nil, err
	}
	reader := mgr.GetCache()
	return &platform{
		place: &authority.Secret{Client: kube, Namespace: namespace}, names: []string{pods.ServerName},
		authenticator: &issuer.Kubernetes{Reviews: kube.AuthenticationV1().TokenReviews(), Pods: podReader{reader}},
		listen: func(ctx context.Context) (listener, error) {
			l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.xdsAddress)
			if err != nil {
				return nil, fmt.Errorf("--xds-address: %w", err)
			}
			return l, nil
		},
		secret:   func(namespace, name string) *corev1.Secret { return secretOf(reader, namespace, name) },
		location: func(string) translate.Options { return translate.Options{} },
		kept: func(c *issuer.Credentials) func(context.Context, proxyidentity.Proxy) []*resource.Resource {
			return (&peers.States{TLS: c.ClientTLS, Pods: func(id proxyidentity.Proxy) []peers.Pod { return podsOf(reader, id) }}).Kept
		},
		states: func(op *operator.Operator, server *xds.Server, c *issuer.Credentials) operator.States {
			return &peers.States{
				Local: server, Resource: op.Resource, TLS: c.ClientTLS,
				Pods: func(id proxyidentity.Proxy) []peers.Pod { return podsOf(reader, id) },
			}
		},
		begin: func(ctx context.Context, op *operator.Operator, c *issuer.Credentials, _ *xds.Server) (runner.Runner, []source.TypedSource[proxyidentity.Proxy], error) {
			if err := watchSecrets(ctx, reader, op); err != nil {
				return nil, nil, err
			}
			run := &deployments.Runner{Client: mgr.GetClient(), Platform: pods, CA: func() []byte { return c.Authority().Bundle() }}
			return run, []source.TypedSource[proxyidentity.Proxy]{owned(reader, &appsv1.Deployment{}), owned(reader, &corev1.Pod{})}, nil
		},
		end: func() {},
	}, nil
}

// podReader reads pods for their authentication.
type podReader struct{ cache.Cache }

// Pod implements issuer.Pods.
func (r podReader) Pod(namespace, name string) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	// It is read from the cache.
	return pod, r.Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: name}, pod)
}

// podsOf returns the running pods of an object.
func podsOf(reader cache.Cache, id proxyidentity.Proxy) []peers.Pod {
	p := &workload.Proxy{Kind: workload.Kind(id.Kind), Namespace: id.Namespace, Name: id.Name}
	var list corev1.PodList
	if err := reader.List(context.Background(), &list, client.InNamespace(id.Namespace), client.MatchingLabels(p.Labels())); err != nil {
		return nil
	}
	var pods []peers.Pod
	for i := range list.Items {
		pod := &list.Items[i]
		address, err := netip.ParseAddr(pod.Status.PodIP)
		if err == nil && pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil {
			pods = append(pods, peers.Pod{Name: pod.Name, Address: address})
		}
	}
	return pods
}

func secretOf(reader cache.Cache, namespace, name string) *corev1.Secret {
	secret := &corev1.Secret{}
	if err := reader.Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: name}, secret); err != nil {
		return nil
	}
	return secret
}

// watchSecrets schedules the translation of proxies whose Secrets change.
func watchSecrets(ctx context.Context, c cache.Cache, op *operator.Operator) error {
	informer, err := c.GetInformer(ctx, &corev1.Secret{}, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watch Secrets: %w", err)
	}
	changed := func(obj any) {
		if gone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		if o, ok := obj.(metav1.Object); ok {
			op.SecretChanged(o.GetNamespace(), o.GetName())
		}
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: changed, UpdateFunc: func(_, obj any) { changed(obj) }, DeleteFunc: changed,
	})
	if err == nil {
		op.WaitFor(registration.HasSynced)
	}
	return err
}

// owned returns a source that reconciles the object to which a changed object belongs.
func owned[T client.Object](c cache.Cache, obj T) source.TypedSource[proxyidentity.Proxy] {
	return source.TypedKind(c, obj, handler.TypedEnqueueRequestsFromMapFunc(func(_ context.Context, o T) []proxyidentity.Proxy {
		if id, ok := deployments.OwnerOf(o); ok {
			return []proxyidentity.Proxy{id}
		}
		return nil
	}))
}
