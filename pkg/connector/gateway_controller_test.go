// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	certutil "k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
)

func gateways(b *base) *gatewayReconciler { return &gatewayReconciler{b, newRefused("Gateway")} }

func (b *base) gateway(t *testing.T) (*gatewayv1.Gateway, bool) {
	t.Helper()
	return read(t, b.local, shopName.Namespace, shopName.Name, &gatewayv1.Gateway{})
}

func (e *fakeEPIC) proxy(t *testing.T, name string) (*epicv1.GWProxy, bool) {
	t.Helper()
	return read(t, e, account, name, &epicv1.GWProxy{})
}

// A Gateway is held until its proxy is gone, and neither goes while EPIC is away.
func TestGatewayIsHeld(t *testing.T) {
	e := newFakeEPIC(t)
	b := newClientCluster(t, "paris", e, shopGateway("u1", ""))
	r := gateways(b)

	unreachable(t, r, e)
	if gateway, _ := b.gateway(t); len(gateway.Status.Conditions) > 0 {
		t.Errorf("EPIC was away, and the status says %v", gateway.Status.Conditions)
	}
	reconciled(t, r)
	gateway, _ := b.gateway(t)
	if !controllerutil.ContainsFinalizer(gateway, publish.Finalizer) {
		t.Errorf("The Gateway has the finalizers %v", gateway.Finalizers)
	}
	proxy, ok := e.proxy(t, "u1")
	if !ok || proxy.Labels[epic.OwningClusterLabel] != "paris" || proxy.Spec.ClientRef.Name != "shop" {
		t.Fatalf("The proxy is %+v", proxy)
	}
	before := gateway.Status.DeepCopy()

	// Published objects and conditions stay as they are while EPIC is away.
	gateway.Spec.Listeners[0].Port = 81
	if err := b.local.Update(t.Context(), gateway); err != nil {
		t.Fatal(err)
	}
	unreachable(t, r, e)
	gateway, _ = b.gateway(t)
	if len(before.Conditions) == 0 || !slices.Equal(gateway.Status.Conditions, before.Conditions) {
		t.Errorf("The conditions were %v and are %v", before.Conditions, gateway.Status.Conditions)
	}

	deleteShop(t, b, &gatewayv1.Gateway{})
	unreachable(t, r, e)
	if gateway, ok := b.gateway(t); !ok || !controllerutil.ContainsFinalizer(gateway, publish.Finalizer) {
		t.Error("The Gateway went before its proxy")
	}
	if _, ok := e.proxy(t, "u1"); !ok {
		t.Error("The proxy went while EPIC was away")
	}
	reconciled(t, r)
	if _, ok := e.proxy(t, "u1"); ok {
		t.Error("The proxy is left")
	}
	if _, ok := b.gateway(t); ok {
		t.Error("The Gateway is held")
	}
}

// What happened to a Gateway while the connector was away is cleaned up, and objects of
// other clusters with the same names stay.
func TestGatewayGoneUnseen(t *testing.T) {
	e := newFakeEPIC(t)
	paris, rome := newClientCluster(t, "paris", e, shopGateway("u1", "")), newClientCluster(t, "rome", e, shopGateway("u2", ""))
	reconciled(t, gateways(paris))
	reconciled(t, gateways(rome))
	again := newClientCluster(t, "paris", e)
	reconciled(t, gateways(again))
	if _, ok := e.proxy(t, "u1"); ok {
		t.Error("The proxy is left")
	}
	if _, ok := e.proxy(t, "u2"); !ok {
		t.Error("Another cluster's proxy went")
	}
}

