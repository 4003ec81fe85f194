// SPDX-License-Identifier: Apache-2.0

package options

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	mutatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	validatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/resourcequota"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	validatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/validating"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/kubernetes"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"

	"github.com/acnodal/epic/pkg/apiserver/gatewaycluster"
	"github.com/acnodal/epic/pkg/apiserver/readiness"
)

// namespaceTerminating returns a function that reports whether a namespace is being
// deleted. A positive result from the cache is final. A negative result may be outdated,
// and a wrong one would block a deletion that the namespace waits for, so it is verified
// with the kube-apiserver; deletions that would be rejected are rare.
func namespaceTerminating(lister corelisters.NamespaceLister, client coreclient.NamespaceInterface) func(context.Context, string) (bool, error) {
	return func(ctx context.Context, name string) (bool, error) {
		if cached, err := lister.Get(name); err == nil && terminating(cached) {
			return true, nil
		}
		live, err := client.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("can't check whether namespace %s is being deleted: %w", name, err)
		}
		return terminating(live), nil
	}
}

func terminating(ns *corev1.Namespace) bool {
	return ns.DeletionTimestamp != nil || ns.Status.Phase == corev1.NamespaceTerminating
}

// addProxyPods watches the pods of proxies. Without them, gateway nodes can neither
// report proxies nor get keys, so the server is not ready before the informer has synced.
func (s *Server) addProxyPods(c *genericapiserver.RecommendedConfig, kube kubernetes.Interface) error {
	pods := gatewaycluster.NewProxyPods(kube, s.nodes.Nodes)
	s.placements.Pods = pods
	c.AddReadyzChecks(healthz.NamedCheck("proxy-pods", func(*http.Request) error {
		if !pods.HasSynced() {
			return errors.New("the pods of proxies have not been read from the kube-apiserver yet")
		}
		return nil
	}))
	return c.AddPostStartHook("watch-proxy-pods", func(hook genericapiserver.PostStartHookContext) error {
		go pods.Run(hook)
		return nil
	})
}

// needs returns the optional features whose permissions the options require.
func (o *Options) needs() readiness.Needs {
	auth := o.Kube.Authentication
	return readiness.Needs{
		AuthReader:          !auth.SkipInClusterLookup && (auth.ClientCert.ClientCA == "" || auth.RequestHeader.ClientCAFile == ""),
		TokenReview:         true,
		AccessReview:        true,
		PriorityAndFairness: o.Features.EnablePriorityAndFairness,
		MutatingWebhook:     o.Admission.Enabled(mutatingwebhook.PluginName),
		ValidatingWebhook:   o.Admission.Enabled(validatingwebhook.PluginName),
		MutatingPolicy:      o.Admission.Enabled(mutatingpolicy.PluginName),
		ValidatingPolicy:    o.Admission.Enabled(validatingpolicy.PluginName),
		ResourceQuota:       o.Admission.Enabled(resourcequota.PluginName),
	}
}

// addPermissionChecks adds a readyz check for each permission.
func (s *Server) addPermissionChecks(c *genericapiserver.RecommendedConfig, kube kubernetes.Interface) error {
	checker := readiness.NewChecker(kube.AuthorizationV1().SelfSubjectAccessReviews(), readiness.Permissions(s.options.needs()))
	c.AddReadyzChecks(checker.HealthChecks()...)
	if proxy := c.Authentication.RequestHeaderConfig; proxy != nil {
		// The server reads the authority from the cluster after the start. Until then,
		// every request through the kube-apiserver is anonymous.
		c.AddReadyzChecks(healthz.NamedCheck("front-proxy", func(*http.Request) error {
			if _, known := proxy.CAContentProvider.VerifyOptions(); !known {
				return errors.New("the front proxy's authority has not been read yet from configmap kube-system/extension-apiserver-authentication")
			}
			return nil
		}))
	}
	return c.AddPostStartHook("check-permissions", func(hook genericapiserver.PostStartHookContext) error {
		go checker.Run(hook)
		return nil
	})
}
