// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
)

// A connector whose cache lags behind sees what another published before it sees why. It
// must not release the address.
func TestStaleCacheReleasesNothing(t *testing.T) {
	for _, key := range []string{"", "shared"} {
		e := newFakeEPIC(t)
		objects := append(shopService("u1", key), shopGateway("u2", key))
		if key != "" {
			objects[len(objects)-1].(*gatewayv1.Gateway).Annotations[publish.SharingKeyAnnotation] = "shared-gateway"
		}
		ahead := newClientCluster(t, "paris", e, objects...)
		behind := newClientCluster(t, "paris", e)
		behind.direct = ahead.local
		reconciled(t, services(ahead))
		reconciled(t, gateways(ahead))
		for name, r := range map[string]reconcile.Reconciler{"Service": services(behind), "Gateway": gateways(behind)} {
			if _, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: shopName}); !errors.Is(err, errStale) {
				t.Errorf("%s: the error is %v", name, err)
			}
			// The reconciler tries again soon and reports no error.
			result, err := patient{r}.Reconcile(t.Context(), reconcile.Request{NamespacedName: shopName})
			if err != nil || result.RequeueAfter != conflictDelay {
				t.Errorf("%s: %+v, %v", name, result, err)
			}
		}
		lb, proxy := "u1", "u2"
		if key != "" {
			lb, proxy = "shared", "shared-gateway"
		}
		if got := e.published(t, lb); got != "[paris] [paris]" {
			t.Errorf("EPIC has %s", got)
		}
		if _, ok := e.proxy(t, proxy); !ok {
			t.Error("the proxy was deleted")
		}
	}
}

// An object made under another sharing key, or for an earlier object of the name, is removed
// once the one that is now wanted exists.
func TestAnotherSharingKey(t *testing.T) {
	e := newFakeEPIC(t)
	b := newClientCluster(t, "paris", e, append(shopService("u1", "first"), shopGateway("u2", "first-gateway"))...)
	// Another cluster shares them, and keeps them.
	rome := newClientCluster(t, "rome", e, append(shopService("u3", "second"), shopGateway("u4", "second-gateway"))...)
	reconciled(t, services(rome))
	reconciled(t, gateways(rome))
	for _, keys := range []string{"first", "second", ""} {
		for _, o := range []client.Object{&corev1.Service{}, &gatewayv1.Gateway{}} {
			name := shopName
			if err := b.local.Get(t.Context(), name, o); err != nil {
				t.Fatal(err)
			}
			key := keys
			if _, ok := o.(*gatewayv1.Gateway); ok && keys != "" {
				key += "-gateway"
			}
			o.SetAnnotations(map[string]string{publish.SharingKeyAnnotation: key})
			if key == "" {
				o.SetAnnotations(nil)
			}
			if err := b.local.Update(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
		reconciled(t, services(b))
		reconciled(t, gateways(b))
	}
	for name, want := range map[string]string{"first": "[]", "second": "[rome]", "u1": "[paris]"} {
		if lb, _ := read(t, e, account, name, &epicv1.LoadBalancer{}); fmt.Sprint(lb.Spec.UpstreamClusters) != want {
			t.Errorf("the load balancer %s has %v, want %s", name, lb.Spec.UpstreamClusters, want)
		}
	}
	for name, b := range map[string]*base{"first": b, "second": b, "u1": rome} {
		if left, err := services(b).endpoints(t.Context(), name); err != nil || len(left) > 0 {
			t.Errorf("%d endpoints are left in %s, %v", len(left), name, err)
		}
	}
	for name, want := range map[string]bool{"first-gateway": false, "second-gateway": true, "u2": true} {
		if _, ok := e.proxy(t, name); ok != want {
			t.Errorf("the proxy %s is there: %t", name, ok)
		}
	}
	if shared, _ := e.proxy(t, "second-gateway"); len(owners(shared)) != 1 {
		t.Errorf("the owners of the shared proxy are %v", owners(shared))
	}
}

// Two client clusters that were given one name, by one manifest applied twice, leave each
// other's objects alone.
func TestNamesakes(t *testing.T) {
	e := newFakeEPIC(t)
	named := func(uid string, objects ...client.Object) *base {
		b := newClientCluster(t, "paris", e, objects...)
		b.options.ClusterUID = uid
		b.remote = newRemote(e, e, e, b.options)
		return b
	}
	first, second := named("a", append(shopService("u1", ""), shopGateway("u2", ""))...), named("b")
	reconciled(t, services(first))
	reconciled(t, gateways(first))
	reconciled(t, services(second))
	reconciled(t, gateways(second))
	if got := e.published(t, "u1"); got != "[paris] [paris]" {
		t.Errorf("EPIC has %s", got)
	}
	if _, ok := e.proxy(t, "u2"); !ok {
		t.Error("the other cluster's proxy was deleted")
	}
	// Unless one of them replaces the other.
	second.options.FormerClusters = []string{"paris"}
	second.remote = newRemote(e, e, e, second.options)
	reconciled(t, gateways(second))
	if _, ok := e.proxy(t, "u2"); ok {
		t.Error("the former cluster's proxy is left")
	}
}

// A status of an object that was deleted in the meantime is not reported as an error.
func TestStatusOfWhatIsGone(t *testing.T) {
	b := newClientCluster(t, "paris", newFakeEPIC(t))
	gone := shopGateway("u1", "")
	after := gone.DeepCopy()
	after.Status.Addresses = []gatewayv1.GatewayStatusAddress{{Value: "192.0.2.1"}}
	if err := b.writeStatus(t.Context(), gone, after); err != nil {
		t.Error(err)
	}
}
