// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// View is a uniform view of an object of either kind for the rules.
type View struct {
	Kind, Resource string
	Meta           *metav1.ObjectMeta
	Status         *epic.ProxyStatus

	DisplayName   string
	PublicAddress *string
	// AltAddress is nil for kinds that have none.
	AltAddress    *string
	EnvoyTemplate **epic.EnvoyConfigSpec
	ReplicaCount  **int32
	Edge          **epic.EdgeSpec
	Endpoints     *[]epic.DNSEndpoint
	// ClientNamespace is the namespace of the tenant's own object.
	ClientNamespace string
	// ServiceGroup is the field that repeats the group's label, or nil.
	ServiceGroup *string
	// ServiceID is nil for kinds that have none.
	ServiceID *int32
}

// LoadBalancer returns the view of a load balancer.
func LoadBalancer(o *epic.LoadBalancer) View {
	return View{
		Kind: "LoadBalancer", Resource: epic.ResourceLoadBalancers,
		Meta: &o.ObjectMeta, Status: &o.Status,
		DisplayName: o.Spec.DisplayName, PublicAddress: &o.Spec.PublicAddress,
		EnvoyTemplate: &o.Spec.EnvoyTemplate, ReplicaCount: &o.Spec.EnvoyReplicaCount, Edge: &o.Spec.Edge,
		Endpoints: &o.Spec.Endpoints, ServiceGroup: &o.Spec.ServiceGroup, ServiceID: &o.Spec.ServiceID,
	}
}

// GWProxy returns the view of a gateway proxy.
func GWProxy(o *epic.GWProxy) View {
	return View{
		Kind: "GWProxy", Resource: epic.ResourceGWProxies,
		Meta: &o.ObjectMeta, Status: &o.Status,
		DisplayName: o.Spec.DisplayName, PublicAddress: &o.Spec.PublicAddress, AltAddress: &o.Spec.AltAddress,
		EnvoyTemplate: &o.Spec.EnvoyTemplate, ReplicaCount: &o.Spec.EnvoyReplicaCount, Edge: &o.Spec.Edge,
		Endpoints: &o.Spec.Endpoints, ClientNamespace: o.Spec.ClientRef.Namespace,
	}
}

// viewOf returns the view of an object of either kind.
func viewOf(obj runtime.Object) View {
	if lb, ok := obj.(*epic.LoadBalancer); ok {
		return LoadBalancer(lb)
	}
	return GWProxy(obj.(*epic.GWProxy))
}

// displayName returns the name by which people know the service, or the object's own name
// as a DNS label if it has no display name.
func (v View) displayName() string {
	if v.DisplayName != "" {
		return v.DisplayName
	}
	return epic.NameLabel(v.Meta.Name)
}

// altAddress returns the alternate address, or "" for kinds that have none.
func (v View) altAddress() string {
	if v.AltAddress == nil {
		return ""
	}
	return *v.AltAddress
}

// groupName returns the service group that the object names, by its label or field.
func (v View) groupName() string {
	if name := v.Meta.Labels[epic.OwningLBServiceGroupLabel]; name != "" || v.ServiceGroup == nil {
		return name
	}
	return *v.ServiceGroup
}

// groupPath returns the field in which a caller names the group.
func (v View) groupPath() *field.Path {
	if v.ServiceGroup != nil {
		return spec.Child("service-group")
	}
	return field.NewPath("metadata", "labels").Key(epic.OwningLBServiceGroupLabel)
}

var spec = field.NewPath("spec")

// Copies returns the fields of the spec that v1 shows as copies of the status, which
// no write can set.
func Copies() []fieldpath.Path {
	return []fieldpath.Path{
		fieldpath.MakePathOrDie("spec", "gue-tunnel-endpoints"),
		fieldpath.MakePathOrDie("spec", "proxy-if-info"),
	}
}
