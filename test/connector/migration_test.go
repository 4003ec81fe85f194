// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
	"github.com/acnodal/epic/test/tools/published"
)

// pureCluster is how PureGW and PureLB call the client cluster.
const pureCluster = "3c4f4b5e-0d3b-4c5e-8a27-6f0a2f2c9a10"

// shop is what a tenant has in a namespace: a Gateway of a class with a route to a Service.
type shop struct {
	gateway *gatewayv1.Gateway
	route   *gatewayv1.HTTPRoute
	service *corev1.Service
	slice   *discoveryv1.EndpointSlice
}

func (w *world) shop(t *testing.T, namespace, class string) *shop {
	t.Helper()
	must(t, w.tenants.namespace(t.Context(), namespace))
	s := &shop{
		gateway: &gatewayv1.Gateway{ObjectMeta: objectMeta(namespace, "gateway"), Spec: gatewayv1.GatewaySpec{
			GatewayClassName: gatewayv1.ObjectName(class), Listeners: []gatewayv1.Listener{
				{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType}, {Name: "more", Port: 81, Protocol: gatewayv1.HTTPProtocolType},
			},
		}},
		route:   &gatewayv1.HTTPRoute{ObjectMeta: objectMeta(namespace, "route")},
		service: &corev1.Service{ObjectMeta: objectMeta(namespace, "shop"), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}}}},
		slice: &discoveryv1.EndpointSlice{
			ObjectMeta: objectMeta(namespace, "shop-1"), AddressType: discoveryv1.AddressTypeIPv4,
			Ports:     []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](8080)}},
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.1.1.1"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}}},
		},
	}
	s.slice.Labels = map[string]string{discoveryv1.LabelServiceName: "shop"}
	s.route.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "gateway"}}
	s.route.Spec.Rules = []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: gatewayv1.BackendRef{
		BackendObjectReference: gatewayv1.BackendObjectReference{Name: "shop", Port: ptr.To[gatewayv1.PortNumber](80)},
	}}}}}
	for _, o := range s.objects() {
		must(t, w.tenants.admin.Create(t.Context(), o))
	}
	t.Cleanup(func() {
		for _, o := range s.objects() {
			_ = w.tenants.admin.Delete(context.Background(), o)
		}
	})
	return s
}

func (s *shop) objects() []client.Object {
	return []client.Object{s.service, s.slice, s.gateway, s.route}
}

// pureRef is how PureGW names a local object.
func pureRef(o client.Object) epicv1.ClientRef {
	return epicv1.ClientRef{ClusterID: pureCluster, Namespace: o.GetNamespace(), Name: o.GetName(), UID: string(o.GetUID())}
}

// publishAsPureGW creates what the web-service creates for PureGW: no labels of a cluster,
// and names that are the UIDs of the local objects.
func (w *world) publishAsPureGW(t *testing.T, namespace string, s *shop) *epicv1.GWProxy {
	t.Helper()
	proxy := &epicv1.GWProxy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: string(s.gateway.UID), Labels: map[string]string{
		epic.OwningAccountLabel: strings.TrimPrefix(namespace, "epic-"), epic.OwningLBServiceGroupLabel: "web", epic.OwningServicePrefixLabel: "pool",
	}}}
	proxy.Spec.ClientRef, proxy.Spec.DisplayName = pureRef(s.gateway), s.gateway.Name
	proxy.Spec.PublicPorts = []epicv1.ServicePort{{Port: 80, Protocol: "TCP"}, {Port: 81, Protocol: "TCP"}}
	proxy.Spec.Gateway = &epicv1.GatewaySpec{GatewaySpec: *s.gateway.Spec.DeepCopy()}
	route := &epicv1.GWRoute{ObjectMeta: objectMeta(namespace, string(s.route.UID))}
	route.Spec.ClientRef = pureRef(s.route)
	route.Spec.HTTP = &epicv1.HTTPRouteSpec{HTTPRouteSpec: *s.route.Spec.DeepCopy()}
	route.Spec.HTTP.ParentRefs[0].Name = gatewayv1.ObjectName(s.gateway.UID)
	route.Spec.HTTP.Rules[0].BackendRefs[0].Name = gatewayv1.ObjectName(s.service.UID)
	slice := &epicv1.GWEndpointSlice{ObjectMeta: objectMeta(namespace, string(s.slice.UID))}
	slice.Spec.ClientRef, slice.Spec.ParentRef, slice.Spec.NodeAddresses = pureRef(s.slice), pureRef(s.service), map[string]string{"node-1": "192.168.1.16"}
	slice.Spec.AddressType, slice.Spec.Endpoints, slice.Spec.Ports = s.slice.AddressType, s.slice.Endpoints, s.slice.Ports
	for _, o := range []client.Object{proxy, route, slice} {
		must(t, w.gateway.admin.Create(t.Context(), o))
	}
	return proxy
}

