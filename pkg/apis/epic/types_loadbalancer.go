// SPDX-License-Identifier: Apache-2.0

package epic

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// LoadBalancer publishes one service of a tenant on a public address. EPIC runs Envoy pods
// for it and sends each request through a tunnel to one of the tenant's endpoints, which
// RemoteEndpoint objects describe.
type LoadBalancer struct {
	metav1.TypeMeta
	// Standard object metadata.
	metav1.ObjectMeta

	// What the tenant asks for.
	Spec LoadBalancerSpec

	// What runs for this load balancer: its tunnels and its proxies'
	// interfaces.
	Status ProxyStatus
}

// LoadBalancerSpec is what a tenant requests of a load balancer.
type LoadBalancerSpec struct {
	// The name of the LBServiceGroup that this load balancer belongs to, in its own
	// namespace or, if it is not there, in the namespace epic.
	ServiceGroup string

	// The numeric ID of this load balancer, from 1 to 2147483647, unique in its
	// account.
	ServiceID int32

	// The name of the tenant's service, as people know it.
	DisplayName string

	// The address on which the service is published.
	PublicAddress string

	// The ports on which the service is published.
	PublicPorts []ServicePort

	// The Envoy configuration of this load balancer, in templates.
	EnvoyTemplate *EnvoyConfigSpec

	// How many Envoy pods run for this load balancer.
	EnvoyReplicaCount *int32

	// The IDs of the tenant's clusters whose endpoints this load balancer
	// uses, each once.
	UpstreamClusters []string

	// Whether requests travel to the endpoints in tunnels.
	TrueIngress *bool

	// The DNS records of the service.
	Endpoints []DNSEndpoint

	// How the Envoys of this load balancer treat clients and endpoints, where that
	// differs from the group's edge.
	Edge *EdgeSpec
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// LoadBalancerList is a list of LoadBalancer objects.
type LoadBalancerList struct {
	metav1.TypeMeta
	// Standard list metadata.
	metav1.ListMeta

	// The objects.
	Items []LoadBalancer
}
