// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
)

// errAway is what every write gets while EPIC is away.
var errAway = errors.New("connection refused")

// fakeEPIC is an EPIC in memory that can be away: writes fail then, and reads come from
// caches that have what was there.
type fakeEPIC struct {
	client.WithWatch
	away bool
}

func newFakeEPIC(t *testing.T) *fakeEPIC {
	t.Helper()
	e := &fakeEPIC{}
	e.WithWatch = indexed(t, remoteIndexes(), interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, o applied, opts ...client.ApplyOption) error {
			if e.away {
				return errAway
			}
			return c.Apply(ctx, o, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if e.away {
				return errAway
			}
			return c.Patch(ctx, o, p, opts...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			if e.away {
				return errAway
			}
			return c.Delete(ctx, o, opts...)
		},
	}, &epicv1.LBServiceGroup{ObjectMeta: metav1.ObjectMeta{Namespace: account, Name: "web"}})
	return e
}

// indexed is a cluster in memory.
func indexed(t *testing.T, indexes []index, funcs interceptor.Funcs, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(funcs).WithStatusSubresource(
		&gatewayv1.GatewayClass{}, &gatewayv1.Gateway{}, &gatewayv1.ListenerSet{}, &gatewayv1.HTTPRoute{}, &corev1.Service{})
	for _, i := range indexes {
		builder = builder.WithIndex(i.object, i.name, i.keys)
	}
	return builder.Build()
}

// newClientCluster is a client cluster with the connector's GatewayClass.
func newClientCluster(t *testing.T, name string, e *fakeEPIC, objects ...client.Object) *base {
	t.Helper()
	class := &gatewayv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: "epic"}, Spec: gatewayv1.GatewayClassSpec{ControllerName: publish.ControllerName}}
	options := Options{Cluster: name, Namespace: account, Secrets: &recorder{}}
	local := indexed(t, localIndexes(), interceptor.Funcs{}, append(objects, class, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}})...)
	return &base{
		options:  options,
		local:    local,
		direct:   local,
		epic:     e,
		remote:   newRemote(e, e, e, options),
		secrets:  newSecretKeeper(&recorder{}, name, e),
		recorder: events.NewFakeRecorder(100),
	}
}

var shopName = types.NamespacedName{Namespace: "shop", Name: "shop"}

func shopMeta(uid, key string) metav1.ObjectMeta {
	meta := metav1.ObjectMeta{Namespace: shopName.Namespace, Name: shopName.Name, UID: types.UID(uid), Generation: 1}
	if key != "" {
		meta.Annotations = map[string]string{publish.SharingKeyAnnotation: key}
	}
	return meta
}

func shopGateway(uid, key string) *gatewayv1.Gateway {
	return &gatewayv1.Gateway{
		ObjectMeta: shopMeta(uid, key),
		Spec: gatewayv1.GatewaySpec{GatewayClassName: "epic", Listeners: []gatewayv1.Listener{
			{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType},
		}},
	}
}

// reconciled works on the shop of a cluster, as often as events would have it.
func reconciled(t *testing.T, r reconcile.Reconciler) {
	t.Helper()
	for range 3 {
		if _, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: shopName}); err != nil {
			t.Fatal(err)
		}
	}
}

// unreachable works on the shop while EPIC is away.
func unreachable(t *testing.T, r reconcile.Reconciler, e *fakeEPIC) {
	t.Helper()
	e.away = true
	defer func() { e.away = false }()
	if _, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: shopName}); !errors.Is(err, errAway) {
		t.Fatalf("The error is %v", err)
	}
}

// read reads an object, and reports whether it is there.
func read[O client.Object](t *testing.T, from client.Reader, namespace, name string, o O) (O, bool) {
	t.Helper()
	err := from.Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: name}, o)
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	return o, err == nil
}

func deleteShop(t *testing.T, b *base, o client.Object) {
	t.Helper()
	o.SetNamespace(shopName.Namespace)
	o.SetName(shopName.Name)
	if err := b.local.Delete(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}
