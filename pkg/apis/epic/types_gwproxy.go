// SPDX-License-Identifier: Apache-2.0

package epic

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// GWProxy publishes one Gateway of a client cluster on a public address. EPIC runs Envoy
// pods for it and sends each request through a tunnel to an endpoint that its GWRoute and
// GWEndpointSlice objects lead to. Its label epic.acnodal.io/owning-lbservicegroup names
// the service group.
type GWProxy struct {
	metav1.TypeMeta
	// Standard object metadata.
	metav1.ObjectMeta

	// What the tenant asks for.
	Spec GWProxySpec

	// What runs for this proxy: its tunnels and its pods' interfaces.
	Status ProxyStatus
}

// GWProxySpec is what a tenant requests of a gateway proxy.
type GWProxySpec struct {
	// The Gateway in the tenant's cluster that this proxy stands for.
	ClientRef ClientRef

	// The name of the tenant's service, as people know it.
	DisplayName string

	// The address on which the service is published.
	PublicAddress string

	// An IPv4 address next to a public address that is an IPv6 one.
	AltAddress string

	// The ports on which the service is published.
	PublicPorts []ServicePort

	// The Envoy configuration of this proxy, in templates.
	EnvoyTemplate *EnvoyConfigSpec

	// How many Envoy pods run for this proxy.
	EnvoyReplicaCount *int32

	// The DNS records of the service.
	Endpoints []DNSEndpoint

	// The spec of the tenant's Gateway.
	Gateway *GatewaySpec

	// How the Envoys of this gateway proxy treat clients and endpoints, where that differs
	// from the group's edge.
	Edge *EdgeSpec
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// GWProxyList is a list of GWProxy objects.
type GWProxyList struct {
	metav1.TypeMeta
	// Standard list metadata.
	metav1.ListMeta

	// The objects.
	Items []GWProxy
}
