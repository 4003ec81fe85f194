// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
)

func services(b *base) *serviceReconciler { return &serviceReconciler{b, newRefused("Service")} }

// shopService is a Service of the connector's class with an endpoint on a node.
func shopService(uid, key string) []client.Object {
	service := &corev1.Service{ObjectMeta: shopMeta(uid, key), Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: ptr.To(publish.LoadBalancerClass),
		Ports: []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(8080)}},
	}}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node"}, Status: corev1.NodeStatus{
		Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.168.1.16"}},
	}}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: shopName.Namespace, Name: "shop-1", UID: types.UID(uid + "-slice"),
			Labels: map[string]string{discoveryv1.LabelServiceName: shopName.Name},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{"10.1.1.1"}, NodeName: ptr.To("node"), Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
		}},
		Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](8080), Protocol: ptr.To(corev1.ProtocolTCP)}},
	}
	return []client.Object{service, node, slice}
}

func (b *base) service(t *testing.T) (*corev1.Service, bool) {
	t.Helper()
	return read(t, b.local, shopName.Namespace, shopName.Name, &corev1.Service{})
}

// published is the clusters of a load balancer, and those of its endpoints; nothing if it
// is not there.
func (e *fakeEPIC) published(t *testing.T, name string) string {
	t.Helper()
	lb, ok := read(t, e, account, name, &epicv1.LoadBalancer{})
	var all epicv1.RemoteEndpointList
	if err := e.List(t.Context(), &all, client.InNamespace(account)); err != nil {
		t.Fatal(err)
	}
	var clusters []string
	for i := range all.Items {
		clusters = append(clusters, all.Items[i].Spec.Cluster)
	}
	slices.Sort(clusters)
	if !ok && len(clusters) == 0 {
		return ""
	}
	return fmt.Sprint(lb.Spec.UpstreamClusters, clusters)
}

// A Service is held until its load balancer is gone, and neither goes while EPIC is away.
func TestServiceIsHeld(t *testing.T) {
	e := newFakeEPIC(t)
	b := newClientCluster(t, "paris", e, shopService("u1", "")...)
	r := services(b)
	unreachable(t, r, e)
	reconciled(t, r)
	service, _ := b.service(t)
	if !controllerutil.ContainsFinalizer(service, publish.Finalizer) {
		t.Errorf("The Service has the finalizers %v", service.Finalizers)
	}
	if got := e.published(t, "u1"); got != "[paris] [paris]" {
		t.Fatalf("EPIC has %s", got)
	}
	deleteShop(t, b, &corev1.Service{})
	unreachable(t, r, e)
	if service, ok := b.service(t); !ok || !controllerutil.ContainsFinalizer(service, publish.Finalizer) {
		t.Error("The Service went before its load balancer")
	}
	if got := e.published(t, "u1"); got != "[paris] [paris]" {
		t.Errorf("EPIC was away, and has %s", got)
	}
	reconciled(t, r)
	if got := e.published(t, "u1"); got != "" {
		t.Errorf("EPIC has %s left", got)
	}
	if _, ok := b.service(t); ok {
		t.Error("The Service is held")
	}
}