// TestMigrationFromPureGW follows docs/migration.md: the Gateway keeps its proxy, and so its
// address, and what PureGW published is the connector's afterwards.
func TestMigrationFromPureGW(t *testing.T) {
	w := clusters(t)
	ctx, namespace := t.Context(), w.account(t, "puregw")
	s := w.shop(t, "puregw", "puregw")
	must(t, update(ctx, w.tenants.admin, s.gateway, func() { s.gateway.Finalizers = []string{"puregw.epic-gateway.org/manager"} }))
	before := w.publishAsPureGW(t, namespace, s)
	r := w.newReplica(t, "puregw", "paris", "from-puregw", "--leader-elect=false")
	w.started(t, r)

	// PureGW is stopped: its finalizer goes, and the Gateway gets the other class.
	must(t, update(ctx, w.tenants.admin, s.gateway, func() {
		s.gateway.Finalizers, s.gateway.Spec.GatewayClassName = slices.DeleteFunc(s.gateway.Finalizers, func(f string) bool {
			return strings.HasPrefix(f, "puregw.")
		}), "epic"
	}))
	o := w.site(namespace, "paris")
	eventually(t, settle, "after the migration", func() error { return o.Compare(ctx) })
	w.same(t, before)

	// What the web-service wrote does not stay where the Gateway no longer has it.
	must(t, update(ctx, w.tenants.admin, s.gateway, func() { s.gateway.Spec.Listeners = s.gateway.Spec.Listeners[:1] }))
	eventually(t, settle, "after a change", func() error { return o.Compare(ctx) })
	w.same(t, before)

	must(t, w.tenants.admin.Delete(ctx, s.gateway))
	eventually(t, settle, "after the deletion", func() error { return o.Compare(ctx) })
}

// same fails unless a proxy is still the same object with the same address.
func (w *world) same(t *testing.T, before *epicv1.GWProxy) {
	t.Helper()
	now := &epicv1.GWProxy{}
	must(t, w.gateway.admin.Get(t.Context(), client.ObjectKeyFromObject(before), now))
	if now.UID != before.UID || now.Spec.PublicAddress != before.Spec.PublicAddress {
		t.Errorf("the proxy %s with %s became %s with %s", before.UID, before.Spec.PublicAddress, now.UID, now.Spec.PublicAddress)
	}
}