// Clusters that share a proxy leave it one by one; the last deletes it.
func TestSharedGateways(t *testing.T) {
	for _, order := range [][]string{{"paris", "rome"}, {"rome", "paris"}} {
		t.Run(strings.Join(order, ", "), func(t *testing.T) {
			e := newFakeEPIC(t)
			clusters := map[string]*base{
				"paris": newClientCluster(t, "paris", e, shopGateway("u1", "shared")),
				"rome":  newClientCluster(t, "rome", e, shopGateway("u2", "shared")),
			}
			want := func(uids ...string) {
				t.Helper()
				proxy, ok := e.proxy(t, "shared")
				if ok != (len(uids) > 0) {
					t.Fatalf("The proxy is there: %v", ok)
				}
				if got := slices.Sorted(maps.Values(owners(proxy))); !slices.Equal(got, uids) {
					t.Errorf("Its owners are %v, want %v", got, uids)
				}
			}
			reconciled(t, gateways(clusters["paris"]))
			want("u1")
			reconciled(t, gateways(clusters["rome"]))
			want("u1", "u2")
			if proxy, _ := e.proxy(t, "shared"); proxy.Labels[epic.OwningClusterLabel] != "paris" {
				t.Errorf("It went over to %s", proxy.Labels[epic.OwningClusterLabel])
			}
			left := map[string]string{"paris": "u2", "rome": "u1"}
			deleteShop(t, clusters[order[0]], &gatewayv1.Gateway{})
			reconciled(t, gateways(clusters[order[0]]))
			want(left[order[0]])
			if _, ok := clusters[order[0]].gateway(t); ok {
				t.Error("The first Gateway is held")
			}
			deleteShop(t, clusters[order[1]], &gatewayv1.Gateway{})
			reconciled(t, gateways(clusters[order[1]]))
			want()
			if _, ok := clusters[order[1]].gateway(t); ok {
				t.Error("The last Gateway is held")
			}
		})
	}
}

// A cluster that joins while the last owner leaves keeps the proxy.
func TestSharedGatewayIsJoinedMeanwhile(t *testing.T) {
	e := newFakeEPIC(t)
	paris, rome := newClientCluster(t, "paris", e, shopGateway("u1", "shared")), newClientCluster(t, "rome", e, shopGateway("u2", "shared"))
	reconciled(t, gateways(paris))
	stale, _ := e.proxy(t, "shared")
	reconciled(t, gateways(rome))
	if _, err := gateways(paris).leave(t.Context(), stale); !apierrors.IsConflict(err) {
		t.Errorf("The error is %v", err)
	}
	if _, ok := e.proxy(t, "shared"); !ok {
		t.Fatal("The proxy that another cluster had joined is gone")
	}
}

