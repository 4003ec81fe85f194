// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// Names in objects written by tenants.
const (
	// ControllerName is the controllerName of the GatewayClasses that the connector
	// serves.
	ControllerName = epic.LabelPrefix + "gateway"
	// LoadBalancerClass is the loadBalancerClass of the Services that it serves.
	LoadBalancerClass = epic.LabelPrefix + "lb"
	// GroupKind is the kind in a parametersRef that names a service group of EPIC.
	GroupKind = "LBServiceGroup"
	// ServiceGroupAnnotation on a Service names its service group.
	ServiceGroupAnnotation = epic.LabelPrefix + "service-group"
	// SharingKeyAnnotation on a Gateway or a Service names the gateway proxy or load
	// balancer that it shares with Gateways or Services of the account's other clusters.
	SharingKeyAnnotation = epic.LabelPrefix + "sharing-key"
	// EdgeAnnotation on a Gateway or a Service has the edge settings of its gateway proxy or
	// load balancer, as YAML or JSON.
	EdgeAnnotation = epic.LabelPrefix + "edge"
	// NodeAddressAnnotation on a Node is the address at which its tunnels end, if that is
	// not its first internal IP address.
	NodeAddressAnnotation = epic.LabelPrefix + "node-address"
)

// Names in EPIC's objects written by the connector.
const (
	// CreatedAnnotation on a GWRoute is the creation time of the route in the client
	// cluster. Older routes take precedence.
	CreatedAnnotation = epic.LabelPrefix + "client-created"
	// ClientNamespaceAnnotation and ClientNameAnnotation name the object of the client
	// cluster from which a Secret was copied, or the Service that a load balancer
	// represents.
	ClientNamespaceAnnotation = epic.LabelPrefix + "client-namespace"
	ClientNameAnnotation      = epic.LabelPrefix + "client-name"
	// UseLabel on a Secret defines who reads it: the operator reads those with the value
	// UseProxy.
	UseLabel = epic.LabelPrefix + "use"
	UseProxy = "proxy"
	// ClusterUIDKey is the annotation, and on Secrets the label, with the UID of the
	// client cluster from which an object comes.
	ClusterUIDKey = epic.LabelPrefix + "client-cluster-uid"
	// Finalizer keeps an object of the client cluster until the objects it published are
	// deleted.
	Finalizer = epic.LabelPrefix + "connector"
)

// Config is the configuration of the connector.
type Config struct {
	// Cluster is the ID of the client cluster, unique in its account.
	Cluster string
	// ClusterUID distinguishes client clusters that were accidentally given the same ID.
	// If it is empty, objects are not marked with it.
	ClusterUID string
	// Namespace is the account's namespace in EPIC.
	Namespace string
	// Group is the service group of objects that name none.
	Group string
	// Groups are the groups that the account may use; nil while they are unknown.
	Groups sets.Set[string]
}

// meta returns the metadata of an EPIC object that represents an object of the client
// cluster.
func (c *Config) meta(name string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{
		Namespace: c.Namespace,
		Name:      name,
		Labels:    map[string]string{epic.OwningClusterLabel: epic.LabelValue(c.Cluster)},
	}
	if c.ClusterUID != "" {
		m.Annotations = map[string]string{ClusterUIDKey: c.ClusterUID}
	}
	return m
}

// ref returns a reference to the object of the client cluster that an EPIC object
// represents.
func (c *Config) ref(o metav1.Object) epicv1.ClientRef {
	return epicv1.ClientRef{ClusterID: c.Cluster, Namespace: o.GetNamespace(), Name: o.GetName(), UID: string(o.GetUID())}
}

// OwnerAnnotation returns the annotation of a shared gateway proxy or load balancer by
// which this cluster owns it.
func (c *Config) OwnerAnnotation() string { return epic.OwnerAnnotation(c.Cluster) }

// nameOf returns the namespaced name of an object.
func nameOf(o metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

// created formats a creation time for an annotation.
func created(o metav1.Object) string {
	return o.GetCreationTimestamp().UTC().Format(time.RFC3339)
}