// TestMigrationFromPureLB follows docs/migration.md: the Service keeps its load balancer, and
// so its address, and there is an endpoint all the time.
func TestMigrationFromPureLB(t *testing.T) {
	w := clusters(t)
	ctx, namespace := t.Context(), w.account(t, "purelb")
	etcd := w.etcdClient(t)
	s := w.shop(t, "purelb", "none")
	must(t, update(ctx, w.tenants.admin, s.service, func() { s.service.Spec.Type = corev1.ServiceTypeLoadBalancer }))

	// What the web-service creates for PureLB.
	lb := &epicv1.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web-shop", Labels: map[string]string{
		epic.OwningAccountLabel: "purelb", epic.OwningLBServiceGroupLabel: "web",
	}}}
	lb.Spec.DisplayName, lb.Spec.UpstreamClusters = "shop", []string{pureCluster}
	lb.Spec.PublicPorts = []epicv1.ServicePort{{Name: "http", Port: 80, Protocol: "TCP"}}
	must(t, w.gateway.admin.Create(ctx, lb))
	endpoint := &epicv1.RemoteEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "10-1-1-1-8080-tcp-0123456789abcdef", Labels: map[string]string{
		epic.OwningLoadBalancerLabel: lb.Name,
	}}}
	endpoint.Spec = epicv1.RemoteEndpointSpec{Cluster: pureCluster, Address: "10.1.1.1", Port: epicv1.EndpointPort{Port: 8080, Protocol: "TCP"}}
	must(t, w.gateway.admin.Create(ctx, endpoint))
	from := revision(t, etcd)

	r := w.newReplica(t, "purelb", "paris", "from-purelb", "--former-clusters="+pureCluster, "--leader-elect=false")
	w.started(t, r)
	// PureLB is stopped. A class can be set only with the type.
	must(t, update(ctx, w.tenants.admin, s.service, func() {
		s.service.Annotations = map[string]string{publish.SharingKeyAnnotation: lb.Name, publish.ServiceGroupAnnotation: "web"}
		s.service.Spec.Type = corev1.ServiceTypeClusterIP
		s.service.Spec.Ports[0].NodePort = 0
	}))
	must(t, update(ctx, w.tenants.admin, s.service, func() {
		s.service.Spec.Type, s.service.Spec.LoadBalancerClass = corev1.ServiceTypeLoadBalancer, ptr.To(publish.LoadBalancerClass)
	}))
	o := w.site(namespace, "paris")
	eventually(t, settle, "after the migration", func() error {
		if err := o.Compare(ctx); err != nil {
			return err
		}
		return w.gone(ctx, endpoint)
	})
	now := &epicv1.LoadBalancer{}
	must(t, w.gateway.admin.Get(ctx, client.ObjectKeyFromObject(lb), now))
	if now.UID != lb.UID || now.Spec.PublicAddress != lb.Spec.PublicAddress || !slices.Equal(now.Spec.UpstreamClusters, []string{"paris"}) {
		t.Errorf("the load balancer %s with %s became %s with %s and the clusters %v", lb.UID, lb.Spec.PublicAddress, now.UID, now.Spec.PublicAddress, now.Spec.UpstreamClusters)
	}
	w.alwaysSome(t, etcd, from, epicFolder+"remoteendpoints/"+namespace+"/", 1)

	must(t, w.tenants.admin.Delete(ctx, s.service))
	eventually(t, settle, "after the deletion", func() error {
		left, err := w.remote(ctx, namespace)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%d objects are left", len(left))
		}
		return err
	})
}

// gone returns an error while an object is in EPIC.
func (w *world) gone(ctx context.Context, o client.Object) error {
	err := w.gateway.admin.Get(ctx, client.ObjectKeyFromObject(o), o)
	if err == nil {
		return fmt.Errorf("%s still exists", published.Key(o))
	}
	return client.IgnoreNotFound(err)
}

// alwaysSome fails if at any revision there was no object below a prefix, of which there
// were some at the first.
func (w *world) alwaysSome(t *testing.T, etcd *clientv3.Client, from int64, prefix string, count int) {
	t.Helper()
	for _, e := range history(t, etcd, from+1) {
		if !strings.HasPrefix(string(e.Kv.Key), prefix) {
			continue
		}
		if e.Type == mvccpb.DELETE {
			count--
		} else if e.IsCreate() {
			count++
		}
		if count < 1 {
			t.Errorf("revision %d left nothing below %s", e.Kv.ModRevision, prefix)
		}
	}
}