// When the cluster that made a shared proxy leaves it, the first of the other owners decides
// what the proxy is: its listeners and its certificates. The former certificates stay until
// the proxy has others, and the address stays throughout.
func TestSharedGatewayIsSucceeded(t *testing.T) {
	e := newFakeEPIC(t)
	cert, key, err := certutil.GenerateSelfSignedCertKey("shop.example.com", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	wrote := &recorder{}
	cluster := func(name, uid string, port gatewayv1.PortNumber) *base {
		gateway := shopGateway(uid, "shared")
		gateway.Spec.Listeners = append(gateway.Spec.Listeners, gatewayv1.Listener{
			Name: "https", Port: port, Protocol: gatewayv1.HTTPSProtocolType,
			TLS: &gatewayv1.ListenerTLSConfig{CertificateRefs: []gatewayv1.SecretObjectReference{{Name: "shop"}}},
		})
		secret := &corev1.Secret{ObjectMeta: shopMeta("secret", ""), Type: corev1.SecretTypeTLS, Data: map[string][]byte{corev1.TLSCertKey: cert, corev1.TLSPrivateKeyKey: key}}
		b := newClientCluster(t, name, e, gateway, secret)
		b.options.ClusterUID = "cluster-" + name
		b.remote = newRemote(e, e, e, b.options)
		b.secrets = newSecretKeeper(wrote, name, e)
		return b
	}
	paris, oslo, rome := gateways(cluster("paris", "u1", 443)), gateways(cluster("oslo", "u2", 8443)), gateways(cluster("rome", "u3", 9443))
	want := func(when, maker string, port gatewayv1.PortNumber, owners int) {
		t.Helper()
		proxy, ok := e.proxy(t, "shared")
		if !ok {
			t.Fatalf("%s: the proxy is gone", when)
		}
		listeners := proxy.Spec.Gateway.Listeners
		if len(listeners) != 2 || listeners[1].Port != port || listeners[1].TLS.CertificateRefs[0].Name != gatewayv1.ObjectName(maker+".secret") {
			t.Errorf("%s: the listeners are %+v", when, listeners)
		}
		n := 0
		for key := range proxy.Annotations {
			if strings.HasPrefix(key, epic.OwnerAnnotationPrefix) {
				n++
			}
		}
		if proxy.Labels[epic.OwningClusterLabel] != maker || proxy.Spec.ClientRef.ClusterID != maker || proxy.Annotations[publish.ClusterUIDKey] != "cluster-"+maker || n != owners {
			t.Errorf("%s: the proxy is %+v with the reference %+v", when, proxy.ObjectMeta, proxy.Spec.ClientRef)
		}
		if proxy.Spec.PublicAddress != "192.0.2.7" {
			t.Errorf("%s: the address is %q", when, proxy.Spec.PublicAddress)
		}
		if slices.Contains(wrote.did, "delete "+maker+".secret") {
			t.Errorf("%s: the certificate is gone: %v", when, wrote.did)
		}
	}
	reconciled(t, paris)
	proxy, _ := e.proxy(t, "shared")
	proxy.Spec.PublicAddress = "192.0.2.7"
	if err := e.Update(t.Context(), proxy); err != nil {
		t.Fatal(err)
	}
	reconciled(t, rome)
	reconciled(t, oslo)
	reconciled(t, rome)
	want("while the maker is there", "paris", 443, 3)

	deleteShop(t, paris.base, &gatewayv1.Gateway{})
	reconciled(t, paris)
	want("after the maker left", "paris", 443, 2)
	if _, ok := paris.gateway(t); ok {
		t.Error("The Gateway of the cluster that left is held")
	}
	reconciled(t, rome)
	want("the second is not asked", "paris", 443, 2)
	// The first of the others takes it over in two writes. The event of the first one starts the
	// cluster that left, too.
	if _, err := oslo.Reconcile(t.Context(), reconcile.Request{NamespacedName: shopName}); err != nil {
		t.Fatal(err)
	}
	reconciled(t, paris)
	if slices.Contains(wrote.did, "delete paris.secret") {
		t.Errorf("The certificate is gone before the proxy has another: %v", wrote.did)
	}
	reconciled(t, oslo)
	reconciled(t, rome)
	want("the first succeeds", "oslo", 8443, 2)
	reconciled(t, paris)
	for range 2 {
		if err := paris.secrets.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Contains(wrote.did, "delete paris.secret") {
		t.Errorf("The certificate that nothing uses is left: %v", wrote.did)
	}

	deleteShop(t, oslo.base, &gatewayv1.Gateway{})
	reconciled(t, oslo)
	reconciled(t, rome)
	want("the last succeeds", "rome", 9443, 1)
	deleteShop(t, rome.base, &gatewayv1.Gateway{})
	reconciled(t, rome)
	if _, ok := e.proxy(t, "shared"); ok {
		t.Error("The proxy is left")
	}
}

// A cluster that is renamed decides what its shared proxy is, before and after, although
// another owner would be the first by name.
func TestSharedGatewayOfARenamedCluster(t *testing.T) {
	e := newFakeEPIC(t)
	reconciled(t, gateways(newClientCluster(t, "paris", e, shopGateway("u1", "shared"))))
	oslo := gateways(newClientCluster(t, "oslo", e, shopGateway("u2", "shared")))
	reconciled(t, oslo)
	renamed := newClientCluster(t, "rome", e, shopGateway("u1", "shared"))
	renamed.options.FormerClusters = []string{"paris"}
	renamed.remote = newRemote(e, e, e, renamed.options)
	for range 3 {
		if _, err := gateways(renamed).Reconcile(t.Context(), reconcile.Request{NamespacedName: shopName}); err != nil {
			t.Fatal(err)
		}
		reconciled(t, oslo)
		proxy, _ := e.proxy(t, "shared")
		if got := slices.Sorted(maps.Values(owners(proxy))); proxy.Labels[epic.OwningClusterLabel] != "rome" || proxy.Spec.ClientRef.ClusterID != "rome" || !slices.Equal(got, []string{"u1", "u2"}) {
			t.Fatalf("The proxy is %+v with the reference %+v", proxy.ObjectMeta, proxy.Spec.ClientRef)
		}
	}
}

// News of a shared proxy reach the Gateway of each cluster, whatever its name.
func TestGatewaysOfProxy(t *testing.T) {
	e := newFakeEPIC(t)
	other := shopGateway("u2", "shared")
	other.Name = "market"
	unconcerned := shopGateway("u3", "")
	paris, rome := newClientCluster(t, "paris", e, shopGateway("u1", "shared")), newClientCluster(t, "rome", e, other, unconcerned)
	reconciled(t, gateways(paris))
	proxy, _ := e.proxy(t, "shared")
	if got := fmt.Sprint(gatewaysOfProxy(paris.view(t.Context()), proxy)); got != "[shop/shop]" {
		t.Errorf("In the cluster that made it: %s", got)
	}
	if got := fmt.Sprint(gatewaysOfProxy(rome.view(t.Context()), proxy)); got != "[shop/shop shop/market]" {
		t.Errorf("In the other cluster: %s", got)
	}
	proxy.Annotations = nil
	if got := fmt.Sprint(gatewaysOfProxy(rome.view(t.Context()), proxy)); got != "[shop/shop]" {
		t.Errorf("Of a proxy that is not shared: %s", got)
	}
}

// A name that another cluster has is refused, and its proxy is not touched.
func TestGatewayOfAnotherCluster(t *testing.T) {
	e := newFakeEPIC(t)
	paris, rome := newClientCluster(t, "paris", e, shopGateway("u1", "")), newClientCluster(t, "rome", e, shopGateway("u1", ""))
	reconciled(t, gateways(paris))
	before, _ := e.proxy(t, "u1")
	reconciled(t, gateways(rome))
	deleteShop(t, rome, &gatewayv1.Gateway{})
	reconciled(t, gateways(rome))
	if after, ok := e.proxy(t, "u1"); !ok || after.ResourceVersion != before.ResourceVersion {
		t.Error("Another cluster's proxy was written")
	}
	if _, ok := rome.gateway(t); ok {
		t.Error("The Gateway is held")
	}
}

// Other controllers' conditions and parents stay.
func TestOnlyOwnStatus(t *testing.T) {
	e := newFakeEPIC(t)
	foreign := metav1.Condition{Type: "example.com/Scanned", Status: metav1.ConditionTrue, Reason: "Scanned", LastTransitionTime: metav1.Now().Rfc3339Copy()}
	gateway := shopGateway("u1", "")
	gateway.Status.Conditions = []metav1.Condition{foreign}
	theirs := gatewayv1.RouteParentStatus{
		ParentRef: gatewayv1.ParentReference{Name: "other"}, ControllerName: "example.com/controller", Conditions: []metav1.Condition{foreign},
	}
	route := &gatewayv1.HTTPRoute{ObjectMeta: shopMeta("r1", "")}
	route.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "shop"}, {Name: "other"}}
	route.Status.Parents = []gatewayv1.RouteParentStatus{theirs}
	b := newClientCluster(t, "paris", e, gateway, route)
	reconciled(t, gateways(b))
	i := slices.IndexFunc(routeKinds, func(k routeKind) bool { return k.kind == publish.HTTPRouteKind })
	routes := &routeReconciler{b, &routeKinds[i], newRefused("HTTPRoute")}
	reconciled(t, routes)

	gateway, _ = b.gateway(t)
	if c := meta.FindStatusCondition(gateway.Status.Conditions, foreign.Type); c == nil || c.Reason != foreign.Reason {
		t.Errorf("Another controller's condition is lost: %v", gateway.Status.Conditions)
	}
	if !meta.IsStatusConditionTrue(gateway.Status.Conditions, string(gatewayv1.GatewayConditionAccepted)) {
		t.Errorf("The Gateway is not accepted: %v", gateway.Status.Conditions)
	}
	route, _ = read(t, b.local, shopName.Namespace, shopName.Name, &gatewayv1.HTTPRoute{})
	own := 0
	for _, p := range route.Status.Parents {
		switch p.ControllerName {
		case publish.ControllerName:
			own++
			if p.ParentRef.Name != "shop" {
				t.Errorf("It wrote about the parent %s", p.ParentRef.Name)
			}
		case theirs.ControllerName:
			if len(p.Conditions) != 1 || p.Conditions[0].Reason != foreign.Reason {
				t.Errorf("Another controller's entry is %+v", p)
			}
		}
	}
	if own != 1 || len(route.Status.Parents) != 2 {
		t.Errorf("The parents are %+v", route.Status.Parents)
	}

	// Nothing is written when nothing changed.
	before := []client.Object{gateway, route}
	for _, r := range []reconcile.Reconciler{gateways(b), routes} {
		reconciled(t, r)
	}
	gateway, _ = b.gateway(t)
	route, _ = read(t, b.local, shopName.Namespace, shopName.Name, &gatewayv1.HTTPRoute{})
	for i, after := range []client.Object{gateway, route} {
		if before[i].GetResourceVersion() != after.GetResourceVersion() {
			t.Errorf("%T was written without a change", after)
		}
	}
}