// A Service that gets another class is withdrawn, and let go.
func TestServiceOfAnotherType(t *testing.T) {
	e := newFakeEPIC(t)
	b := newClientCluster(t, "paris", e, shopService("u1", "")...)
	reconciled(t, services(b))
	service, _ := b.service(t)
	service.Spec.Type, service.Spec.LoadBalancerClass = corev1.ServiceTypeClusterIP, nil
	if err := b.local.Update(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	reconciled(t, services(b))
	if got := e.published(t, "u1"); got != "" {
		t.Errorf("EPIC has %s left", got)
	}
	if service, ok := b.service(t); !ok || len(service.Finalizers) > 0 {
		t.Errorf("The Service is there: %v, with the finalizers %v", ok, service.Finalizers)
	}
}

// Clusters that share a load balancer leave it one by one; the last deletes it.
func TestSharedServices(t *testing.T) {
	for _, order := range [][]string{{"paris", "rome"}, {"rome", "paris"}} {
		t.Run(strings.Join(order, ", "), func(t *testing.T) {
			e := newFakeEPIC(t)
			clusters := map[string]*base{
				"paris": newClientCluster(t, "paris", e, shopService("u1", "shared")...),
				"rome":  newClientCluster(t, "rome", e, shopService("u2", "shared")...),
			}
			want := func(want string) {
				t.Helper()
				if got := e.published(t, "shared"); got != want {
					t.Errorf("EPIC has %q, want %q", got, want)
				}
			}
			reconciled(t, services(clusters["paris"]))
			reconciled(t, services(clusters["rome"]))
			want("[paris rome] [paris rome]")
			deleteShop(t, clusters[order[0]], &corev1.Service{})
			reconciled(t, services(clusters[order[0]]))
			want(fmt.Sprintf("[%[1]s] [%[1]s]", order[1]))
			if _, ok := clusters[order[0]].service(t); ok {
				t.Error("The first Service is held")
			}
			deleteShop(t, clusters[order[1]], &corev1.Service{})
			reconciled(t, services(clusters[order[1]]))
			want("")
			if _, ok := clusters[order[1]].service(t); ok {
				t.Error("The last Service is held")
			}
		})
	}
}

// When the cluster that made a shared load balancer leaves it, the first of the others
// decides its ports.
func TestSharedServiceIsSucceeded(t *testing.T) {
	e := newFakeEPIC(t)
	cluster := func(name, uid string, port int32) *serviceReconciler {
		objects := shopService(uid, "shared")
		objects[0].(*corev1.Service).Spec.Ports[0].Port = port
		return services(newClientCluster(t, name, e, objects...))
	}
	paris, oslo, rome := cluster("paris", "u1", 80), cluster("oslo", "u2", 81), cluster("rome", "u3", 82)
	want := func(when, maker string, port int32, clusters ...string) {
		t.Helper()
		lb, ok := read(t, e, account, "shared", &epicv1.LoadBalancer{})
		slices.Sort(lb.Spec.UpstreamClusters)
		if !ok || lb.Labels[epic.OwningClusterLabel] != maker || lb.Spec.PublicPorts[0].Port != port || !slices.Equal(lb.Spec.UpstreamClusters, clusters) {
			t.Errorf("%s: there: %v, %+v", when, ok, lb)
		}
	}
	for _, r := range []*serviceReconciler{paris, rome, oslo, rome} {
		reconciled(t, r)
	}
	want("while the maker is there", "paris", 80, "oslo", "paris", "rome")
	deleteShop(t, paris.base, &corev1.Service{})
	reconciled(t, paris)
	reconciled(t, rome)
	want("the second is not asked", "paris", 80, "oslo", "rome")
	reconciled(t, oslo)
	reconciled(t, rome)
	want("the first succeeds", "oslo", 81, "oslo", "rome")
	deleteShop(t, oslo.base, &corev1.Service{})
	reconciled(t, oslo)
	reconciled(t, rome)
	want("the last succeeds", "rome", 82, "rome")
	deleteShop(t, rome.base, &corev1.Service{})
	reconciled(t, rome)
	if got := e.published(t, "shared"); got != "" {
		t.Errorf("EPIC has %s left", got)
	}
}

// A name that another cluster has is refused, and its load balancer is not touched.
func TestServiceOfAnotherCluster(t *testing.T) {
	e := newFakeEPIC(t)
	paris, rome := newClientCluster(t, "paris", e, shopService("u1", "")...), newClientCluster(t, "rome", e, shopService("u1", "")...)
	reconciled(t, services(paris))
	reconciled(t, services(rome))
	if got := e.published(t, "u1"); got != "[paris] [paris]" {
		t.Errorf("EPIC has %s", got)
	}
	deleteShop(t, rome, &corev1.Service{})
	reconciled(t, services(rome))
	if got := e.published(t, "u1"); got != "[paris] [paris]" {
		t.Errorf("EPIC has %s", got)
	}
	if _, ok := rome.service(t); ok {
		t.Error("The Service is held")
	}
}