// TestRename gives a client cluster another name: everything stays what it was, under the
// new name.
func TestRename(t *testing.T) {
	w := clusters(t)
	ctx, namespace := t.Context(), w.account(t, "rename")
	s, shared := w.shop(t, "rename", "epic"), w.shop(t, "rename-shared", "epic")
	for _, o := range []client.Object{shared.gateway, s.service, shared.service} {
		must(t, update(ctx, w.tenants.admin, o, func() {
			if o != client.Object(s.service) {
				o.SetAnnotations(map[string]string{publish.SharingKeyAnnotation: "both"})
			}
			if service, ok := o.(*corev1.Service); ok {
				service.Spec.Type, service.Spec.LoadBalancerClass = corev1.ServiceTypeLoadBalancer, ptr.To(publish.LoadBalancerClass)
			}
		}))
	}
	old := w.newReplica(t, "rename", "old", "old-name", "--leader-elect=false")
	w.started(t, old)
	eventually(t, settle, "under the old name", func() error { return w.site(namespace, "old").Compare(ctx) })
	before, err := w.remote(ctx, namespace)
	must(t, err)
	old.Kill()

	// Without a word about the old name, nothing is touched.
	plain := w.newReplica(t, "rename", "new", "new-name-alone", "--leader-elect=false")
	w.started(t, plain)
	eventually(t, settle, "an event about the other name", func() error {
		return w.eventWith(ctx, "rename", "gateway", "--former-clusters=old")
	})
	for name, o := range before {
		now, ok := o.DeepCopyObject().(client.Object)
		if !ok {
			t.Fatalf("%T is not an object", o)
		}
		must(t, w.gateway.admin.Get(ctx, client.ObjectKeyFromObject(o), now))
		if now.GetLabels()[epic.OwningClusterLabel] != "old" {
			t.Errorf("%s was taken from the cluster of another name", name)
		}
	}
	plain.Kill()

	renamed := w.newReplica(t, "rename", "new", "new-name", "--former-clusters=old", "--leader-elect=false")
	w.started(t, renamed)
	o := w.site(namespace, "new")
	eventually(t, settle, "under the new name", func() error {
		if err := o.Compare(ctx); err != nil {
			return err
		}
		left, err := w.remote(ctx, namespace, client.MatchingLabels{epic.OwningClusterLabel: "old"})
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%d objects have the old name", len(left))
		}
		return err
	})
	for name, o := range before {
		if published.Kind(o) == "RemoteEndpoint" {
			// These have the cluster's name in their own.
			continue
		}
		now, ok := o.DeepCopyObject().(client.Object)
		if !ok {
			t.Fatalf("%T is not an object", o)
		}
		must(t, w.gateway.admin.Get(ctx, client.ObjectKeyFromObject(o), now))
		if now.GetUID() != o.GetUID() {
			t.Errorf("%s is another object than before", name)
		}
		for annotation := range now.GetAnnotations() {
			if annotation == epic.OwnerAnnotation("old") {
				t.Errorf("%s is owned by the old name", name)
			}
		}
	}
	for _, all := range []*shop{s, shared} {
		for _, o := range all.objects() {
			must(t, w.tenants.admin.Delete(ctx, o))
		}
	}
	eventually(t, settle, "in the end", func() error {
		left, err := w.remote(ctx, namespace)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%d objects are left", len(left))
		}
		return err
	})
}

// TestUpgrade replaces both replicas, one after the other, as a Deployment does: nothing is
// written during that unless it changed, and a later change is published soon.
func TestUpgrade(t *testing.T) {
	w := clusters(t)
	ctx, namespace := t.Context(), w.account(t, "upgrade")
	etcd := w.etcdClient(t)
	s := w.shop(t, "upgrade", "epic")
	o := w.site(namespace, "paris")
	running := []*replica{w.newReplica(t, "upgrade", "paris", "before-a"), w.newReplica(t, "upgrade", "paris", "before-b")}
	for _, r := range running {
		w.started(t, r)
	}
	eventually(t, settle, "before the upgrade", func() error { return o.Compare(ctx) })
	from := revision(t, etcd)
	for i, r := range running {
		next := w.newReplica(t, "upgrade", "paris", fmt.Sprintf("after-%d", i))
		w.started(t, next)
		if !r.Stop(30 * time.Second) {
			t.Errorf("%s did not end by itself: %s", r.Name, r.Tail(1000))
		}
	}
	for _, plural := range []string{"gwproxies", "gwroutes", "gwendpointslices"} {
		all, err := etcd.Get(ctx, epicFolder+plural+"/"+namespace+"/", clientv3.WithPrefix())
		must(t, err)
		for _, kv := range all.Kvs {
			if kv.ModRevision > from {
				t.Errorf("%s was written although nothing changed", kv.Key)
			}
		}
		if len(all.Kvs) != 1 {
			t.Errorf("there are %d %s", len(all.Kvs), plural)
		}
	}
	must(t, update(ctx, w.tenants.admin, s.route, func() { s.route.Spec.Hostnames = []gatewayv1.Hostname{"after.example.com"} }))
	eventually(t, settle, "after the upgrade", func() error { return o.Compare(ctx) })
}
